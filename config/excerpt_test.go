package config

import (
	"errors"
	"strings"
	"testing"
)

func TestExcerpt(t *testing.T) {
	type options struct {
		Secure bool   `config:"secure"`
		Secret int    `config:"pin" secret:"true"`
		KeyID  int    `config:"keyid" secret:"false"`
		Token  int    `config:"token"`
		URL    int    `config:"url"`
		Bucket string `config:"bucket" required:"true"`
	}
	head := "services:\n  catalog:\n    object_store:\n      storage_driver:\n        name: x\n        config:\n          "
	for _, test := range []struct{ name, text, want string }{
		{"wrong type", head + "secure: perhaps # hunter2", "          secure: perhaps"},
		{"secret by its tag", head + "pin: hunter2", ""},
		{"secret by its name", head + "token: hunter2", ""},
		{"no secret by its tag", head + "keyid: seven", "          keyid: seven"},
		{"misspelt, so perhaps a secret", head + "buckett: hunter2", "          buckett: ********"},
		{"misspelt, with a secret's name", head + "tokens: hunter2", ""},
		{"user and password in a URL", head + "url: http://me:hunter2@host", "          url: http://********@host"},
		{"a list", head + "secure: [hunter2]", "          secure: ********"},
		{"empty", head + "bucket: ''", "          bucket: ''"},
		{"all in one line", "services: {catalog: {object_store: {storage_driver: {name: x, config: {secure: perhaps, pin: hunter2}}}}}", "services: ********"},
		{"value on the next line", head + "pin:\n            hunter2", ""},
		{"unset variable", head + "secure: ${UNSET}", "          secure: ${UNSET}"},
		{"a driver's name that is none", "services:\n  catalog:\n    object_store:\n      storage_driver:\n        name: [x]", "        name: ********"},
		{"structure", "services:\n  catalog:\n    archive_driver: azure", "    archive_driver: azure"},
		{"not YAML", "services:\n  catalog:\n\tobject_store: x", "→object_store: ********"},
		{"not YAML, a secret", "services:\n  secret_key: 'hunter2\n", ""},
		{"not YAML, any word", "services:\n  hunter2: @x\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, err := Parse("c.yaml", []byte(test.text))
			var s *Store
			if err == nil {
				f.Lookup = environment(nil)
				s, err = f.ObjectStore()
			}
			if err == nil {
				err = s.Options.Decode(&options{})
			}
			var fault *Error
			if !errors.As(err, &fault) {
				t.Fatalf("got %v", err)
			}
			if got := fault.Excerpt(); got != test.want {
				t.Errorf("%v\ngot  %q\nwant %q", err, got, test.want)
			}
			if strings.Contains(fault.Error()+fault.Excerpt(), "hunter2") {
				t.Error("the secret is told")
			}
		})
	}
}

// What an environment variable has set has no line.
func TestNoExcerptOfAVariable(t *testing.T) {
	f, err := Parse("r.yml", []byte("version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: /a\n"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := f.Registry([]string{"REGISTRY_STORAGE_FILESYSTEM_MAXTHREADS=[hunter2]"})
	if err != nil {
		t.Fatal(err)
	}
	var fault *Error
	err = r.Locate(r.Options.Decode(&struct {
		Root string `config:"rootdirectory"`
		Max  int    `config:"maxthreads"`
	}{}))
	if !errors.As(err, &fault) || fault.Excerpt() != "" {
		t.Errorf("%v, %q", err, fault.Excerpt())
	}
}
