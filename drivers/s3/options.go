package s3

import (
	"cmp"
	"log/slog"
	"strings"
)

// Options are the keys below storage_driver.config for the driver s3, in two
// vocabularies: Anchore's, and that of the S3 driver of the Docker registry.
// They may be mixed, but an option that both have, under different names, is
// given in one of them only.
//
// The tags doc, default, env and example are for the documentation, which is
// generated from them.
type Options struct {
	AccessKey    string `config:"access_key" secret:"true" doc:"Access key. The registry calls it accesskey." env:"AWS_ACCESS_KEY_ID (with iamauto)" example:"AKIAIOSFODNN7EXAMPLE"`
	SecretKey    string `config:"secret_key" secret:"true" doc:"Secret key of access_key. The registry calls it secretkey." env:"AWS_SECRET_ACCESS_KEY (with iamauto)" example:"${S3_SECRET_KEY}"`
	IAMAuto      bool   `config:"iamauto" default:"false" doc:"Take the credentials from the environment: variables, shared profile, web identity token file, ECS container endpoint or EC2 instance metadata version 2, in this order." env:"AWS_PROFILE, AWS_SHARED_CREDENTIALS_FILE, AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN, AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, AWS_CONTAINER_CREDENTIALS_FULL_URI, AWS_EC2_METADATA_SERVICE_ENDPOINT" example:"True"`
	URL          string `config:"url" doc:"URL of a server other than Amazon's, without the S3 bucket; region is then ignored, unless the server insists on one. The registry calls it regionendpoint. A private certificate authority of the server is named by the environment." env:"AWS_CA_BUNDLE (the file with the authority's certificate)" example:"https://minio.example.com:9000"`
	Region       string `config:"region" falsy:"empty" beside:"url" doc:"Region of Amazon S3, or the one to sign for at regionendpoint; False is the same as leaving it out." example:"eu-west-1"`
	Bucket       string `config:"bucket" doc:"Name of the S3 bucket; required." example:"anchorearchive"`
	CreateBucket bool   `config:"create_bucket" default:"false" doc:"Create the S3 bucket, in the region given, when it is not there." example:"True"`
	Prefix       string `config:"prefix" falsy:"text" doc:"What every key begins with, as it stands: no slash is added. The registry has rootdirectory." example:"anchore/"`

	RegistryAccessKey *string `config:"accesskey" secret:"true" doc:"The registry's name for access_key. When accesskey and secretkey are empty, the credentials come from the environment as with iamauto." env:"AWS_ACCESS_KEY_ID (when empty)" example:"AKIAIOSFODNN7EXAMPLE"`
	RegistrySecretKey *string `config:"secretkey" secret:"true" doc:"The registry's name for secret_key." env:"AWS_SECRET_ACCESS_KEY (when accesskey is empty)" example:"${S3_SECRET_KEY}"`
	SessionToken      string  `config:"sessiontoken" secret:"true" doc:"Session token, when the keys are temporary credentials." env:"AWS_SESSION_TOKEN (with iamauto)" example:"${S3_SESSION_TOKEN}"`
	RegionEndpoint    *string `config:"regionendpoint" doc:"The registry's name for url; without a scheme, secure decides between https:// and http://. Requests are signed for region." env:"AWS_CA_BUNDLE (the file with the authority's certificate)" example:"minio.example.com:9000"`
	RootDirectory     *string `config:"rootdirectory" doc:"Directory in the S3 bucket: foo and /foo/ both mean that every key begins with foo/." example:"/anchore"`
	Secure            *bool   `config:"secure" default:"true" doc:"Speak TLS. Decides for Amazon S3 and for an endpoint without a scheme." example:"true"`
	SkipVerify        bool    `config:"skipverify" default:"false" doc:"Accept any certificate of the server." example:"false"`
	V4Auth            *bool   `config:"v4auth" default:"true" doc:"Sign with version 4; false signs with version 2, which Amazon's regions since 2014 refuse." example:"true"`
	ForcePathStyle    *bool   `config:"forcepathstyle" default:"true with url or regionendpoint, else false" doc:"Name the S3 bucket in the path of a request, not in its host." example:"true"`
	ChunkSize         *int64  `config:"chunksize" default:"8388608; 10485760 in the registry's vocabulary" doc:"Bytes of a part of a multipart upload, and the longest payload that is sent in one request when its length is not known to be small; at least 5242880." example:"10485760"`
	Encrypt           bool    `config:"encrypt" default:"false" doc:"Have the server encrypt what is stored (SSE-S3, or SSE-KMS with keyid)." example:"true"`
	KeyID             string  `config:"keyid" secret:"false" doc:"Key of the key management service to encrypt with (SSE-KMS); ignored unless encrypt is true." example:"arn:aws:kms:eu-west-1:111122223333:key/archive"`
	StorageClass      string  `config:"storageclass" default:"STANDARD" doc:"Storage class of new objects: STANDARD, REDUCED_REDUNDANCY, STANDARD_IA, ONEZONE_IA, INTELLIGENT_TIERING, GLACIER_IR or OUTPOSTS; NONE leaves it to the server." example:"STANDARD_IA"`
	ObjectACL         string  `config:"objectacl" doc:"Canned access control list of new objects; without it the server's default, private." example:"bucket-owner-full-control"`
	UserAgent         string  `config:"useragent" doc:"Text that is added to the User-Agent of every request." example:"archive-move/1"`
	UseDualStack      bool    `config:"usedualstack" default:"false" doc:"Use Amazon's endpoints that have IPv6 addresses too." example:"true"`
	Accelerate        bool    `config:"accelerate" default:"false" doc:"Use Amazon's transfer acceleration, which must be enabled for the S3 bucket; its name must have no dots." example:"true"`
	UseFIPSEndpoint   bool    `config:"usefipsendpoint" default:"false" doc:"Use Amazon's endpoints with validated cryptography (FIPS 140)." example:"true"`

	// Registry says that the options stand in a registry's configuration file:
	// its defaults hold, whichever keys are given.
	Registry bool
}

const registryPartBytes = 10 << 20

// twin is an option that both vocabularies have, and what is given for it.
type twin struct {
	anchore, registry           string // the keys
	anchoreValue, registryValue *string
}

// value is what is given in either vocabulary.
func (t twin) value() string { return cmp.Or(deref(t.anchoreValue), deref(t.registryValue)) }

// both says whether it is given twice.
func (t twin) both() bool { return *t.anchoreValue != "" && t.registryValue != nil }

func (o Options) accessKey() twin {
	return twin{"access_key", "accesskey", &o.AccessKey, o.RegistryAccessKey}
}

func (o Options) secretKey() twin {
	return twin{"secret_key", "secretkey", &o.SecretKey, o.RegistrySecretKey}
}

func (o Options) endpointTwin() twin {
	return twin{"url", "regionendpoint", &o.URL, o.RegionEndpoint}
}

func (o Options) prefixTwin() twin {
	return twin{"prefix", "rootdirectory", &o.Prefix, o.RootDirectory}
}

// key is what a message calls the option: as the configuration does.
func (o Options) key(t twin) string {
	if t.registryValue != nil || (*t.anchoreValue == "" && o.registry()) {
		return t.registry
	}
	return t.anchore
}

// registry says whether the registry's vocabulary is spoken: one of its keys
// that Anchore calls otherwise is given.
func (o Options) registry() bool {
	return o.Registry || o.RegistryAccessKey != nil || o.RegistrySecretKey != nil || o.RegionEndpoint != nil || o.RootDirectory != nil
}

// ambient says whether the credentials come from the environment.
func (o Options) ambient() bool {
	askedFor := o.IAMAuto || o.Registry || (o.RegistryAccessKey != nil && o.RegistrySecretKey != nil)
	return askedFor && o.accessKey().value() == "" && o.secretKey().value() == ""
}

func (o Options) secure() bool { return o.Secure == nil || *o.Secure }
func (o Options) v4auth() bool { return o.V4Auth == nil || *o.V4Auth }

// endpoint is the URL of a server other than Amazon's, "" for Amazon's. A
// scheme that is missing is the one that secure says, as in the registry.
func (o Options) endpoint() string {
	endpoint := o.endpointTwin().value()
	mayLackScheme := o.URL == "" || o.Secure != nil
	if endpoint != "" && mayLackScheme && !strings.Contains(endpoint, "://") {
		if o.secure() {
			endpoint = "https://" + endpoint
		} else {
			endpoint = "http://" + endpoint
		}
	}
	return strings.TrimRight(endpoint, "/")
}

// prefix is what every key begins with. The registry joins rootdirectory and
// path with one slash and lets no key begin with one.
func (o Options) prefix() string {
	if o.RootDirectory == nil {
		return o.Prefix
	}
	return strings.TrimLeft(strings.TrimRight(*o.RootDirectory, "/")+"/", "/")
}

// URIPrefix is what every URI of the store begins with, as Store.Prefix tells it of
// an open one.
func (o Options) URIPrefix() string { return scheme + o.Bucket + "/" + o.prefix() }

// pathStyle says whether requests name the S3 bucket in their path.
func (o Options) pathStyle() bool {
	if o.ForcePathStyle != nil {
		return *o.ForcePathStyle
	}
	return o.endpoint() != ""
}

// tuned gives the tuning with the length of parts that the options ask for.
func (o Options) tuned(t Tuning) Tuning {
	switch {
	case o.ChunkSize != nil:
		t.PartBytes = *o.ChunkSize
	case t.PartBytes <= 0 && o.registry():
		t.PartBytes = registryPartBytes
	}
	return t
}

// connection translates the options. With url the region is ignored, as
// Anchore does; a request has to be signed for some region all the same.
func (o Options) connection() connection {
	c := connection{
		endpoint:     o.endpoint(),
		region:       o.Region,
		accessKey:    o.accessKey().value(),
		secretKey:    o.secretKey().value(),
		sessionToken: o.SessionToken,
		pathStyle:    o.pathStyle(),
		plain:        !o.secure(),
		skipVerify:   o.SkipVerify,
		version2:     !o.v4auth(),
		userAgent:    o.UserAgent,
		dualStack:    o.UseDualStack,
		accelerate:   o.Accelerate,
		fips:         o.UseFIPSEndpoint,
		registry:     o.registry(),
	}
	if o.URL != "" {
		c.ignoredRegion = o.Region
	}
	if o.URL != "" || (c.endpoint != "" && c.region == "") {
		c.region = defaultRegion
	}
	return c
}

// String is where the options point, without the credentials.
func (o Options) String() string {
	return scheme + o.Bucket + "/" + o.prefix() + " " + o.connection().String()
}

// GoString is String: no way of printing shows the credentials.
func (o Options) GoString() string { return o.String() }

// LogValue is String.
func (o Options) LogValue() slog.Value { return slog.StringValue(o.String()) }

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
