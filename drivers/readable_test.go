package drivers

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// TestReadableByAnchore compares with what Python's urllib.parse.urlparse made
// of each URI: testdata/urlparse.jsonl says whether scheme, hostname and path
// came out as they were written. It was made with Python 3.11; a URI with a NUL
// counts as not readable.
func TestReadableByAnchore(t *testing.T) {
	f, err := os.Open("testdata/urlparse.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	counts := map[bool]int{}
	for lines.Scan() {
		var uri string
		var readable bool
		if err := json.Unmarshal(lines.Bytes(), &[]any{&uri, &readable}); err != nil {
			t.Fatalf("%s: %v", lines.Bytes(), err)
		}
		counts[readable]++
		if err := ReadableByAnchore(uri); (err == nil) != readable {
			t.Errorf("%q: %v, Python reads it as it was written: %v", uri, err, readable)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if counts[true] < 100 || counts[false] < 100 {
		t.Errorf("too few cases: %v", counts)
	}
}

func TestReadableByAnchoreSaysWhy(t *testing.T) {
	for uri, want := range map[string]string{
		"db://admin/b/k?1":      "Anchore cuts content_url at the '?'",
		"db://admin/b/k#1?2":    "Anchore cuts content_url at the '#'",
		"db://Admin/b/k":        `Anchore lower-cases the user "Admin"`,
		"s3://Bucket/k":         `Anchore lower-cases the S3 bucket "Bucket"`,
		"swift://Container/k":   `Anchore lower-cases the container "Container"`,
		"db2://a@b/b/k":         "for a login",
		"db2://a:b/b/k":         "for a port",
		"db2://a[b/b/k":         "IPv6",
		"db2:///b/k":            "no user",
		"db://a\u2100/b/k":      "'℀'",
		"db://admin/b/tab\t":    "strips the tab",
		"db://admin/b/line\n":   "strips the newline",
		"db://admin/b/line\r":   "strips the carriage return",
		" db://admin/b/k":       "leading ' '",
		"db://admin/b/k\x00":    "NUL",
		"db://admin/b/k\xff":    "UTF-8",
		"file:///archive/a#b/c": "cuts content_url at the '#'",
		"file://archive/a":      `takes "archive" for a host`,
		"DB://admin/b/k":        "lower-cases the scheme",
		"/archive/x":            "no scheme",
	} {
		if err := ReadableByAnchore(uri); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", uri, err, want)
		}
	}
}

// FuzzReadableByAnchore checks that a readable URI holds nothing that a URL
// parser acts upon.
func FuzzReadableByAnchore(f *testing.F) {
	f.Add("db://admin/bucket/key")
	f.Add("s3://b@c:1/[x]?#")
	f.Fuzz(func(t *testing.T, uri string) {
		err := ReadableByAnchore(uri)
		if err == nil && strings.ContainsAny(uri, "?#\t\r\n\x00") {
			t.Errorf("%q passes", uri)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("several lines: %q", err)
		}
	})
}
