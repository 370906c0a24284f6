package swift

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	ncw "github.com/ncw/swift/v2"
)

// authMethod is what messages say of the way in which the store authenticates.
type authMethod struct {
	url    string // of the identity service
	urlKey string // the option that names it
	mend   string // what to check when it refuses
}

// identity is what the options come to by python-swiftclient's rules
// (swiftclient.service.process_options and swiftclient.client.get_auth).
type identity struct {
	conn  ncw.Connection
	token string // given, with no need to ask for one
	// storageURL goes before the one that the identity service names.
	storageURL string
	method     authMethod
}

const (
	v1 = "1.0"
	v2 = "2.0"
	v3 = "3"
)

// version applies the rules for auth_version. Anything but version 2 and 3 means
// version 1 only where all of version 1's options are given.
func (o Options) version() (string, error) {
	version := o.AuthVersion
	switch version {
	case "", "1", "1.0":
		version = v1
	case "2", "2.0":
		version = v2
	case "3", "3.0":
		version = v3
	default:
		return "", fmt.Errorf("auth_version: %q is none of 1, 2 and 3", version)
	}
	if o.usesApplication() {
		return v3, nil
	}
	if version == v1 && (o.Auth == "" || o.User == "" || o.Key == "") {
		if o.UserDomainID != "" || o.UserDomainName != "" || o.ProjectDomainID != "" || o.ProjectDomainName != "" {
			return v3, nil
		}
		return v2, nil
	}
	return version, nil
}

const applicationType = "v3applicationcredential"

// usesApplication says whether an application credential authenticates: where
// os_auth_type says so, or there is no password beside it.
func (o Options) usesApplication() bool {
	if o.AuthType != "" {
		return o.AuthType == applicationType
	}
	return o.ApplicationID != "" && cmp.Or(o.Key, o.Password) == ""
}

// resolve turns the options into what the client library takes.
func (o Options) resolve() (*identity, error) {
	version, err := o.version()
	if err != nil {
		return nil, err
	}
	id := &identity{storageURL: strings.TrimRight(o.StorageURL, "/")}
	if id.storageURL != "" {
		if err := checkURL("os_storage_url", id.storageURL); err != nil {
			return nil, err
		}
	}
	if err := o.checkAuthType(); err != nil {
		return nil, err
	}
	if o.AuthToken != "" && id.storageURL != "" && !o.canAuthenticate() {
		id.token = o.AuthToken
		id.conn = ncw.Connection{AuthVersion: 1}
		id.method = authMethod{urlKey: "os_storage_url"}
		return id, nil
	}
	if err := o.resolveService(id, version); err != nil {
		return nil, err
	}
	if o.AuthToken != "" && id.storageURL != "" {
		id.token = o.AuthToken // until it expires
	}
	return id, nil
}

// canAuthenticate says whether there is more than a token to authenticate with.
func (o Options) canAuthenticate() bool {
	return cmp.Or(o.Auth, o.AuthURL) != "" && (cmp.Or(o.Key, o.Password) != "" || o.usesApplication())
}

func (o Options) checkAuthType() error {
	switch o.AuthType {
	case "", applicationType, "password", "v1password", "v2password", "v3password":
		return nil
	}
	return fmt.Errorf("os_auth_type: %q is none of v3password, v3applicationcredential", o.AuthType)
}

func (o Options) resolveService(id *identity, version string) error {
	c := &id.conn
	c.AuthUrl, id.method.urlKey = o.Auth, "auth"
	if c.AuthUrl == "" {
		c.AuthUrl, id.method.urlKey = o.AuthURL, "os_auth_url"
	}
	switch {
	case c.AuthUrl == "" && cmp.Or(o.User, o.Key) != "":
		return errors.New("auth: missing or empty; give the URL of the identity service in auth, or in os_auth_url")
	case c.AuthUrl == "":
		return errors.New("os_auth_url: missing or empty; give the URL of the identity service in os_auth_url, or in auth")
	}
	if err := checkURL(id.method.urlKey, c.AuthUrl); err != nil {
		return err
	}
	c.UserName, c.ApiKey = cmp.Or(o.User, o.Username), cmp.Or(o.Key, o.Password)
	c.Region, c.Internal = o.RegionName, o.Snet
	endpoint, err := endpointType(o.EndpointType)
	if err != nil {
		return err
	}
	c.EndpointType = endpoint
	switch version {
	case v1:
		err = o.resolveV1(c)
		id.method.mend = "check user and key"
	case v2:
		err = o.resolveV2(c)
		id.method.mend = "check user, password and os_tenant_name"
	default:
		err = o.resolveV3(c)
		id.method.mend = "check user, password, os_project_name and the domains"
		if c.ApplicationCredentialId != "" {
			id.method.mend = "check os_application_credential_id and os_application_credential_secret"
		}
	}
	id.method.url = publicURL(c.AuthUrl)
	return err
}

// resolveV1: user is passed as it is, with its colon.
func (o Options) resolveV1(c *ncw.Connection) error {
	c.AuthVersion = 1
	c.EndpointType = "" // has no meaning there
	return demandUser(c)
}

func demandUser(c *ncw.Connection) error {
	switch {
	case c.UserName == "" && c.UserId == "":
		return errors.New("os_username: missing; give os_username, or user")
	case c.ApiKey == "":
		return errors.New("os_password: missing; give os_password, or key")
	}
	return nil
}

// resolveV2: a user of the form tenant:user names both.
func (o Options) resolveV2(c *ncw.Connection) error {
	c.AuthVersion = 2
	c.AuthUrl = versioned(c.AuthUrl, "v2.0")
	o.resolveProject(c)
	if err := demandUser(c); err != nil {
		return err
	}
	if c.Tenant == "" && c.TenantId == "" {
		return errors.New("os_tenant_name: missing; version 2 needs os_tenant_name or os_tenant_id")
	}
	return nil
}

// resolveProject: a tenant in the user's name goes before os_tenant_name, a
// project before any tenant.
func (o Options) resolveProject(c *ncw.Connection) {
	tenant := o.TenantName
	if before, after, found := strings.Cut(c.UserName, ":"); found {
		tenant, c.UserName = before, after
	}
	c.Tenant, c.TenantId = cmp.Or(o.ProjectName, tenant), cmp.Or(o.ProjectID, o.TenantID)
}

// resolveV3: a domain that is not given is the one with the id "default", for
// user and project separately.
func (o Options) resolveV3(c *ncw.Connection) error {
	c.AuthVersion = 3
	c.AuthUrl = versioned(c.AuthUrl, "v3")
	if o.usesApplication() {
		c.ApplicationCredentialId, c.ApplicationCredentialSecret = o.ApplicationID, o.ApplicationSecret
		c.UserName, c.ApiKey = "", ""
		if o.ApplicationID == "" || o.ApplicationSecret == "" {
			return errors.New("os_application_credential_id: an application credential needs os_application_credential_id and os_application_credential_secret")
		}
		return nil
	}
	o.resolveProject(c)
	if o.UserID != "" {
		c.UserId, c.UserName = o.UserID, "" // the id is enough
	} else {
		c.Domain, c.DomainId = domain(o.UserDomainName, o.UserDomainID)
	}
	if c.TenantId == "" {
		c.TenantDomain, c.TenantDomainId = domain(o.ProjectDomainName, o.ProjectDomainID)
	} else {
		c.Tenant = "" // the id is enough
	}
	if c.ApiKey == "" && o.AuthToken != "" {
		c.Token = o.AuthToken
	} else if err := demandUser(c); err != nil {
		return err
	}
	if c.Tenant == "" && c.TenantId == "" {
		return errors.New("os_project_name: missing; version 3 needs os_project_name or os_project_id")
	}
	return nil
}

func domain(name, id string) (string, string) {
	switch {
	case id != "":
		return "", id
	case name != "":
		return name, ""
	}
	return "", "default"
}

var versionPath = regexp.MustCompile(`^v[23](\.0)?$`)

// versioned appends the version to a URL that ends in none.
func versioned(raw, version string) string {
	raw = strings.TrimRight(raw, "/")
	if versionPath.MatchString(raw[strings.LastIndexByte(raw, '/')+1:]) {
		return raw
	}
	return raw + "/" + version
}

func endpointType(name string) (ncw.EndpointType, error) {
	switch strings.TrimSuffix(name, "URL") {
	case "":
		return "", nil
	case "public":
		return ncw.EndpointTypePublic, nil
	case "internal":
		return ncw.EndpointTypeInternal, nil
	case "admin":
		return ncw.EndpointTypeAdmin, nil
	}
	return "", fmt.Errorf("os_endpoint_type: %q is none of publicURL, internalURL and adminURL", name)
}

// checkURL never quotes the URL: it may hold a password.
func checkURL(key, raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return fmt.Errorf("%s: not of the form https://host[:port]/path", key)
	case u.User != nil:
		return fmt.Errorf("%s: holds a user or password; use the options for them", key)
	case u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%s: has a query or a fragment, which it cannot have", key)
	}
	return nil
}

// never is longer than any request: the transport bounds every wait, and the
// library's own timers would be one more, less exact.
const never = 7 * 24 * time.Hour

// connection makes the library's connection.
func (id *identity) connection(transport http.RoundTripper) *ncw.Connection {
	c := &id.conn
	c.Transport = transport
	c.Retries = 2 // a token is renewed; see Store.open
	c.ConnectTimeout, c.Timeout = never, never
	c.UserAgent = "kedge"
	if id.storageURL != "" {
		c.Auth = &elsewhere{Authenticator: authenticatorOf(c), url: id.storageURL}
	}
	if id.token != "" {
		c.AuthToken, c.StorageUrl = id.token, id.storageURL
		if c.AuthUrl == "" {
			c.Auth = fixedToken{}
		}
	}
	return c
}

// authenticatorOf is the library's authenticator for a connection's version. It
// has no function that makes one, but leaves it in a connection that has tried.
func authenticatorOf(c *ncw.Connection) ncw.Authenticator {
	probe := &ncw.Connection{
		AuthVersion: c.AuthVersion, AuthUrl: c.AuthUrl, ApiKey: c.ApiKey, UserName: c.UserName,
		Transport: unreachable{}, ConnectTimeout: never,
	}
	_ = probe.Authenticate(context.Background()) // fails before any traffic
	return probe.Auth
}

type unreachable struct{}

func (unreachable) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("nothing is sent")
}

// elsewhere authenticates as usual and keeps to the storage URL of the options,
// which the library would replace.
type elsewhere struct {
	ncw.Authenticator
	url string
}

func (e *elsewhere) StorageUrl(bool) string { return e.url }

// Expires passes on when the token ends, where that is known.
func (e *elsewhere) Expires() time.Time {
	if inner, ok := e.Authenticator.(ncw.Expireser); ok {
		return inner.Expires()
	}
	return time.Time{}
}

var errFixedToken = errors.New("the server no longer accepts the token in os_auth_token")

// fixedToken stands where there is nothing to get another token with.
type fixedToken struct{}

func (fixedToken) Request(context.Context, *ncw.Connection) (*http.Request, error) {
	return nil, errFixedToken
}
func (fixedToken) Response(context.Context, *http.Response) error { return errFixedToken }
func (fixedToken) StorageUrl(bool) string                         { return "" }
func (fixedToken) Token() string                                  { return "" }
func (fixedToken) CdnUrl() string                                 { return "" }

// tlsConfig reads the certificates that the options name.
func (o Options) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{InsecureSkipVerify: o.Insecure}
	if o.CACert != "" {
		text, err := os.ReadFile(o.CACert)
		if err != nil {
			return nil, fmt.Errorf("os_cacert: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("os_cacert: %s holds no certificate in PEM form", o.CACert)
		}
	}
	if o.Cert != "" {
		pair, err := tls.LoadX509KeyPair(o.Cert, cmp.Or(o.CertKey, o.Cert))
		if err != nil {
			return nil, fmt.Errorf("os_cert: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
