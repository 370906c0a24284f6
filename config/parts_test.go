package config

import (
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// awkward is a password with every character that means something to a URL.
const awkward = `p@ss:w/rd#1?x=y&z%40 %"'ä[]`

// The database by parts: no value is unescaped.
func TestDatabaseByParts(t *testing.T) {
	t.Setenv("PGSSLMODE", "disable") // must not matter
	vars := map[string]string{"U": "an%63hore", "P": awkward, "H": "db.example.com", "PORT": "5433", "N": "an/chore"}
	for _, test := range []struct{ name, text, redacted, err string }{
		{"all, from variables", `{user: "${U}", password: "${P}", host: "${H}", port: "${PORT}", name: "${N}"}`,
			"postgresql://an%63hore:********@db.example.com:5433/an/chore?sslmode=prefer", ""},
		{"the chart's arguments", `{user: u, password: '${P}', host: h, port: 5432, name: n, db_pool_size: 30, db_pool_max_overflow: '${UNSET}', encryption: {keys: ['${UNSET}']}, db_engine_args: {pool_recycle: 600}, db_connect_args: {timeout: 120, ssl: true, sslmode: verify-full, sslrootcert: /ca.pem}}`,
			"postgresql://u:********@h:5432/n?connect_timeout=120&sslmode=verify-full&sslrootcert=/ca.pem", ""},
		{"without port", `{user: u, host: h, name: n}`, "postgresql://u@h:5432/n?sslmode=prefer", ""},
		{"an IPv6 address", `{user: u, host: '::1', name: n}`, "postgresql://u@[::1]:5432/n?sslmode=prefer", ""},
		{"a socket", `{user: u, host: /run/pg, name: n}`, "postgresql://u@/n?host=/run/pg&port=5432&sslmode=prefer", ""},
		{"several hosts", `{user: u, host: 'a,b', port: '5432,5433', name: n, db_connect_args: {target_session_attrs: read-write}}`,
			"postgresql://u@a:5432,b:5433/n?connect_timeout=10&sslmode=prefer&target_session_attrs=read-write", ""},
		{"db_connect wins", `{db_connect: 'postgresql://v@w/x', user: u, password: '${P}', host: h, name: n}`, "postgresql://v@w:5432/x?sslmode=prefer", ""},
		{"an empty db_connect does not", `{db_connect: '', user: u, host: h, name: n}`, "postgresql://u@h:5432/n?sslmode=prefer", ""},
		{"no host", `{user: u, name: n}`, "", "c.yaml:2: credentials.database.host: must be given: the database's host"},
		{"a port in the host", `{user: u, host: 'h:x', name: n}`, "", "c.yaml:2: credentials.database.host: the port is not a number from 1 to 65535"},
		{"no port", `{user: u, host: h, port: many, name: n}`, "", "c.yaml:2: credentials.database.port: the port is not a number"},
		{"a line break", `{user: u, password: "hunter2\n", host: h, name: n}`, "", "c.yaml:2: credentials.database.password: ends with a line break"},
		{"an unset variable", `{user: u, password: '${UNSET}', host: h, name: n}`, "", "c.yaml:2: credentials.database.password: the environment variable UNSET is not set"},
		{"a misspelt key", `{user: u, pasword: hunter2, host: h, name: n}`, "", "c.yaml:2: credentials.database.pasword: unknown key, did you mean password?"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, err := Parse("c.yaml", []byte("credentials:\n  database: "+test.text+"\n"))
			if err != nil {
				t.Fatal(err)
			}
			f.Lookup = environment(vars)
			d, err := f.Database()
			if test.err != "" {
				if err == nil || !strings.HasPrefix(err.Error(), test.err) || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("got  %v\nwant %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := d.Redacted(); got != test.redacted {
				t.Errorf("got  %s\nwant %s", got, test.redacted)
			}
			if d.SSLRootCert == "" {
				c, err := pgconn.ParseConfig(d.URL())
				if err != nil || c.User != d.user || c.Password != d.password || c.Database != d.name {
					t.Errorf("pgx reads %+v, %v", c, err)
				}
			}
			settings, err := f.DatabaseSettings()
			if text := fmt.Sprint(settings, d, *d); err != nil || strings.Contains(text, "p@ss") || len(f.Warnings()) != 0 {
				t.Errorf("%s, %v, %v", text, err, f.Warnings())
			}
		})
	}
}

// User and password may stand in a URL as they are.
func TestRawPasswordsInURLs(t *testing.T) {
	for _, test := range []struct{ raw, user, password, host, name string }{
		{"postgresql://u:" + awkward + "@h:5432/n", "u", awkward, "h", "n"},
		{"postgresql://u:" + awkward + "@h/n?sslmode=require", "u", awkward, "h", "n"},
		{"postgresql://u:" + awkward + "@h1,h2:5433/n?target_session_attrs=any", "u", awkward, "h1", "n"},
		{"postgresql://us/er:x@h/n", "us/er", "x", "h", "n"},
		{"postgresql://u@example.com:x@h/n", "u@example.com", "x", "h", "n"},
		{"postgresql://u:x@h/n?application_name=me@here", "u", "x", "h", "n"},
		{"postgresql://u:x@h/n?unheard_of=me@here", "u", "x", "h", "n"},
		{"postgresql://u:x@h/n?options=-csearch_path=a@b/c", "u", "x", "h", "n"},
		{"postgresql://u:p@q/x?y=z@h/n", "u", "p@q/x?y=z", "h", "n"},
		{"postgresql://u:@@@h/n", "u", "@@", "h", "n"},
		{"postgresql://u:a@b@h", "u", "a@b", "h", ""},
		{"postgresql://h/n?application_name=me@here", "", "", "h", "n"},
	} {
		d, err := ParseDatabaseURL(test.raw)
		if err != nil {
			t.Errorf("%s: %v", test.raw, err)
			continue
		}
		d, _ = ptr(d.AsWritten())
		if d.user != test.user || d.password != test.password || d.hosts[0].host != test.host || d.name != test.name {
			t.Errorf("%s: user %q, password %q, hosts %v, name %q", test.raw, d.user, d.password, d.hosts, d.name)
		}
		var secrets, want []string
		for _, r := range SecretsIn(test.raw) {
			secrets = append(secrets, test.raw[r[0]:r[1]])
		}
		if test.password != "" {
			want = append(want, test.password)
		}
		if _, unknown, ok := strings.Cut(test.raw, "unheard_of="); ok {
			want = append(want, unknown) // who knows what it is
		}
		if !slices.Equal(secrets, want) {
			t.Errorf("%s: the secrets are %q, want %q", test.raw, secrets, want)
		}
	}
}

func ptr(d Database, differs bool) (*Database, bool) { return &d, differs }

// What is escaped is unescaped, and can be taken as it is written.
func TestAsWritten(t *testing.T) {
	d, err := ParseDatabaseURL("postgresql://u:a%40b@h/n")
	if err != nil {
		t.Fatal(err)
	}
	raw, differs := d.AsWritten()
	if d.password != "a@b" || raw.password != "a%40b" || !differs {
		t.Errorf("%q, %q, %v", d.password, raw.password, differs)
	}
	d, err = ParseDatabaseURL("postgresql://u:a%b@h/n")
	if err != nil {
		t.Fatal(err)
	}
	if _, differs := d.AsWritten(); d.password != "a%b" || differs {
		t.Errorf("%q, %v", d.password, differs)
	}
}

// Parameters: understood, a warning, or a near miss.
func TestDatabaseParameters(t *testing.T) {
	for _, test := range []struct{ query, redacted, warning, err string }{
		{"user=v&password=w&dbname=m&host=k&port=7", "postgresql://v:********@k:7/m?sslmode=prefer", "", ""},
		{"host=a:1&host=b:2", "postgresql://u:********@a:1,b:2/n?connect_timeout=10&sslmode=prefer&target_session_attrs=primary", "", ""},
		{"port=1,2&host=a,b&connect_timeout=3", "postgresql://u:********@a:1,b:2/n?connect_timeout=3&sslmode=prefer&target_session_attrs=primary", "", ""},
		{"requiressl=1", "postgresql://u:********@h:5432/n?sslmode=require", "", ""},
		{"sslpassword=hunter2", "postgresql://u:********@h:5432/n?sslmode=prefer&sslpassword=********", "", ""},
		{"fallback_application_name=x&keepalives=1&client_encoding=latin1", "postgresql://u:********@h:5432/n?application_name=x&sslmode=prefer", "", ""},
		{"channel_binding=require&require_auth=scram-sha-256", "postgresql://u:********@h:5432/n?channel_binding=require&require_auth=scram-sha-256&sslmode=prefer", "", ""},
		{"gssencmode=disable&ssl_min_protocol_version=TLSv1.2", "postgresql://u:********@h:5432/n?sslmode=prefer", "", ""},
		{"gssencmode=require", "", "", "the parameter gssencmode: kedge cannot do what this parameter demands"},
		{"hostaddr=10.0.0.1", "", "", "the parameter hostaddr: kedge cannot do what this parameter demands"},
		{"sslcrl=/crl.pem", "", "", "the parameter sslcrl: kedge cannot do what this parameter demands"},
		{"sslmode=disable&sslrootcert=/no/such/file", "postgresql://u:********@h:5432/n?sslmode=disable", "", ""},
		{"load_balance_hosts=random", "postgresql://u:********@h:5432/n?sslmode=prefer", "the parameter load_balance_hosts: kedge does not follow", ""},
		{"pool_size=hunter2", "postgresql://u:********@h:5432/n?sslmode=prefer", "the parameter pool_size: kedge does not know", ""},
		{"target_session_attrs=hunter2", "", "", "the parameter target_session_attrs: wants one of any, read-write, read-only, primary, standby, prefer-standby"},
		{"host=a,b&port=1,2,3", "", "", "the parameter port: there are not as many ports as hosts"},
		{"sslmod=require", "", "", "the parameter sslmod: unknown key, did you mean sslmode?"},
	} {
		d, err := ParseDatabaseURL("postgresql://u:p@h/n?" + test.query)
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: got %v, want %s", test.query, err, test.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.query, err)
			continue
		}
		told := strings.Join(d.Warnings(), "\n")
		if d.Redacted() != test.redacted || !strings.Contains(told, test.warning) || test.warning == "" && told != "" || strings.Contains(told, "hunter2") {
			t.Errorf("%s: %s, warnings %q", test.query, d.Redacted(), told)
		}
		if _, err := pgconn.ParseConfig(d.URL()); err != nil {
			t.Errorf("%s: pgx: %v", test.query, err)
		}
	}
}

// Certificates that cannot be used are told with their names.
func TestCheckFiles(t *testing.T) {
	dir := t.TempDir()
	write := writerIn(t, dir)
	text := write("text", "no certificate")
	key := write("key", string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")})))
	certificate := write("certificate", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})))
	missing := filepath.Join(dir, "missing")
	for _, test := range []struct{ args, want string }{
		{"sslmode: verify-full, sslrootcert: " + dir, "c.yaml:5: credentials.database.db_connect_args.sslrootcert: " + dir + ": is a directory"},
		{"sslmode: require, sslrootcert: " + missing, "c.yaml:5: credentials.database.db_connect_args.sslrootcert: " + missing + ": no such file"},
		{"sslrootcert: " + text, "c.yaml:5: credentials.database.db_connect_args.sslrootcert: " + text + ": holds no certificate in PEM form"},
		{"sslmode: disable, sslrootcert: " + missing, ""},
		{"sslrootcert: system", ""},
		{"sslcert: " + certificate, "c.yaml:5: credentials.database.db_connect_args.sslcert: " + certificate + ": is given without sslkey, the key of that certificate"},
		{"sslkey: " + key, "c.yaml:5: credentials.database.db_connect_args.sslkey: " + key + ": is given without sslcert, the certificate of that key"},
		{"sslkey: " + key + ", sslcert: " + missing, "c.yaml:5: credentials.database.db_connect_args.sslcert: " + missing + ": no such file"},
		{"sslkey: " + key + ", sslcert: " + text, "c.yaml:5: credentials.database.db_connect_args.sslcert: " + text + ": holds no certificate in PEM form"},
		{"sslkey: " + key + ", sslcert: " + certificate, "c.yaml:5: credentials.database.db_connect_args.sslkey: " + key + ": is encrypted in a form (PKCS #8) that kedge cannot read; decrypt it with openssl pkey"},
	} {
		f, err := Parse("c.yaml", []byte("credentials:\n  database:\n    user: u\n    host: h\n    db_connect_args: {"+test.args+"}\n"))
		if err != nil {
			t.Fatal(err)
		}
		d, err := f.Database()
		if err != nil {
			t.Errorf("%s: %v", test.args, err)
			continue
		}
		if got := message(d.CheckFiles()); got != test.want {
			t.Errorf("%s:\ngot  %s\nwant %s", test.args, got, test.want)
		}
	}
	d, err := ParseDatabaseURL("postgresql://u@h/n?sslrootcert=" + missing)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := d.CheckFiles(), "database URL: the parameter sslrootcert: "+missing+": no such file"; message(got) != want || !errors.Is(got, os.ErrNotExist) {
		t.Errorf("got %v, want %s", got, want)
	}
}
