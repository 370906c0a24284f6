package s3

import (
	"bytes"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
)

// vocabulary are all keys, in the order of the documentation: Anchore's, then
// the registry's.
var vocabulary = strings.Fields(`access_key secret_key iamauto url region bucket create_bucket prefix
	accesskey secretkey sessiontoken regionendpoint rootdirectory secure skipverify v4auth forcepathstyle chunksize
	encrypt keyid storageclass objectacl useragent usedualstack accelerate usefipsendpoint`)

// TestTags: the documentation is generated from the tags, and a secret that is
// not marked as one would be printed.
func TestTags(t *testing.T) {
	var keys []string
	for i := range reflect.TypeFor[Options]().NumField() {
		field := reflect.TypeFor[Options]().Field(i)
		key, tagged := field.Tag.Lookup("config")
		if !tagged {
			if field.Name != "Registry" {
				t.Errorf("%s has no key", field.Name)
			}
			continue
		}
		keys = append(keys, key)
		if doc := field.Tag.Get("doc"); !strings.HasSuffix(doc, ".") {
			t.Errorf("%s: documented as %q", key, doc)
		}
		if field.Tag.Get("example") == "" {
			t.Errorf("%s: no example", key)
		}
		if optional := field.Type.Kind() != reflect.String && field.Type != reflect.TypeFor[*string](); optional && field.Tag.Get("default") == "" {
			t.Errorf("%s: no default", key)
		}
		secret := slices.Contains([]string{"access_key", "secret_key", "accesskey", "secretkey", "sessiontoken"}, key)
		if secret != (field.Tag.Get("secret") == "true") {
			t.Errorf("%s: secret is %q", key, field.Tag.Get("secret"))
		}
	}
	if !slices.Equal(keys, vocabulary) {
		t.Errorf("the keys are %q", keys)
	}
}

// TestOneSet: both vocabularies come to one connection, and one may complete
// the other.
func TestOneSet(t *testing.T) {
	anchore := Options{AccessKey: "AK", SecretKey: "SK", URL: "https://localhost:9000", Bucket: "b", Prefix: "p/"}
	for name, o := range map[string]Options{
		"registry": {RegistryAccessKey: ptr("AK"), RegistrySecretKey: ptr("SK"), RegionEndpoint: ptr("localhost:9000"), Bucket: "b", RootDirectory: ptr("/p")},
		"mixed":    {AccessKey: "AK", SecretKey: "SK", RegionEndpoint: ptr("https://localhost:9000/"), Bucket: "b", Prefix: "p/"},
	} {
		if err := o.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		got, want := o.connection(), anchore.connection()
		want.registry = true // which is about words only
		if got != want || o.prefix() != anchore.prefix() {
			t.Errorf("%s: prefix %q, connection %+v, want %+v", name, o.prefix(), got, want)
		}
	}
}

func TestRootDirectory(t *testing.T) {
	for given, want := range map[string]string{
		"": "", "/": "", "foo": "foo/", "/foo": "foo/", "foo/": "foo/", "/foo/": "foo/", "//foo//": "foo/", "foo/bar": "foo/bar/", "a//b": "a//b/",
	} {
		if got := (Options{RootDirectory: &given}).prefix(); got != want {
			t.Errorf("rootdirectory %q gives %q, want %q", given, got, want)
		}
	}
	server := testenv.MinIO(t)
	o := optionsFor(server, server.Bucket(t))
	o.RootDirectory = ptr("/deep/down")
	s := opened(t, o)
	if uri := uriOf(t, s, "k"); uri != scheme+o.Bucket+"/deep/down/admin/manifest_data/k" {
		t.Errorf("URI %s", uri)
	}
}

// TestChunkSize counts the parts of 21 MiB.
func TestChunkSize(t *testing.T) {
	server := testenv.MinIO(t)
	body := noise(2, 21<<20)
	empty := ""
	tests := []struct {
		name  string
		edit  func(*Options)
		tune  Tuning
		parts int
	}{
		{"Anchore's default", func(*Options) {}, Tuning{}, 3},
		{"the registry's default", func(o *Options) { o.RootDirectory = &empty }, Tuning{}, 3},
		{"a registry's configuration", func(o *Options) { o.Registry = true }, Tuning{}, 3},
		{"chunksize", func(o *Options) { o.ChunkSize = ptr(int64(5 << 20)) }, Tuning{}, 5},
		{"chunksize beats tuning", func(o *Options) { o.ChunkSize = ptr(int64(20 << 20)) }, Tuning{PartBytes: minPartBytes}, 2},
		{"large chunksize", func(o *Options) { o.ChunkSize = ptr(int64(21 << 20)) }, Tuning{}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFront(t, server)
			o := optionsFor(server, server.Bucket(t))
			o.URL = f.plain.URL
			tt.edit(&o)
			s, err := Open(t.Context(), o, tt.tune)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if _, err := s.Put(t.Context(), uriOf(t, s, "k"), streamOf(-1, func() io.Reader { return bytes.NewReader(body) })); err != nil {
				t.Fatal(err)
			}
			parts := f.requests(func(r request) bool { return r.URL.Query().Get("partNumber") != "" })
			if len(parts) != tt.parts {
				t.Errorf("%d parts, want %d", len(parts), tt.parts)
			}
			if want := 10 << 20; o.registry() && len(parts) > 0 && len(parts[0].body) != want {
				t.Errorf("the first part has %d bytes, want %d", len(parts[0].body), want)
			}
		})
	}
}

// TestRegionOfEndpoint: url makes the region meaningless; regionendpoint is
// signed for it.
func TestRegionOfEndpoint(t *testing.T) {
	server, f := playAmazon(t)
	createAt(t, server, "archive")
	o := amazonOptions(server)
	o.RegionEndpoint = &f.plain.URL
	opened(t, o)
	if n := len(f.requests(anyRequest)); n != 1 {
		t.Errorf("%d requests: the region was not right at first", n)
	}
	o.RegionEndpoint, o.URL = nil, f.plain.URL
	opened(t, o)
	if n := len(f.requests(anyRequest)); n != 3 {
		t.Errorf("%d requests: the region was not ignored", n-1)
	}
}

// TestPrivateAuthority: a certificate that nobody vouches for, then one whose
// authority the environment names, then any.
func TestPrivateAuthority(t *testing.T) {
	server := testenv.MinIO(t)
	f := newFront(t, server)
	o := optionsFor(server, server.Bucket(t))
	o.URL = strings.Replace(f.secure.URL, "127.0.0.1", "localhost", 1) // a name, for the certificate to be chosen by
	_, err := Open(t.Context(), o, Tuning{})
	wantKind(t, err, drivers.Config, "certificate", "AWS_CA_BUNDLE")

	trusting := o
	t.Setenv("AWS_CA_BUNDLE", written(t, "authority.pem", string(f.authorityPEM())))
	s := opened(t, trusting)
	mustPut(t, s, uriOf(t, s, "k"), []byte("x"))

	t.Setenv("AWS_CA_BUNDLE", written(t, "empty.pem", "nothing"))
	_, err = Open(t.Context(), o, Tuning{})
	wantKind(t, err, drivers.Config, "AWS_CA_BUNDLE", "no certificate")
	t.Setenv("AWS_CA_BUNDLE", "/nonexistent.pem")
	_, err = Open(t.Context(), o, Tuning{})
	wantKind(t, err, drivers.Config, "AWS_CA_BUNDLE", "no such file")

	t.Setenv("AWS_CA_BUNDLE", "")
	o.SkipVerify = true
	s = opened(t, o)
	mustPut(t, s, uriOf(t, s, "k"), []byte("x"))
}

// TestWordsOfTheRegistry: messages name the options as the configuration does.
func TestWordsOfTheRegistry(t *testing.T) {
	server := testenv.MinIO(t)
	o := Options{RegistryAccessKey: &server.AccessKey, RegistrySecretKey: ptr("another"), RegionEndpoint: &server.URL, Bucket: server.Bucket(t)}
	_, err := Open(t.Context(), o, Tuning{})
	wantKind(t, err, drivers.Denied, "check secretkey")
	o.RegionEndpoint = ptr("https" + strings.TrimPrefix(server.URL, "http"))
	_, err = Open(t.Context(), o, Tuning{})
	wantKind(t, err, drivers.Config, "write http:// in regionendpoint")
}
