package swift

import (
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/kedge/kedge/drivers"
)

// Options are the keys below storage_driver.config for the driver swift:
// Anchore's own three, and those of python-swiftclient's SwiftService that have
// a meaning here. Start from DefaultOptions, which fills in the environment
// variables that the tag env names; a key that is given goes before its
// variable.
//
// The tags doc, default, env and example are for the documentation, which is
// generated from them.
type Options struct {
	Container       string `config:"container" doc:"Name of the container; required." example:"anchorearchive"`
	CreateContainer bool   `config:"create_container" default:"false" doc:"Create the container when it is not there." example:"True"`
	KeyPrefix       string `config:"anchore_key_prefix" falsy:"text" secret:"false" doc:"What every object's name begins with, as it stands: no slash is added." example:"anchore/"`

	Auth        string `config:"auth" env:"ST_AUTH" doc:"URL of the identity service; goes before os_auth_url." example:"https://swift.example.com/auth/v1.0"`
	User        string `config:"user" env:"ST_USER" secret:"true" doc:"User; goes before os_username. With version 1 it is passed as it is, with versions 2 and 3 tenant:user names both." example:"account:user"`
	Key         string `config:"key" env:"ST_KEY" secret:"true" doc:"Key of user; goes before os_password." example:"${SWIFT_KEY}"`
	AuthVersion string `config:"auth_version" env:"ST_AUTH_VERSION" default:"1.0" doc:"Version of authentication: 1, 2 or 3. Without all of auth, user and key, version 1 means 3 where a domain is given, else 2." example:"3"`

	AuthURL           string `config:"os_auth_url" env:"OS_AUTH_URL" doc:"URL of Keystone; v2.0 or v3 is appended where it ends in no version." example:"https://keystone.example.com:5000/v3"`
	AuthType          string `config:"os_auth_type" env:"OS_AUTH_TYPE" doc:"v3applicationcredential to use the application credential where there is a password too; otherwise not needed." example:"v3applicationcredential"`
	Username          string `config:"os_username" env:"OS_USERNAME" doc:"User." example:"anchore"`
	Password          string `config:"os_password" env:"OS_PASSWORD" secret:"true" doc:"Password of the user." example:"${OS_PASSWORD}"`
	UserID            string `config:"os_user_id" env:"OS_USER_ID" doc:"Id of the user, in place of name and domain." example:"4b6b1e3a9f0e4f5b8a1c"`
	UserDomainName    string `config:"os_user_domain_name" env:"OS_USER_DOMAIN_NAME" doc:"Domain of the user." example:"Default"`
	UserDomainID      string `config:"os_user_domain_id" env:"OS_USER_DOMAIN_ID" default:"default, where no user domain is given" doc:"Id of the user's domain; goes before its name." example:"default"`
	ProjectName       string `config:"os_project_name" env:"OS_PROJECT_NAME" doc:"Project; goes before a tenant." example:"archive"`
	ProjectID         string `config:"os_project_id" env:"OS_PROJECT_ID" doc:"Id of the project, in place of name and domain." example:"9d2c7a51c0d94d6e8f77"`
	ProjectDomainName string `config:"os_project_domain_name" env:"OS_PROJECT_DOMAIN_NAME" doc:"Domain of the project." example:"Default"`
	ProjectDomainID   string `config:"os_project_domain_id" env:"OS_PROJECT_DOMAIN_ID" default:"default, where no project domain is given" doc:"Id of the project's domain; goes before its name." example:"default"`
	TenantName        string `config:"os_tenant_name" env:"OS_TENANT_NAME" doc:"Version 2's name for the project." example:"archive"`
	TenantID          string `config:"os_tenant_id" env:"OS_TENANT_ID" doc:"Version 2's name for the project's id." example:"9d2c7a51c0d94d6e8f77"`
	ApplicationID     string `config:"os_application_credential_id" env:"OS_APPLICATION_CREDENTIAL_ID" doc:"Id of an application credential, which stands for user, password and project." example:"21dced0fd20347869b93"`
	ApplicationSecret string `config:"os_application_credential_secret" env:"OS_APPLICATION_CREDENTIAL_SECRET" secret:"true" doc:"Secret of the application credential." example:"${OS_APPLICATION_CREDENTIAL_SECRET}"`

	AuthToken  string `config:"os_auth_token" env:"OS_AUTH_TOKEN" secret:"true" doc:"A token from elsewhere; with os_storage_url nothing else is needed until it expires." example:"${OS_AUTH_TOKEN}"`
	StorageURL string `config:"os_storage_url" env:"OS_STORAGE_URL" doc:"URL of the account at the object store, in place of the one that the identity service names." example:"https://swift.example.com/v1/AUTH_archive"`

	RegionName   string `config:"os_region_name" env:"OS_REGION_NAME" falsy:"empty" doc:"Region whose object store to use; without it the first one that Keystone names." example:"RegionOne"`
	EndpointType string `config:"os_endpoint_type" env:"OS_ENDPOINT_TYPE" falsy:"empty" default:"publicURL" doc:"Which of the object store's addresses: publicURL, internalURL or adminURL." example:"internalURL"`
	Snet         bool   `config:"snet" default:"false" doc:"Use the provider's internal network: snet- before the host with version 1, the internal address otherwise." example:"False"`

	CACert   string `config:"os_cacert" env:"OS_CACERT" falsy:"empty" doc:"File with the certificates of the authorities to trust, in place of the system's." example:"/etc/ssl/private-ca.pem"`
	Cert     string `config:"os_cert" env:"OS_CERT" falsy:"empty" doc:"File with the client's certificate." example:"/etc/kedge/client.pem"`
	CertKey  string `config:"os_key" env:"OS_KEY" secret:"false" falsy:"empty" default:"os_cert" doc:"File with the private key of os_cert." example:"/etc/kedge/client.key"`
	Insecure bool   `config:"insecure" env:"SWIFTCLIENT_INSECURE" default:"false" doc:"Accept any certificate of the servers." example:"False"`

	Retries          int    `config:"retries" default:"5" doc:"How often an operation is tried again." example:"5"`
	StartingBackoff  string `config:"starting_backoff" default:"1" doc:"Seconds before an operation is tried again the first time; each further wait is twice as long." example:"1"`
	MaxBackoff       string `config:"max_backoff" default:"64" doc:"Seconds of the longest such wait." example:"64"`
	Timeout          string `config:"timeout" falsy:"empty" default:"10 to connect, 60 to wait for an answer" doc:"Seconds that the server may be silent." example:"60"`
	RetryOnRatelimit bool   `config:"retry_on_ratelimit" default:"true" doc:"Try again when the server says that there were too many requests." example:"True"`

	SegmentSize      int64  `config:"segment_size" default:"8388608" doc:"Bytes of a segment of a large object, and the longest payload that is sent in one request when it is read as a stream; kept between 1048576 and 16777216." example:"8388608"`
	SegmentContainer string `config:"segment_container" falsy:"empty" default:"container with _segments behind it" doc:"Container of the segments of large objects; created with the first." example:"anchorearchive_segments"`
	UseSLO           bool   `config:"use_slo" default:"true" doc:"Accepted, and changes nothing: large objects are always static ones, because a dynamic one appears before all of it can be read." example:"True"`
}

// URIPrefix is what every URI of the store begins with, as Store.Prefix tells it of
// an open one.
func (o Options) URIPrefix() string { return scheme + o.Container + "/" + o.KeyPrefix }

// DefaultOptions are the defaults of python-swiftclient with the environment's
// variables applied. lookup finds a variable; nil means os.LookupEnv.
func DefaultOptions(lookup func(name string) (string, bool)) Options {
	if lookup == nil {
		lookup = os.LookupEnv
	}
	o := Options{AuthVersion: "1.0", Retries: 5, StartingBackoff: "1", MaxBackoff: "64", RetryOnRatelimit: true, UseSLO: true}
	v := reflect.ValueOf(&o).Elem()
	for i := range v.NumField() {
		value, set := lookup(v.Type().Field(i).Tag.Get("env"))
		switch field := v.Field(i); {
		case !set || value == "" || v.Type().Field(i).Tag.Get("env") == "":
		case field.Kind() == reflect.String:
			field.SetString(value)
		case field.Kind() == reflect.Bool:
			field.SetBool(isTrue(value))
		}
	}
	return o
}

// isTrue is how python-swiftclient reads a boolean from the environment.
func isTrue(value string) bool {
	switch strings.ToLower(value) {
	case "true", "1", "yes", "on", "t", "y":
		return true
	}
	return false
}

// String is where the options point, without the credentials.
func (o Options) String() string { return scheme + o.Container + "/" + o.KeyPrefix }

// GoString is String: no way of printing shows the credentials.
func (o Options) GoString() string { return o.String() }

// LogValue is String.
func (o Options) LogValue() slog.Value { return slog.StringValue(o.String()) }

// RetryPolicy is what the options say of trying again, which is not the
// driver's affair.
type RetryPolicy struct {
	// Attempts is how often an operation is tried at most, the first attempt
	// included.
	Attempts int
	// First is the wait before the second attempt, Max the longest between two.
	First, Max time.Duration
}

// RetryPolicy tells how often and after what waits to try again. Of options that
// Validate does not accept it gives zeros.
func (o Options) RetryPolicy() RetryPolicy {
	first, _ := seconds(o.StartingBackoff)
	most, _ := seconds(o.MaxBackoff)
	return RetryPolicy{Attempts: max(o.Retries, 0) + 1, First: first, Max: max(first, most)}
}

// seconds reads a number of seconds; "" is 0.
func seconds(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	number, err := strconv.ParseFloat(text, 64)
	if err != nil || !(number >= 0 && number <= 86400) {
		return 0, fmt.Errorf("wants a number of seconds, at most %d", 86400)
	}
	return time.Duration(number * float64(time.Second)), nil
}

// segmentsSuffix is what python-swiftclient puts behind the container's name.
const segmentsSuffix = "_segments"

func (o Options) segmentContainer() string {
	if o.SegmentContainer != "" {
		return o.SegmentContainer
	}
	return o.Container + segmentsSuffix
}

// The bounds of segment_size in bytes: the lower keeps large objects within the
// number of segments that servers allow, the upper is memory.
const (
	minSegmentBytes = 1 << 20
	maxSegmentBytes = 16 << 20
)

// tune lets the options go before the program's tuning.
func (o Options) tune(t Tuning) Tuning {
	if o.SegmentSize > 0 {
		t.SegmentBytes = min(max(o.SegmentSize, minSegmentBytes), maxSegmentBytes)
	}
	if timeout, err := seconds(o.Timeout); err == nil && timeout > 0 {
		t.ConnectTimeout, t.ResponseTimeout = timeout, timeout
	}
	return t.withDefaults()
}

// Validate checks the options without any traffic and without looking at files.
// Its error has kind Config and begins with the key that is wrong.
func (o Options) Validate() error {
	err := o.check()
	if err == nil {
		_, err = o.resolve()
	}
	if err != nil {
		return &drivers.Error{Op: "open", Kind: drivers.Config, Err: err}
	}
	return nil
}

// checkCharacters looks for what does not show in users and secrets. With version 1
// they travel as headers, which carry no space at an end.
func (o Options) checkCharacters() error {
	password := drivers.SpacesAnyhow
	if version, err := o.version(); err == nil && version == v1 {
		password = drivers.InnerSpaces
	}
	for _, c := range []struct {
		key, value string
		may        drivers.Spaces
	}{
		{"user", o.User, drivers.InnerSpaces},
		{"os_username", o.Username, drivers.InnerSpaces},
		{"os_user_id", o.UserID, drivers.InnerSpaces},
		{"key", o.Key, password},
		{"os_password", o.Password, password},
		{"os_application_credential_id", o.ApplicationID, drivers.NoSpaces},
		{"os_application_credential_secret", o.ApplicationSecret, password},
		{"os_auth_token", o.AuthToken, drivers.NoSpaces},
	} {
		if err := drivers.CheckCredential(c.value, c.may); err != nil {
			return fmt.Errorf("%s: %w", c.key, err)
		}
	}
	return nil
}

func (o Options) check() error {
	if err := checkContainer(o.Container); err != nil {
		return fmt.Errorf("container: %w", err)
	}
	if err := checkContainer(o.segmentContainer()); err != nil {
		return fmt.Errorf("segment_container: %w", err)
	}
	if o.segmentContainer() == o.Container {
		return fmt.Errorf("segment_container: is the container itself, where segments would pass for documents")
	}
	if err := checkName(o.KeyPrefix); err != nil || len(o.KeyPrefix) > maxNameBytes/2 {
		return fmt.Errorf("anchore_key_prefix: holds a NUL, is not UTF-8 or has more than %d bytes", maxNameBytes/2)
	}
	if err := o.checkCharacters(); err != nil {
		return err
	}
	for _, number := range []struct{ key, text string }{
		{"starting_backoff", o.StartingBackoff}, {"max_backoff", o.MaxBackoff}, {"timeout", o.Timeout},
	} {
		if _, err := seconds(number.text); err != nil {
			return fmt.Errorf("%s: %w", number.key, err)
		}
	}
	switch {
	case o.Retries < 0:
		return fmt.Errorf("retries: is negative")
	case o.SegmentSize < 0:
		return fmt.Errorf("segment_size: is negative")
	case o.CertKey != "" && o.Cert == "":
		return fmt.Errorf("os_cert: missing; os_key is set without it")
	}
	return nil
}
