package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The file of ANCHORE_ENV_FILE gives variables, but those of the environment go
// before it, and only names that begin with ANCHORE count.
func TestEnvFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "anchore.env")
	text := "# a comment\nANCHORE_A=\"from = file\"\r\nANCHORE_B='from file'\nOTHER=x\nexport ANCHORE_C=x\nno equals sign\nANCHORE_D=\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	read := func(value string, vars map[string]string) (string, []string, error) {
		f, err := Parse("c.yaml", []byte(optionsText("bucket: '"+value+"'")))
		if err != nil {
			t.Fatal(err)
		}
		f.Lookup = environment(vars)
		s, err := f.ObjectStore()
		if err != nil {
			t.Fatal(err)
		}
		var o s3Options
		err = s.Options.Decode(&o)
		return o.Bucket, variables(s.Options.s, "bucket"), err
	}
	named := map[string]string{"ANCHORE_ENV_FILE": path, "ANCHORE_B": "from environment"}
	for value, want := range map[string]string{"${ANCHORE_A}": "from = file", "${ANCHORE_B}": "from environment", "${ANCHORE_D}": "", "plain": "plain"} {
		if got, _, err := read(value, named); got != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", value, got, err, want)
		}
	}
	if _, from, _ := read("${ANCHORE_A}", named); len(from) != 1 || from[0] != "ANCHORE_A of "+path {
		t.Errorf("from %v", from)
	}
	for name, vars := range map[string]map[string]string{
		"OTHER":     named,
		"ANCHORE_C": named,
	} {
		if _, _, err := read("${"+name+"}", vars); err == nil || !strings.HasSuffix(err.Error(), name+" is not set, and "+path+" (ANCHORE_ENV_FILE) does not have it either") {
			t.Errorf("%s: %v", name, err)
		}
	}
	gone := map[string]string{"ANCHORE_ENV_FILE": path + ".gone"}
	if _, _, err := read("${ANCHORE_A}", gone); err == nil || !strings.HasSuffix(err.Error(), "ANCHORE_A is not set, and the file that ANCHORE_ENV_FILE names is not there: "+path+".gone") {
		t.Errorf("got %v", err)
	}
	if got, _, err := read("plain", gone); got != "plain" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	directory := map[string]string{"ANCHORE_ENV_FILE": filepath.Dir(path)}
	if _, _, err := read("${ANCHORE_A}", directory); err == nil || !strings.Contains(err.Error(), "is a directory") || !strings.Contains(err.Error(), "ANCHORE_ENV_FILE names it") {
		t.Errorf("got %v", err)
	}
}
