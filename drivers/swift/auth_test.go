package swift

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
)

// mustFail opens a store in vain.
func mustFail(t *testing.T, o Options, kind drivers.Kind, mentions ...string) {
	t.Helper()
	s, err := Open(t.Context(), o, Tuning{})
	if err == nil {
		s.Close()
		t.Errorf("opened %s", s.Place())
		return
	}
	wantKind(t, err, kind, mentions...)
	for _, secret := range []string{o.Key, o.Password, o.AuthToken, o.ApplicationSecret} {
		if secret != "" && strings.Contains(err.Error(), secret) {
			t.Errorf("a secret in %v", err)
		}
	}
}

// mustWork puts, gets and deletes.
func mustWork(t *testing.T, o Options) *Store {
	t.Helper()
	s := opened(t, o)
	uri := uriOf(t, s, "it works")
	mustPut(t, s, uri, []byte("x"))
	mustHold(t, s, uri, []byte("x"))
	if err := s.Delete(t.Context(), uri); err != nil {
		t.Error(err)
	}
	return s
}

func TestCredentials(t *testing.T) {
	for name, start := range map[string]func(testing.TB) *testenv.SwiftServer{"v1": testenv.Swift, "v3": testenv.SwiftKeystone} {
		t.Run(name, func(t *testing.T) {
			server := start(t)
			o := optionsFor(server, server.Container(t))
			s := mustWork(t, o)
			account := server.Client().StorageUrl
			if want := scheme + o.Container + "/ at " + account; s.Place() != want {
				t.Errorf("place %q, want %q", s.Place(), want)
			}

			wrong := o
			if server.AuthVersion == 1 {
				wrong.Key = "wrong key"
			} else {
				wrong.Password = "wrong password"
			}
			mustFail(t, wrong, drivers.Denied, "refuses the credentials", "check user")

			reader := o
			if server.AuthVersion == 1 {
				reader.User, reader.Key = server.Reader, server.ReaderKey
			} else {
				reader.Username, reader.Password = server.Reader, server.ReaderKey
			}
			mustFail(t, reader, drivers.Denied, "access denied", "grant the user the container")
			grantReading(t, server, o.Container)
			r := opened(t, reader)
			uri := uriOf(t, s, "k")
			mustPut(t, s, uri, []byte("x"))
			mustHold(t, r, uri, []byte("x"))
			_, err := r.Put(t.Context(), uri, drivers.InMemory([]byte("y"), md5Hex([]byte("y"))))
			wantKind(t, err, drivers.Denied, "grant the user writing")
			wantKind(t, r.Delete(t.Context(), uri), drivers.Denied, "grant the user writing")
			for _, err := range r.DeleteBatch(t.Context(), []string{uri, uri + "1", uri + "2", uri + "3", uri + "4"}) {
				if err != nil && drivers.KindOf(err) != drivers.Denied {
					t.Errorf("got %v", err)
				}
			}
			mustHold(t, s, uri, []byte("x"))

			missing := o
			missing.Container = o.Container + "-new"
			server.RemoveContainerAfter(t, missing.Container)
			mustFail(t, missing, drivers.Config, "no such container", "create_container")
			missing.CreateContainer = true
			mustWork(t, missing)

			nowhere := o
			nowhere.Auth, nowhere.AuthURL = "", "http://127.0.0.1:9/v3"
			if server.AuthVersion == 1 {
				nowhere.Auth, nowhere.AuthURL = "http://127.0.0.1:9/auth/v1.0", ""
			}
			mustFail(t, nowhere, drivers.Temporary, "cannot reach http://127.0.0.1:9/")
		})
	}
}

// grantReading lets the user without rights read and list a container.
func grantReading(t *testing.T, server *testenv.SwiftServer, container string) {
	t.Helper()
	acl := server.Reader + ",.rlistings"
	if server.AuthVersion == 3 {
		acl = "*:*,.rlistings"
	}
	if err := server.Client().ContainerUpdate(t.Context(), container, map[string]string{"X-Container-Read": acl}); err != nil {
		t.Fatal(err)
	}
}

// TestKeystone: domains, ids, regions, endpoints, application credentials.
func TestKeystone(t *testing.T) {
	server := testenv.SwiftKeystone(t)
	k := server.Keystone
	o := optionsFor(server, server.Container(t))
	mustWork(t, o)
	with := func(change func(*Options)) Options { c := o; change(&c); return c }

	mustWork(t, with(func(o *Options) { o.AuthURL = strings.TrimSuffix(k.URL, "/v3") }))
	mustWork(t, with(func(o *Options) { o.AuthVersion, o.ProjectDomainName = "1.0", "Default" }))
	mustWork(t, with(func(o *Options) { o.UserDomainName, o.ProjectDomainID = "Default", "default" }))
	mustWork(t, with(func(o *Options) { o.User, o.Key, o.Username, o.ProjectName = k.Project+":"+k.User, k.Password, "", "" }))
	mustWork(t, with(func(o *Options) { o.UserID, o.ProjectID, o.Username, o.ProjectName = k.UserID, k.ProjectID, "", "" }))
	mustWork(t, with(func(o *Options) { o.EndpointType = "internalURL" }))
	mustWork(t, with(func(o *Options) { o.Snet = true }))
	mustFail(t, with(func(o *Options) { o.EndpointType = "adminURL" }), drivers.Temporary, "127.0.0.1:9")
	mustFail(t, with(func(o *Options) { o.RegionName = "RegionTwo" }), drivers.Temporary, "127.0.0.1:9")
	mustFail(t, with(func(o *Options) { o.RegionName = "RegionThree" }), drivers.Config, "os_region_name")
	mustFail(t, with(func(o *Options) { o.ProjectName = "none" }), drivers.Denied, "os_project_name")
	mustFail(t, with(func(o *Options) { o.AuthVersion, o.AuthURL = "2", strings.TrimSuffix(k.URL, "/v3") }), drivers.Config, "auth_version")
	mustFail(t, with(func(o *Options) { o.AuthURL += "/nonsense/v3" }), drivers.Config, "os_auth_url")

	id, secret := k.ApplicationCredential(t)
	application := with(func(o *Options) {
		o.Username, o.Password, o.ProjectName = "", "", ""
		o.ApplicationID, o.ApplicationSecret = id, secret
	})
	mustWork(t, application)
	application.ApplicationSecret = "wrong secret"
	mustFail(t, application, drivers.Denied, "os_application_credential_id")

	// The same names in another domain are another user and another project.
	other := with(func(o *Options) {
		o.UserDomainName, o.ProjectDomainName, o.Password = k.OtherDomain, k.OtherDomain, k.OtherPassword
	})
	mustFail(t, other, drivers.Config, "no such container")
	other.ProjectDomainName = ""
	mustFail(t, other, drivers.Denied)
	mustFail(t, with(func(o *Options) { o.UserDomainName = k.OtherDomain }), drivers.Denied)
}

func TestVersion2(t *testing.T) {
	server := testenv.Swift(t)
	tokens := server.TokensV2(t)
	o := defaults()
	o.Container = server.Container(t)
	o.AuthVersion, o.AuthURL = "2", tokens.URL
	o.Username, o.Password, o.TenantName = tokens.User, tokens.Password, tokens.Tenant
	mustWork(t, o)
	for name, change := range map[string]func(*Options){
		"default version":    func(o *Options) { o.AuthVersion = "1.0" },
		"version in the URL": func(o *Options) { o.AuthURL += "/v2.0/" },
		"tenant's id":        func(o *Options) { o.TenantName, o.TenantID = "", tokens.TenantID },
		"tenant:user":        func(o *Options) { o.TenantName, o.Username = "", tokens.Tenant+":"+tokens.User },
		"region":             func(o *Options) { o.RegionName = "RegionOne" },
		"internal":           func(o *Options) { o.EndpointType = "internalURL" },
	} {
		t.Run(name, func(t *testing.T) {
			changed := o
			change(&changed)
			mustWork(t, changed)
		})
	}
	wrong := o
	wrong.Password = "wrong password"
	mustFail(t, wrong, drivers.Denied, "os_tenant_name")
	wrong = o
	wrong.RegionName = "RegionTwo"
	mustFail(t, wrong, drivers.Config, "os_region_name")
}

// TestGivenToken works with a token and a storage URL from elsewhere.
func TestGivenToken(t *testing.T) {
	server := testenv.Swift(t)
	if err := server.Client().Authenticate(t.Context()); err != nil {
		t.Fatal(err)
	}
	o := defaults()
	o.Container = server.Container(t)
	o.AuthToken, o.StorageURL = server.Client().AuthToken, server.Client().StorageUrl
	mustWork(t, o)
	o.AuthToken = "AUTH_tk_expired_long_ago"
	mustFail(t, o, drivers.Denied, "os_auth_token")

	// With credentials beside it, it is replaced when it is not accepted; the
	// storage URL stays.
	o.Auth, o.User, o.Key = server.AuthURL, server.User, server.Key
	front := frontOf(t, server, func(http.ResponseWriter, *http.Request) bool { return false }, nil)
	o.StorageURL = front + strings.TrimPrefix(o.StorageURL, strings.TrimSuffix(server.AuthURL, "/auth/v1.0"))
	s := mustWork(t, o)
	if !strings.HasSuffix(s.Place(), " at "+o.StorageURL) || s.conn.StorageUrl != o.StorageURL {
		t.Errorf("place %s, storage URL %s, want %s", s.Place(), s.conn.StorageUrl, o.StorageURL)
	}
}

// TestExpiredToken: a server that was started anew knows no token any more.
func TestExpiredToken(t *testing.T) {
	server := testenv.NewSwift(t, testenv.SwiftSettings{})
	s := fresh(t, server)
	before := uriOf(t, s, "before")
	mustPut(t, s, before, []byte("x"))
	var bulk []string
	for range 2 {
		token := s.conn.AuthToken
		server.Stop(t)
		server.Start(t)
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				uri := uriOf(t, s, string(rune('a'+i)))
				body := noise(byte(i), 1000*i*i)
				mustPut(t, s, uri, body)
				mustHold(t, s, uri, body)
			})
			bulk = append(bulk, uriOf(t, s, string(rune('a'+i))))
		}
		wg.Wait()
		if s.conn.AuthToken == token {
			t.Error("the token is the same: the test proves nothing")
		}
	}
	mustHold(t, s, before, []byte("x"))
	server.Stop(t)
	_, err := s.Stat(t.Context(), before)
	wantKind(t, err, drivers.Temporary)
	server.Start(t)
	mustStream(t, s, uriOf(t, s, "large"), noise(1, 6<<20), -1)
	server.Stop(t)
	server.Start(t)
	for _, err := range s.DeleteBatch(t.Context(), bulk) {
		if err != nil {
			t.Error(err)
		}
	}
	wantObjects(t, server, s.container, 2)
}

// TestTokenRefused: a token that is renewed and refused again is worth another
// attempt once the store has worked.
func TestTokenRefused(t *testing.T) {
	var refused atomic.Int32
	s := behind(t, testenv.Swift(t), func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("X-Auth-Token") == "" {
			return false
		}
		refused.Add(1)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}, nil)
	_, err := s.Stat(t.Context(), uriOf(t, s, "k"))
	wantKind(t, err, drivers.Temporary, "token")
	if refused.Load() < 2 {
		t.Errorf("refused %d times", refused.Load())
	}
}

func TestTLS(t *testing.T) {
	server := testenv.NewSwift(t, testenv.SwiftSettings{TLS: true})
	o := optionsFor(server, server.Container(t))
	mustFail(t, o, drivers.Config, "certificate", "os_cacert")
	trusting := o
	trusting.CACert = server.CAFile
	mustWork(t, trusting)
	insecure := o
	insecure.Insecure = true
	mustWork(t, insecure)

	plain := o
	plain.Auth = strings.Replace(o.Auth, "https", "http", 1)
	s, err := Open(t.Context(), plain, Tuning{})
	if err == nil {
		s.Close()
		t.Error("http to a server with TLS")
	}
	noTLS := optionsFor(testenv.Swift(t), o.Container)
	noTLS.Auth = strings.Replace(noTLS.Auth, "http", "https", 1)
	mustFail(t, noTLS, drivers.Config, "TLS")

	file := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(file, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for key, change := range map[string]func(*Options){
		"os_cacert: ": func(o *Options) { o.CACert = file },
		"os_cacert":   func(o *Options) { o.CACert = file + "-missing" },
		"os_cert: ":   func(o *Options) { o.Cert = file },
	} {
		wrong := trusting
		change(&wrong)
		mustFail(t, wrong, drivers.Config, key)
	}
}
