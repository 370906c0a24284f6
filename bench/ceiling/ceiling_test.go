package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/kedge/kedge/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

// TestSign compares the signature with that of Amazon's SDK.
func TestSign(t *testing.T) {
	now := time.Date(2013, 5, 24, 1, 2, 3, 0, time.UTC)
	request := func() *http.Request {
		req, err := http.NewRequest(http.MethodPut, "http://h:1/b/"+escape("a b/ü:1~+"), nil)
		if err != nil {
			t.Fatal(err)
		}
		return req
	}
	got, want := request(), request()
	newSigner("eu-west-1", "access", "secret", now).sign(got)
	want.Header.Set("X-Amz-Content-Sha256", unsigned)
	theirs := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	if err := theirs.SignHTTP(t.Context(), aws.Credentials{AccessKeyID: "access", SecretAccessKey: "secret"}, want, unsigned, "s3", "eu-west-1", now); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Authorization", "X-Amz-Date", "X-Amz-Content-Sha256"} {
		if got.Header.Get(name) != want.Header.Get(name) {
			t.Errorf("%s is %s, want %s", name, got.Header.Get(name), want.Header.Get(name))
		}
	}
}

// TestCopies goes from files to each server, between the servers and back.
func TestCopies(t *testing.T) {
	folder := t.TempDir()
	list := filepath.Join(folder, "documents")
	var lines strings.Builder
	contents := make(map[string][]byte)
	for i, size := range []int{0, 1, 4096, wholeBytes, wholeBytes + 1, 3 << 20} {
		path := fmt.Sprintf("d%d/%d.json", i%2, i)
		contents[path] = bytes.Repeat([]byte{byte('a' + i)}, size)
		fmt.Fprintf(&lines, "admin/data ü/sha256:%d\t%s\n", i, path)
		if err := os.MkdirAll(filepath.Dir(filepath.Join(folder, "from", path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "from", path), contents[path], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(list, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	first, second := testenv.MinIO(t), testenv.VersityGW(t)
	a, b := first.URL+"/"+first.Bucket(t), second.URL+"/"+second.Bucket(t)
	keys := func(s *testenv.S3Server) string { return "s3 us-east-1 " + s.AccessKey + " " + s.SecretKey }
	for _, step := range []struct{ dir, get, put, getKeys, putKeys string }{
		{dir: filepath.Join(folder, "from"), put: a, putKeys: keys(first)},
		{get: a, put: b, getKeys: keys(first), putKeys: keys(second)},
		{get: b, getKeys: keys(second)},
		{get: b, dir: filepath.Join(folder, "to"), getKeys: keys(second)},
	} {
		t.Setenv("CEILING_GET", step.getKeys)
		t.Setenv("CEILING_PUT", step.putKeys)
		if err := run(list, step.dir, step.get, step.put, 4); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range contents {
		if got, err := os.ReadFile(filepath.Join(folder, "to", path)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes came back of %d, %v", path, len(got), len(want), err)
		}
	}
	t.Setenv("CEILING_GET", "s3 us-east-1 wrong keys")
	if err := run(list, "", a, "", 4); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("with wrong keys: %v", err)
	}
}
