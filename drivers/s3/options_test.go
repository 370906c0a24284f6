package s3

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/kedge/kedge/drivers"
)

var goodOptions = Options{AccessKey: "AK", SecretKey: "hush", URL: "http://localhost:9000/", Bucket: "archive"}

func ptr[T any](v T) *T { return &v }

// atAmazon takes the url away.
func atAmazon(o *Options, region string) { o.URL, o.Region = "", region }

func TestValidate(t *testing.T) {
	tests := []struct {
		name  string
		edit  func(*Options)
		wrong string // what the error says, "" for none
	}{
		{"keys and url", func(*Options) {}, ""},
		{"region in place of url", func(o *Options) { atAmazon(o, "eu-west-1") }, ""},
		{"iamauto in place of keys", func(o *Options) { o.AccessKey, o.SecretKey, o.IAMAuto = "", "", true }, ""},
		{"prefix without slash", func(o *Options) { o.Prefix = "internaltest" }, ""},
		{"prefix with slash", func(o *Options) { o.Prefix = "a/b/" }, ""},
		{"doubled slash in a prefix at Amazon", func(o *Options) { atAmazon(o, "us-east-1"); o.Prefix = "a//" }, ""},
		{"url without scheme, with secure", func(o *Options) { o.URL, o.Secure = "localhost:9000", ptr(false) }, ""},
		{"scheme of regionendpoint beside secure", func(o *Options) { o.URL, o.RegionEndpoint, o.Secure = "", ptr("http://localhost"), ptr(true) }, ""},
		{"region that url makes meaningless", func(o *Options) { o.Region = "Neverland!" }, ""},
		{"registry's options in an Anchore configuration", func(o *Options) {
			o.Encrypt, o.KeyID, o.StorageClass, o.ChunkSize, o.Secure = true, "k", "standard_ia", ptr(int64(minPartBytes)), ptr(false)
		}, ""},
		{"version 2 in an old region", func(o *Options) { atAmazon(o, "sa-east-1"); o.V4Auth = ptr(false) }, ""},
		{"version 2 elsewhere", func(o *Options) { o.V4Auth = ptr(false) }, ""},
		{"keyid and version 2 elsewhere", func(o *Options) { o.V4Auth, o.Encrypt, o.KeyID = ptr(false), true, "k" }, ""},
		{"no regionendpoint", func(o *Options) { atAmazon(o, "eu-west-1"); o.RegionEndpoint = ptr("") }, ""},

		{"no bucket", func(o *Options) { o.Bucket = "" }, "bucket: missing; name the S3 bucket of the archive"},
		{"bucket with path", func(o *Options) { o.Bucket = "a/b" }, `bucket: "a/b" is no name of an S3 bucket`},
		{"bucket that is an ARN", func(o *Options) { o.Bucket = "arn:aws:s3:::b" }, `bucket: "arn:aws:s3:::b" is no name of an S3 bucket`},
		{"neither url nor region", func(o *Options) { o.URL = "" }, "region: missing; set region (Amazon S3) or url (another server)"},
		{"neither regionendpoint nor region", func(o *Options) { o.URL, o.Registry = "", true }, "region: missing; set region (Amazon S3) or regionendpoint (another server)"},
		{"no region's name", func(o *Options) { atAmazon(o, "evil.example.com/") }, `region: "evil.example.com/" is no name of a region, such as eu-west-1`},
		{"url without scheme", func(o *Options) { o.URL = "localhost:9000" }, "url: not of the form https://host[:port]"},
		{"url with another scheme", func(o *Options) { o.URL = "s3://localhost" }, "url: not of the form https://host[:port]"},
		{"url without host", func(o *Options) { o.URL = "http://" }, "url: not of the form https://host[:port]"},
		{"url with a password", func(o *Options) { o.URL = "http://me:hush@localhost" }, "url: holds a user or password; use access_key and secret_key"},
		{"url with a query", func(o *Options) { o.URL = "http://localhost/?a=hush" }, "url: has a query or a fragment, which an endpoint cannot have"},
		{"url that does not parse", func(o *Options) { o.URL = "http://me:hush@local host" }, "url: not of the form https://host[:port]"},
		{"url against secure", func(o *Options) { o.Secure = ptr(true) }, "secure: contradicts the scheme of url"},
		{"regionendpoint with a password", func(o *Options) { o.URL, o.RegionEndpoint = "", ptr("me:hush@localhost") }, "regionendpoint: holds a user or password; use access_key and secret_key"},
		{"regionendpoint with another scheme", func(o *Options) { o.URL, o.RegionEndpoint = "", ptr("ftp://localhost") }, "regionendpoint: not of the form https://host[:port]"},
		{"access key alone", func(o *Options) { o.SecretKey = "" }, "secret_key: missing; access_key is set without it"},
		{"secret key alone", func(o *Options) { o.AccessKey = "" }, "access_key: missing; secret_key is set without it"},
		{"accesskey alone", func(o *Options) { o.AccessKey, o.SecretKey, o.RegistryAccessKey = "", "", ptr("AK") }, "secretkey: missing; accesskey is set without it"},
		{"secretkey alone", func(o *Options) { o.AccessKey, o.SecretKey, o.RegistrySecretKey = "", "", ptr("hush") }, "accesskey: missing; secretkey is set without it"},
		{"sessiontoken alone", func(o *Options) { o.AccessKey, o.SecretKey, o.IAMAuto, o.SessionToken = "", "", true, "hush" }, "access_key: missing; sessiontoken is set without it"},
		{"no credentials", func(o *Options) { o.AccessKey, o.SecretKey = "", "" }, "access_key: missing; set access_key and secret_key, or iamauto: True"},
		{"prefix that is not UTF-8", func(o *Options) { o.Prefix = "\xff" }, "prefix: holds a NUL or is not UTF-8"},
		{"prefix that is too long", func(o *Options) { o.Prefix = strings.Repeat("p", 600) }, "prefix: 600 bytes, which leaves no room in a key of 1024"},
		{"access_key twice", func(o *Options) { o.RegistryAccessKey = ptr("AK") }, "accesskey: means the same as access_key, which is given too"},
		{"secret_key twice", func(o *Options) { o.RegistrySecretKey = ptr("") }, "secretkey: means the same as secret_key, which is given too"},
		{"url twice", func(o *Options) { o.RegionEndpoint = ptr("x") }, "regionendpoint: means the same as url, which is given too"},
		{"prefix twice", func(o *Options) { o.Prefix, o.RootDirectory = "a", ptr("a") }, "rootdirectory: means the same as prefix, which is given too"},
		{"version 2 in a new region", func(o *Options) { atAmazon(o, "eu-central-1"); o.V4Auth = ptr(false) }, "v4auth: the region eu-central-1 takes signatures of version 4 only; leave out v4auth: false"},
		{"version 2 in a new region's endpoint", func(o *Options) { o.URL, o.V4Auth = "https://s3.eu-central-1.amazonaws.com", ptr(false) }, "v4auth: the region eu-central-1 takes"},
		{"version 2 in China", func(o *Options) { atAmazon(o, "cn-north-1"); o.V4Auth = ptr(false) }, "v4auth: the region cn-north-1 takes"},
		{"keyid and version 2", func(o *Options) { atAmazon(o, "us-east-1"); o.V4Auth, o.Encrypt, o.KeyID = ptr(false), true, "k" }, "v4auth: Amazon S3 takes requests with keyid in signature version 4 only; leave out v4auth: false"},
		{"dual stack elsewhere", func(o *Options) { o.UseDualStack = true }, "usedualstack: only Amazon S3 has such endpoints; url names another server"},
		{"acceleration elsewhere", func(o *Options) { o.Accelerate = true }, "accelerate: only Amazon S3 has such endpoints; url names another server"},
		{"FIPS elsewhere", func(o *Options) { o.URL, o.RegionEndpoint, o.UseFIPSEndpoint = "", ptr("x"), true }, "usefipsendpoint: only Amazon S3 has such endpoints; regionendpoint names another server"},
		{"acceleration with dots", func(o *Options) { atAmazon(o, "us-east-1"); o.Accelerate, o.Bucket = true, "a.b" }, `accelerate: not possible with dots in the name of the S3 bucket ("a.b")`},
		{"acceleration with path style", func(o *Options) { atAmazon(o, "us-east-1"); o.Accelerate, o.ForcePathStyle = true, ptr(true) }, "accelerate: not possible with forcepathstyle: true"},
		{"acceleration with FIPS", func(o *Options) { atAmazon(o, "us-east-1"); o.Accelerate, o.UseFIPSEndpoint = true, true }, "accelerate: not possible with usefipsendpoint: true"},
		{"chunksize too small", func(o *Options) { o.ChunkSize = ptr(int64(5<<20 - 1)) }, "chunksize: 5242879 bytes; S3 takes parts of at least 5242880 (5 MiB)"},
		{"chunksize negative", func(o *Options) { o.ChunkSize = ptr(int64(-1)) }, "chunksize: -1 bytes; S3 takes parts of at least 5242880 (5 MiB)"},
		{"chunksize too large", func(o *Options) { o.ChunkSize = ptr(int64(5<<30 + 1)) }, "chunksize: 5368709121 bytes; S3 takes parts of at most 5368709120 (5 GiB)"},
		{"storageclass unknown", func(o *Options) { o.StorageClass = "FAST" }, `storageclass: "FAST" is none of STANDARD, REDUCED_REDUNDANCY, STANDARD_IA, ONEZONE_IA, INTELLIGENT_TIERING, GLACIER_IR, OUTPOSTS, NONE`},
		{"storageclass out of reach", func(o *Options) { o.StorageClass = "GLACIER" }, "storageclass: objects in GLACIER cannot be read before they are restored, so that the archive would be out of reach"},
		{"storageclass further out of reach", func(o *Options) { o.StorageClass = "deep_archive" }, "storageclass: objects in DEEP_ARCHIVE cannot be read"},
		{"objectacl unknown", func(o *Options) { o.ObjectACL = "mine" }, `objectacl: "mine" is none of private, public-read, public-read-write, authenticated-read, aws-exec-read, bucket-owner-read, bucket-owner-full-control`},
		{"keyid with a newline", func(o *Options) { o.Encrypt, o.KeyID = true, "k\nX: y" }, "keyid: holds characters that no key's identifier has"},
		{"useragent with a newline", func(o *Options) { o.UserAgent = "a\r\nX: y" }, "useragent: holds characters that a request's header cannot"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := goodOptions
			tt.edit(&o)
			err := o.Validate()
			if tt.wrong == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantKind(t, err, drivers.Config, "open: "+tt.wrong)
			if strings.Contains(err.Error(), "hush") {
				t.Errorf("the error holds a secret: %v", err)
			}
		})
	}
}

func TestPlaces(t *testing.T) {
	o := Options{AccessKey: "AK", SecretKey: "hush", Region: "eu-west-1", Bucket: "archive", Prefix: "pre"}
	s := newStore(o.Bucket, o.Prefix, o.connection(), Tuning{})
	if got, want := s.Place(), "s3://archive/pre in region eu-west-1"; got != want {
		t.Errorf("Place is %q, want %q", got, want)
	}
	o.URL = "http://localhost:9000/"
	s = newStore(o.Bucket, o.Prefix, o.connection(), Tuning{})
	if got, want := s.Place(), "s3://archive/pre at http://localhost:9000"; got != want {
		t.Errorf("Place is %q, want %q", got, want)
	}
	if s.Name() != "s3" || s.Scheme() != "s3://" || s.Prefix() != "s3://archive/pre" {
		t.Errorf("Name %q, Scheme %q, Prefix %q", s.Name(), s.Scheme(), s.Prefix())
	}
	if c := s.Capabilities(); c.Workers != 32 || c.StreamBytes < 8<<20 || !c.BatchDelete || !c.Lists || !c.Compresses || c.BatchGet || c.BatchPut {
		t.Errorf("Capabilities are %+v", c)
	}
}

// TestPrintedSecrets prints what holds the credentials in every way.
func TestPrintedSecrets(t *testing.T) {
	o := Options{RegistryAccessKey: ptr("AKIDAKID"), RegistrySecretKey: ptr("hushhush"), SessionToken: "hushhush-token", Region: "eu-west-1", Bucket: "archive"}
	s := newStore(o.Bucket, o.Prefix, o.connection(), Tuning{})
	if err := s.connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	var text, object strings.Builder
	debug := &slog.HandlerOptions{Level: slog.LevelDebug}
	for _, log := range []*slog.Logger{slog.New(slog.NewTextHandler(&text, debug)), slog.New(slog.NewJSONHandler(&object, debug))} {
		log.Debug("opening", "options", o, "store", s)
	}
	for _, printed := range []string{
		fmt.Sprint(o, s), fmt.Sprintf("%v %v", o, s), fmt.Sprintf("%+v %+v", o, s), fmt.Sprintf("%#v %#v", o, s),
		fmt.Sprintf("%+v", *s), text.String(), object.String(),
	} {
		if printed == "" || strings.Contains(printed, "hushhush") || strings.Contains(printed, "AKIDAKID") {
			t.Errorf("printed: %s", printed)
		}
	}
}
