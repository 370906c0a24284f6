package config

import (
	"strings"
	"testing"
)

func registryText(lines ...string) string { return strings.Join(lines, "\n") + "\n" }

func TestIsRegistry(t *testing.T) {
	for text, want := range map[string]bool{
		"version: 0.1\nstorage: {filesystem: {}}\n":                         true,
		"storage: {s3: {}}\n":                                               true,
		"version: 0.1\nhttp: {addr: ':5000'}\n":                             true, // the storage is in the environment
		"services: {catalog: {}}\n":                                         false,
		"services: {catalog: {}}\nstorage: {}\n":                            false,
		"credentials: {database: {db_connect: x}}\n":                        false,
		"version: 0.1\nservices: {catalog: {object_store: {enabled: 1}}}\n": false,
	} {
		f, err := Parse("c.yml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := f.IsRegistry(); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// parseRegistry reads a registry's configuration with these variables.
func parseRegistry(text string, environ ...string) (*Registry, error) {
	f, err := Parse("c.yml", []byte(text))
	if err != nil {
		return nil, err
	}
	return f.Registry(append([]string{"HOME=/root"}, environ...))
}

type registryS3 struct {
	Bucket        string  `config:"bucket"`
	Root          *string `config:"rootdirectory"`
	SecretKey     string  `config:"secretkey" secret:"true"`
	Secure        *bool   `config:"secure"`
	ChunkSize     *int64  `config:"chunksize"`
	Region        string  `config:"region"`
	MultipartCopy int64   `config:"multipartcopychunksize"`
}

func TestRegistry(t *testing.T) {
	const filesystem = "version: 0.1\nstorage:\n  cache: {blobdescriptor: inmemory}\n  filesystem:\n    rootdirectory: /srv/reg\n  delete: {enabled: true}\n"
	for _, test := range []struct {
		name, text string
		environ    []string
		driver     string
		want       registryS3 // Root "" for what is not given
		root       string
	}{
		{"filesystem", filesystem, nil, "filesystem", registryS3{}, "/srv/reg"},
		{"name alone", "version: 0.1\nstorage: filesystem\n", nil, "filesystem", registryS3{}, ""},
		{"nothing behind it", "version: 0.1\nstorage:\n  filesystem:\n", nil, "filesystem", registryS3{}, ""},
		{"s3", "version: '0.1'\nstorage: {s3: {bucket: b, region: eu-west-1, chunksize: '5242880', secretkey: 'a$b${c}'}}\n", nil, "s3",
			registryS3{Bucket: "b", Region: "eu-west-1", SecretKey: "a$b${c}"}, ""},
		{"a variable sets a parameter", filesystem, []string{"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/other"}, "filesystem", registryS3{}, "/other"},
		{"a variable sets the driver, others its parameters", filesystem,
			[]string{"REGISTRY_STORAGE_S3_BUCKET=b2", "REGISTRY_STORAGE=s3", "REGISTRY_STORAGE_S3_ROOTDIRECTORY=/r", "REGISTRY_HTTP_SECRET=x"}, "s3", registryS3{Bucket: "b2"}, "/r"},
		{"the whole storage as YAML", filesystem, []string{"REGISTRY_STORAGE={s3: {bucket: b3}}"}, "s3", registryS3{Bucket: "b3"}, ""},
		{"the storage is in the environment alone", "version: 0.1\n", []string{"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/env"}, "filesystem", registryS3{}, "/env"},
		{"types", "version: 0.1\nstorage: {s3: {bucket: b}}\n", []string{"REGISTRY_STORAGE_S3_SECURE=false", "REGISTRY_STORAGE_S3_CHUNKSIZE=6000000"}, "s3", registryS3{Bucket: "b"}, ""},
		{"a variable for a name alone", "version: 0.1\nstorage: filesystem\n", []string{"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/named"}, "filesystem", registryS3{}, "/named"},
		{"other keys of storage", filesystem, []string{"REGISTRY_STORAGE_DELETE_ENABLED=true", "REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED=true"}, "filesystem", registryS3{}, "/srv/reg"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, err := parseRegistry(test.text, test.environ...)
			if err != nil {
				t.Fatal(err)
			}
			var got registryS3
			if err := r.Options.Decode(&got); err != nil {
				t.Fatal(err)
			}
			root := ""
			if got.Root != nil {
				root = *got.Root
			}
			if r.Driver != test.driver || root != test.root || got.Bucket != test.want.Bucket || got.Region != test.want.Region || got.SecretKey != test.want.SecretKey {
				t.Errorf("driver %s, root %q, %+v", r.Driver, root, got)
			}
			if test.name == "types" && (got.Secure == nil || *got.Secure || got.ChunkSize == nil || *got.ChunkSize != 6000000) {
				t.Errorf("secure %v, chunksize %v", got.Secure, got.ChunkSize)
			}
		})
	}
}

func TestRegistryRefused(t *testing.T) {
	for _, test := range []struct {
		name, text string
		environ    []string
		want       string
	}{
		{"no version", "storage: {filesystem: {}}\n", nil, `c.yml:1: has no version: a registry's configuration begins with "version: 0.1"`},
		{"another version", "version: 0.2\nstorage: {filesystem: {}}\n", nil, "c.yml:1: version: only version 0.1 is known"},
		{"no storage", "version: 0.1\n", nil, "c.yml:1: storage: must be given: a mapping with filesystem or s3"},
		{"no driver", "version: 0.1\nstorage:\n  delete: {enabled: true}\n", nil, "c.yml:2: storage: names no storage driver, such as filesystem or s3"},
		{"two drivers", "version: 0.1\nstorage:\n  filesystem: {}\n  s3: {bucket: b}\n", nil, "c.yml:4: storage.s3: is a second storage driver beside filesystem: exactly one may be given"},
		{"two drivers, one from the environment", "version: 0.1\nstorage:\n  filesystem: {}\n", []string{"REGISTRY_STORAGE_S3_BUCKET=b"},
			"environment variable REGISTRY_STORAGE_S3_BUCKET: storage.s3: is a second storage driver beside filesystem: exactly one may be given"},
		{"unknown parameter", "version: 0.1\nstorage:\n  s3:\n    bukket: b\n", nil,
			"c.yml:4: storage.s3.bukket: unknown key, did you mean bucket? (known keys: bucket, rootdirectory, secretkey, secure, chunksize, region, multipartcopychunksize)"},
		{"wrong type from the environment", "version: 0.1\nstorage: {s3: {bucket: b}}\n", []string{"REGISTRY_STORAGE_S3_CHUNKSIZE=lots"},
			"environment variable REGISTRY_STORAGE_S3_CHUNKSIZE: storage.s3.chunksize: wants a whole number"},
		{"no YAML in the environment", "version: 0.1\nstorage: {s3: {bucket: b}}\n", []string{"REGISTRY_STORAGE_S3_SECRETKEY='hunter2"},
			"environment variable REGISTRY_STORAGE_S3_SECRETKEY: its value is not valid YAML"},
		{"middleware is no list", "version: 0.1\nstorage: {s3: {bucket: b}}\nmiddleware: {storage: {name: cloudfront}}\n", nil, "c.yml:3: middleware.storage: is a mapping, wants a list"},
		{"middleware without options", "version: 0.1\nstorage: {s3: {bucket: b}}\nmiddleware:\n  storage:\n  - name: cloudfront\n", nil,
			"c.yml:5: middleware.storage.0.options: must be given: baseurl, privatekey and keypairid"},
		{"no place in the list", "version: 0.1\nstorage: {s3: {bucket: b}}\n", []string{"REGISTRY_MIDDLEWARE_STORAGE_3_NAME=cloudfront"},
			`environment variable REGISTRY_MIDDLEWARE_STORAGE_3_NAME: "3" is no place in the list, which has 0 entries`},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, err := parseRegistry(test.text, test.environ...)
			if err == nil {
				err = r.Locate(r.Options.Decode(&registryS3{}))
			}
			if err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestRegistryCloudFront(t *testing.T) {
	text := registryText("version: 0.1", "storage: {s3: {bucket: b}}", "middleware:", "  registry: []", "  storage:",
		"  - name: redirect", "    options: {baseurl: https://x}",
		"  - name: cloudfront", "    options: {baseurl: https://cdn, privatekey: /k.pem, keypairid: K}")
	type options struct {
		BaseURL    string `config:"baseurl"`
		PrivateKey string `config:"privatekey"`
		KeyPairID  string `config:"keypairid"`
	}
	read := func(environ ...string) options {
		t.Helper()
		r, err := parseRegistry(text, environ...)
		if err != nil {
			t.Fatal(err)
		}
		var o options
		if r.CloudFront != nil {
			if err := r.CloudFront.Decode(&o); err != nil {
				t.Fatal(err)
			}
		}
		return o
	}
	if got := read(); got != (options{"https://cdn", "/k.pem", "K"}) {
		t.Errorf("got %+v", got)
	}
	if got := read("REGISTRY_MIDDLEWARE_STORAGE_1_OPTIONS_KEYPAIRID=L"); got != (options{"https://cdn", "/k.pem", "L"}) {
		t.Errorf("got %+v", got)
	}
	if got := read("REGISTRY_MIDDLEWARE_STORAGE_1_DISABLED=true"); got != (options{}) {
		t.Errorf("a disabled middleware counts: %+v", got)
	}
}

func TestRegistryRedacted(t *testing.T) {
	r, err := parseRegistry("version: 0.1\nstorage: {s3: {bucket: b, secretkey: hunter2}}\n", "REGISTRY_STORAGE_S3_REGION=eu")
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Redacted(&registryS3{}); got != "storage:\n    s3:\n        bucket: b\n        region: eu\n        secretkey: '********'\n" {
		t.Errorf("got %q", got)
	}
}

func TestOptionsWithout(t *testing.T) {
	r, err := parseRegistry("version: 0.1\nstorage:\n  s3:\n    loglevel: debug\n    bucket: b\n    region: x\n")
	if err != nil {
		t.Fatal(err)
	}
	o := r.Options.Without("loglevel", "region")
	if keys := strings.Join(o.Keys(), ","); keys != "bucket" || o.s.lineOf("bucket") != 5 {
		t.Errorf("keys %s, line %d", keys, o.s.lineOf("bucket"))
	}
	if (Options{}).Without("x").Keys() != nil {
		t.Error("no options have keys")
	}
}

func FuzzRegistry(f *testing.F) {
	f.Add("version: 0.1\nstorage: {s3: {bucket: b}}\n", "REGISTRY_STORAGE_S3_BUCKET", "c")
	f.Add("version: 0.1\nstorage: filesystem\n", "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "/x")
	f.Add("version: 0.1\nstorage: &a {s3: *a}\n", "REGISTRY_STORAGE", "{s3: {}}")
	f.Add("version: 0.1\nmiddleware: {storage: [{name: cloudfront}]}\n", "REGISTRY_MIDDLEWARE_STORAGE_0_OPTIONS_BASEURL", "x")
	f.Add("version: 0.1\nstorage: [a]\n", "REGISTRY_STORAGE_0_X", "[")
	f.Fuzz(func(t *testing.T, text, name, value string) {
		r, err := parseRegistry(text, name+"="+value)
		if err == nil {
			err = r.Locate(r.Options.Decode(&registryS3{}))
			_ = r.Redacted(&registryS3{})
		}
		if err != nil && strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("an error of several lines: %q", err)
		}
	})
}
