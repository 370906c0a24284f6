package s3

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/kedge/kedge/drivers"
)

func TestValidate(t *testing.T) {
	good := Options{AccessKey: "AK", SecretKey: "hush", URL: "http://localhost:9000/", Bucket: "archive"}
	tests := []struct {
		name  string
		edit  func(*Options)
		wrong string // the key that the error begins with, "" for none
	}{
		{"keys and url", func(*Options) {}, ""},
		{"region in place of url", func(o *Options) { o.URL, o.Region = "", "eu-west-1" }, ""},
		{"iamauto in place of keys", func(o *Options) { o.AccessKey, o.SecretKey, o.IAMAuto = "", "", true }, ""},
		{"prefix without slash", func(o *Options) { o.Prefix = "internaltest" }, ""},
		{"prefix with slash", func(o *Options) { o.Prefix = "a/b/" }, ""},
		{"doubled slash in a prefix at Amazon", func(o *Options) { o.URL, o.Region, o.Prefix = "", "us-east-1", "a//" }, ""},
		{"no bucket", func(o *Options) { o.Bucket = "" }, "bucket:"},
		{"bucket with path", func(o *Options) { o.Bucket = "a/b" }, "bucket:"},
		{"bucket that is an ARN", func(o *Options) { o.Bucket = "arn:aws:s3:::b" }, "bucket:"},
		{"neither url nor region", func(o *Options) { o.URL = "" }, "region:"},
		{"url without scheme", func(o *Options) { o.URL = "localhost:9000" }, "url:"},
		{"url with another scheme", func(o *Options) { o.URL = "s3://localhost" }, "url:"},
		{"url without host", func(o *Options) { o.URL = "http://" }, "url:"},
		{"url with a password", func(o *Options) { o.URL = "http://me:hush@localhost" }, "url:"},
		{"url with a query", func(o *Options) { o.URL = "http://localhost/?a=hush" }, "url:"},
		{"url that does not parse", func(o *Options) { o.URL = "http://me:hush@local host" }, "url:"},
		{"access key alone", func(o *Options) { o.SecretKey = "" }, "secret_key:"},
		{"secret key alone", func(o *Options) { o.AccessKey = "" }, "access_key:"},
		{"no credentials", func(o *Options) { o.AccessKey, o.SecretKey = "", "" }, "access_key:"},
		{"doubled slash in a prefix", func(o *Options) { o.Prefix = "a//" }, "prefix:"},
		{"dots in a prefix", func(o *Options) { o.Prefix = "../" }, "prefix:"},
		{"leading slash in a prefix", func(o *Options) { o.Prefix = "/a" }, "prefix:"},
		{"prefix that is not UTF-8", func(o *Options) { o.Prefix = "\xff" }, "prefix:"},
		{"prefix that is too long", func(o *Options) { o.Prefix = strings.Repeat("p", 600) }, "prefix:"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := good
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
	o := Options{AccessKey: "AKIDAKID", SecretKey: "hushhush", Region: "eu-west-1", Bucket: "archive"}
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
