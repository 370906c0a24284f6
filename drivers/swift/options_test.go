package swift

import (
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	ncw "github.com/ncw/swift/v2"

	"github.com/kedge/kedge/drivers"
)

// come is what options come to, as far as a test names it.
type come struct {
	Version                                            int
	URL, User, UserID, Key                             string
	Domain, DomainID                                   string
	Tenant, TenantID, TenantDomain, TenantDomainID     string
	Region, Endpoint, ApplicationID, ApplicationSecret string
	Token, GivenToken, StorageURL                      string
	Internal                                           bool
}

func comeOf(id *identity) come {
	c := &id.conn
	return come{
		Version: c.AuthVersion, URL: c.AuthUrl, User: c.UserName, UserID: c.UserId, Key: c.ApiKey,
		Domain: c.Domain, DomainID: c.DomainId,
		Tenant: c.Tenant, TenantID: c.TenantId, TenantDomain: c.TenantDomain, TenantDomainID: c.TenantDomainId,
		Region: c.Region, Endpoint: string(c.EndpointType),
		ApplicationID: c.ApplicationCredentialId, ApplicationSecret: c.ApplicationCredentialSecret,
		Token: c.Token, GivenToken: id.token, StorageURL: id.storageURL, Internal: c.Internal,
	}
}

// TestResolve checks python-swiftclient's rules.
func TestResolve(t *testing.T) {
	const at, v2At, v3At = "http://k:5000", "http://k:5000/v2.0", "http://k:5000/v3"
	v3 := come{Version: 3, URL: v3At, User: "u", Key: "p", DomainID: "default", Tenant: "t", TenantDomainID: "default"}
	v2 := come{Version: 2, URL: v2At, User: "u", Key: "p", Tenant: "t"}
	// with is a base with a change.
	with := func(c come, change func(*come)) come { change(&c); return c }
	keystone := Options{AuthURL: at, Username: "u", Password: "p", ProjectName: "t"}
	opt := func(o Options, change func(*Options)) Options { change(&o); return o }
	for _, test := range []struct {
		name string
		o    Options
		want come
	}{
		{"legacy", Options{Auth: at, User: "a:u", Key: "k"}, come{Version: 1, URL: at, User: "a:u", Key: "k"}},
		{"legacy as documented", Options{AuthVersion: "1.0", Auth: at, User: "user:password", Key: "anchore"}, come{Version: 1, URL: at, User: "user:password", Key: "anchore"}},
		{"legacy with an integer", Options{AuthVersion: "1", Auth: at, User: "u", Key: "k"}, come{Version: 1, URL: at, User: "u", Key: "k"}},
		{"legacy ignores region and endpoint", Options{Auth: at, User: "u", Key: "k", RegionName: "r", EndpointType: "internalURL", Snet: true}, come{Version: 1, URL: at, User: "u", Key: "k", Region: "r", Internal: true}},
		{"no version, no legacy: 2", keystone, v2},
		{"version 1 without all of it: 2", opt(keystone, func(o *Options) { o.AuthVersion = "1.0"; o.User = "u" }), v2},
		{"no version with a user's domain: 3", opt(keystone, func(o *Options) { o.UserDomainName = "d" }), with(v3, func(c *come) { c.Domain, c.DomainID = "d", "" })},
		{"no version with a user's domain id: 3", opt(keystone, func(o *Options) { o.UserDomainID = "d" }), with(v3, func(c *come) { c.DomainID = "d" })},
		{"no version with a project's domain: 3", opt(keystone, func(o *Options) { o.ProjectDomainName = "d" }), with(v3, func(c *come) { c.TenantDomain, c.TenantDomainID = "d", "" })},
		{"no version with a project's domain id: 3", opt(keystone, func(o *Options) { o.ProjectDomainID = "d" }), with(v3, func(c *come) { c.TenantDomainID = "d" })},
		{"legacy's three keys and a domain stay legacy", Options{Auth: at, User: "u", Key: "k", UserDomainID: "d"}, come{Version: 1, URL: at, User: "u", Key: "k"}},
		{"3.0 is 3", opt(keystone, func(o *Options) { o.AuthVersion = "3.0" }), v3},
		{"3", opt(keystone, func(o *Options) { o.AuthVersion = "3" }), v3},
		{"2 is 2.0", opt(keystone, func(o *Options) { o.AuthVersion = "2"; o.UserDomainID = "d" }), v2},
		{"2.0", opt(keystone, func(o *Options) { o.AuthVersion = "2.0" }), v2},
		{"version in the URL is kept", opt(keystone, func(o *Options) { o.AuthVersion = "3"; o.AuthURL = at + "/identity/v3/" }), with(v3, func(c *come) { c.URL = at + "/identity/v3" })},
		{"another version in the URL is kept too", opt(keystone, func(o *Options) { o.AuthVersion = "3"; o.AuthURL = at + "/v2.0" }), with(v3, func(c *come) { c.URL = v2At })},
		{"version is appended to a path", opt(keystone, func(o *Options) { o.AuthVersion = "3"; o.AuthURL = at + "/identity/" }), with(v3, func(c *come) { c.URL = at + "/identity/v3" })},
		{"domain ids before names", opt(keystone, func(o *Options) {
			o.AuthVersion, o.UserDomainID, o.UserDomainName, o.ProjectDomainID, o.ProjectDomainName = "3", "i", "n", "pi", "pn"
		}), with(v3, func(c *come) { c.DomainID, c.TenantDomainID = "i", "pi" })},
		{"auth, user, key before os_ keys", opt(keystone, func(o *Options) {
			o.AuthVersion, o.Auth, o.User, o.Key = "3", "http://first/v3", "fu", "fk"
		}), with(v3, func(c *come) { c.URL, c.User, c.Key = "http://first/v3", "fu", "fk" })},
		{"tenant:user with version 2", Options{AuthVersion: "2", Auth: at, User: "t:u", Key: "p", TenantName: "other"}, v2},
		{"tenant:user with version 3", Options{AuthVersion: "3", Auth: at, User: "t:u", Key: "p"}, v3},
		{"project before tenant", opt(keystone, func(o *Options) { o.AuthVersion, o.TenantName = "3", "other" }), v3},
		{"tenant name", Options{AuthURL: at, Username: "u", Password: "p", TenantName: "t"}, v2},
		{"tenant id", Options{AuthVersion: "2", AuthURL: at, Username: "u", Password: "p", TenantID: "i"}, with(v2, func(c *come) { c.Tenant, c.TenantID = "", "i" })},
		{"project id", opt(keystone, func(o *Options) { o.AuthVersion, o.ProjectID = "3", "i" }), with(v3, func(c *come) { c.Tenant, c.TenantID, c.TenantDomainID = "", "i", "" })},
		{"user id", opt(keystone, func(o *Options) { o.AuthVersion, o.UserID = "3", "i" }), with(v3, func(c *come) { c.User, c.UserID, c.DomainID = "", "i", "" })},
		{"region and endpoint", opt(keystone, func(o *Options) { o.AuthVersion, o.RegionName, o.EndpointType = "3", "r", "internalURL" }), with(v3, func(c *come) { c.Region, c.Endpoint = "r", "internal" })},
		{"endpoint without URL", opt(keystone, func(o *Options) { o.AuthVersion, o.EndpointType = "3", "admin" }), with(v3, func(c *come) { c.Endpoint = "admin" })},
		{"snet", opt(keystone, func(o *Options) { o.AuthVersion, o.Snet = "3", true }), with(v3, func(c *come) { c.Internal = true })},
		{"application credential", Options{AuthURL: at, ApplicationID: "i", ApplicationSecret: "s"}, come{Version: 3, URL: v3At, ApplicationID: "i", ApplicationSecret: "s"}},
		{"application credential by type", opt(keystone, func(o *Options) { o.AuthType, o.ApplicationID, o.ApplicationSecret = applicationType, "i", "s" }), come{Version: 3, URL: v3At, ApplicationID: "i", ApplicationSecret: "s"}},
		{"password beside an application credential", opt(keystone, func(o *Options) { o.AuthVersion, o.ApplicationID, o.ApplicationSecret = "3", "i", "s" }), v3},
		{"token and storage URL", Options{AuthToken: "t", StorageURL: "http://s/v1/AUTH_a/"}, come{Version: 1, GivenToken: "t", StorageURL: "http://s/v1/AUTH_a"}},
		{"storage URL with credentials", Options{Auth: at, User: "u", Key: "k", StorageURL: "http://s/v1/AUTH_a"}, come{Version: 1, URL: at, User: "u", Key: "k", StorageURL: "http://s/v1/AUTH_a"}},
		{"token, storage URL and credentials", opt(keystone, func(o *Options) { o.AuthVersion, o.AuthToken, o.StorageURL = "3", "t", "http://s/v1/AUTH_a" }), with(v3, func(c *come) { c.GivenToken, c.StorageURL = "t", "http://s/v1/AUTH_a" })},
		{"token for another token", Options{AuthVersion: "3", AuthURL: at, AuthToken: "t", ProjectName: "t"}, come{Version: 3, URL: v3At, Token: "t", Tenant: "t", DomainID: "default", TenantDomainID: "default"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			id, err := test.o.resolve()
			if err != nil {
				t.Fatal(err)
			}
			if got := comeOf(id); got != test.want {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
			var _ *ncw.Connection = id.connection(unreachable{})
		})
	}
}

func TestDefaultOptions(t *testing.T) {
	want := Options{AuthVersion: "1.0", Retries: 5, StartingBackoff: "1", MaxBackoff: "64", RetryOnRatelimit: true, UseSLO: true}
	if got := defaults(); got != want {
		t.Errorf("without an environment: %#v", got)
	}
	// Every variable that python-swiftclient reads, each with its own name as
	// its value.
	variables := strings.Fields(`ST_AUTH ST_AUTH_VERSION ST_USER ST_KEY OS_USERNAME OS_USER_ID OS_USER_DOMAIN_NAME
		OS_USER_DOMAIN_ID OS_PASSWORD OS_TENANT_ID OS_TENANT_NAME OS_PROJECT_NAME OS_PROJECT_ID OS_PROJECT_DOMAIN_NAME
		OS_PROJECT_DOMAIN_ID OS_AUTH_URL OS_AUTH_TOKEN OS_AUTH_TYPE OS_APPLICATION_CREDENTIAL_ID
		OS_APPLICATION_CREDENTIAL_SECRET OS_STORAGE_URL OS_REGION_NAME OS_ENDPOINT_TYPE OS_CACERT OS_CERT OS_KEY`)
	asked := map[string]bool{}
	o := DefaultOptions(func(name string) (string, bool) {
		asked[name] = true
		if name == "SWIFTCLIENT_INSECURE" {
			return "On", true
		}
		return name, name != ""
	})
	v := reflect.ValueOf(o)
	for i := range v.NumField() {
		field := v.Type().Field(i)
		variable, key := field.Tag.Get("env"), field.Tag.Get("config")
		if key == "" || field.Tag.Get("doc") == "" || field.Tag.Get("example") == "" {
			t.Errorf("%s: a tag is missing", field.Name)
		}
		if variable == "" || field.Type.Kind() != reflect.String {
			continue
		}
		name := strings.ToUpper(key)
		if !strings.HasPrefix(name, "OS_") {
			name = "ST_" + name
		}
		if variable != name || v.Field(i).String() != name {
			t.Errorf("%s has %q from %s, want %s", key, v.Field(i), variable, name)
		}
	}
	for _, name := range variables {
		if !asked[name] {
			t.Errorf("%s is not looked at", name)
		}
	}
	if !o.Insecure {
		t.Error("SWIFTCLIENT_INSECURE=On is not applied")
	}
	empty := DefaultOptions(func(string) (string, bool) { return "", true })
	if empty != want {
		t.Errorf("empty variables: %#v", empty)
	}
}

func TestValidate(t *testing.T) {
	good := defaults()
	good.Container, good.Auth, good.User, good.Key = "archive", "https://s/auth/v1.0", "a:u", "hunter2"
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	keystone := defaults()
	keystone.Container, keystone.AuthVersion, keystone.AuthURL = "archive", "3", "https://k/v3"
	keystone.Username, keystone.Password, keystone.ProjectName = "u", "hunter2", "p"
	if err := keystone.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		from   Options
		change func(*Options)
		want   string
	}{
		{good, func(o *Options) { o.Container = "" }, "container: is missing"},
		{good, func(o *Options) { o.Container = "a/b" }, `container: "a/b" is no name`},
		{good, func(o *Options) { o.Container = ".." }, `container: ".." is no name`},
		{good, func(o *Options) { o.Container = strings.Repeat("c", 257) }, "container: has 257 bytes"},
		{good, func(o *Options) { o.Container = strings.Repeat("c", 250) }, "segment_container: has 259 bytes"},
		{good, func(o *Options) { o.SegmentContainer = "archive" }, "segment_container: is the container itself"},
		{good, func(o *Options) { o.KeyPrefix = "\xff" }, "anchore_key_prefix: "},
		{good, func(o *Options) { o.AuthVersion = "4" }, `auth_version: "4" is none of`},
		{good, func(o *Options) { o.Auth = "" }, "auth: missing or empty"},
		{good, func(o *Options) { o.Auth = "s:8080/auth" }, "auth: not of the form"},
		{good, func(o *Options) { o.Auth = "https://u:hunter2@s/auth" }, "auth: holds a user or password"},
		{good, func(o *Options) { o.Auth = "https://s/auth?x=hunter2" }, "auth: has a query"},
		{good, func(o *Options) { o.User = "" }, "os_username: missing"},
		{good, func(o *Options) { o.Key = "" }, "os_password: missing"},
		{good, func(o *Options) { o.EndpointType = "secretURL" }, "os_endpoint_type: "},
		{good, func(o *Options) { o.AuthType = "v3oidc" }, "os_auth_type: "},
		{good, func(o *Options) { o.StorageURL = "nowhere" }, "os_storage_url: not of the form"},
		{good, func(o *Options) { o.Timeout = "soon" }, "timeout: wants a number of seconds"},
		{good, func(o *Options) { o.StartingBackoff = "-1" }, "starting_backoff: wants"},
		{good, func(o *Options) { o.MaxBackoff = "NaN" }, "max_backoff: wants"},
		{good, func(o *Options) { o.Retries = -1 }, "retries: is negative"},
		{good, func(o *Options) { o.SegmentSize = -1 }, "segment_size: is negative"},
		{good, func(o *Options) { o.CertKey = "k" }, "os_cert: missing"},
		{keystone, func(o *Options) { o.AuthURL = "" }, "os_auth_url: missing or empty"},
		{keystone, func(o *Options) { o.ProjectName = "" }, "os_project_name: missing"},
		{keystone, func(o *Options) { o.ProjectName, o.AuthVersion = "", "2" }, "os_tenant_name: missing"},
		{keystone, func(o *Options) { o.Username = "" }, "os_username: missing"},
		{keystone, func(o *Options) { o.Password = "" }, "os_password: missing"},
		{keystone, func(o *Options) { o.Password, o.ApplicationID = "", "i" }, "os_application_credential_id: "},
		{keystone, func(o *Options) { o.AuthType = applicationType }, "os_application_credential_id: "},
	} {
		o := test.from
		test.change(&o)
		err := o.Validate()
		if drivers.KindOf(err) != drivers.Config || !strings.HasPrefix(fmt.Sprint(err), "open: "+test.want) {
			t.Errorf("got %v, want %s", err, test.want)
		}
		if strings.Contains(fmt.Sprint(err), "hunter2") {
			t.Errorf("a secret in %v", err)
		}
	}
}

func TestPrintedOptionsHoldNoSecret(t *testing.T) {
	o := Options{Container: "archive", User: "u:hunter2", Key: "hunter2", Password: "hunter2", AuthToken: "hunter2", ApplicationSecret: "hunter2"}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "o", o)
	printed := log.String() + fmt.Sprintf("%v %+v %#v %s", o, o, o, o)
	if strings.Contains(printed, "hunter2") || !strings.Contains(printed, "swift://archive/") {
		t.Error(printed)
	}
}

func TestRetryPolicyAndTuning(t *testing.T) {
	o := defaults()
	if got := o.RetryPolicy(); got != (RetryPolicy{6, time.Second, 64 * time.Second}) {
		t.Errorf("by default: %+v", got)
	}
	o.Retries, o.StartingBackoff, o.MaxBackoff = 0, "0.5", "0"
	if got := o.RetryPolicy(); got != (RetryPolicy{1, time.Second / 2, time.Second / 2}) {
		t.Errorf("got %+v", got)
	}
	o.SegmentSize, o.Timeout = 2<<20, "2.5"
	if got := o.tune(Tuning{SegmentBytes: 9, Workers: 3}); got.SegmentBytes != 2<<20 || got.ConnectTimeout != 2500*time.Millisecond || got.ResponseTimeout != 2500*time.Millisecond || got.Workers != 3 {
		t.Errorf("got %+v", got)
	}
	for size, want := range map[int64]int64{1: minSegmentBytes, 5 << 30: maxSegmentBytes} {
		o.SegmentSize = size
		if got := o.tune(Tuning{}); got.SegmentBytes != want {
			t.Errorf("segment_size %d: %d", size, got.SegmentBytes)
		}
	}
}

// TestStrayCharacters: what does not show in a user or secret is named.
func TestStrayCharacters(t *testing.T) {
	v1 := Options{Container: "c", Auth: "http://k:5000", User: "a:u", Key: "k"}
	v3 := Options{Container: "c", AuthVersion: "3", AuthURL: "http://k:5000", Username: "u", Password: "hush", ProjectName: "t"}
	for _, tt := range []struct {
		base   Options
		change func(*Options)
		want   string // "" where nothing is wrong
	}{
		{v1, func(o *Options) { o.User += "\n" }, "user: ends with a line break"},
		{v1, func(o *Options) { o.Key += "\n" }, "key: ends with a line break"},
		{v1, func(o *Options) { o.Key += " " }, "key: ends with a space"},
		{v3, func(o *Options) { o.Username += "\n" }, "os_username: ends with a line break"},
		{v3, func(o *Options) { o.Password += "\n" }, "os_password: ends with a line break"},
		{v3, func(o *Options) { o.Password = " hush " }, ""},
		{v3, func(o *Options) { o.AuthToken = "hush\n" }, "os_auth_token: ends with a line break"},
		{v3, func(o *Options) { o.ApplicationSecret = "hush\r" }, "os_application_credential_secret: ends with a line break"},
	} {
		o := tt.base
		tt.change(&o)
		switch err := o.Validate(); {
		case tt.want == "" && err != nil:
			t.Error(err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hush")):
			t.Errorf("%v, want %q", err, tt.want)
		}
	}
}
