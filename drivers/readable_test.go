package drivers

import (
	"bufio"
	"encoding/json"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/kedge/kedge/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

// TestReadableByAnchore compares with what Anchore's reader of each driver made of
// each URI: testdata/urlparse.jsonl says whether it found what is where the URI
// says. It was made by testenv.ReadAsAnchore with Python 3.11.
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
		"s3://Bucket/k":         `Anchore lower-cases the S3 bucket "Bucket"`,
		"swift://Container/k":   `Anchore lower-cases the container "Container"`,
		"s3://a@b/k":            "for a login",
		"swift://a:b/k":         "for a port",
		"s3://[::1]/k":          "drops the brackets",
		"swift://c/u/./k":       `resolves the "."`,
		"swift://c/u/b/..":      `resolves the ".."`,
		"swift://c//u/b/k":      "drops the '/'",
		`swift://c/.\u/b/k`:     "when it puts, and not when it gets",
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

// TestWhatAnchoreFindsAgain is the table: user, bucket, key and prefix, by driver, and
// why Anchore does not find what is exactly where it says; "" where it does. Each
// line is compared with Python and python-swiftclient.
func TestWhatAnchoreFindsAgain(t *testing.T) {
	lines := []struct{ driver, prefix, user, bucket, key, reason string }{
		{"db", "", "admin", "b", "k", ""},
		{"db", "", "Team.One", "b", "k", ""}, // the user is netloc as it is
		{"db2", "", "Team.One", "b", "k", ""},
		{"db2", "", "user@example.com", "b", "k", ""},
		{"db2", "", "a:b", "b", "k", ""},
		{"db2", "", "us%65r", "b", "k", ""},
		{"db2", "", "[::1]", "b", "k", ""}, // an IPv6 address, which every Python lets pass
		{"db2", "", "a[b", "b", "k", "part of an IPv6 address"},
		{"db2", "", "a]b", "b", "k", "part of an IPv6 address"},
		{"db2", "", "a[b]", "b", "k", "part of an IPv6 address"},
		{"db2", "", "a℀", "b", "k", "expands to a URL's delimiter"},
		{"db2", "", "a＠b", "b", "k", "expands to a URL's delimiter"},
		{"db2", "", "a?b", "b", "k", "cuts content_url at the '?'"},
		{"db2", "", "a\nb", "b", "k", "strips the newline"},
		{"db2", "", "admin", "b#c", "k", "cuts content_url at the '#'"},
		{"db2", "", "admin", "B", "./K/../x//y @:[]", ""}, // the path is left alone
		{"db", "", "admin", "b", "k?", "cuts content_url at the '?'"},
		{"db", "", "admin", "b", "k\t", "strips the tab"},
		{"s3", "s3-bucket/", "Team.One", "B", "./k/../x//y@:[]", ""},
		{"s3", "s3-bucket/.//a/", "user@example.com", "b", "k", ""},
		{"s3", "S3-bucket/", "admin", "b", "k", "lower-cases the S3 bucket"},
		{"s3", "s3-bucket/", "admin", "b", "k#", "cuts content_url at the '#'"},
		{"s3", "s3-bucket/p?/", "admin", "b", "k", "cuts content_url at the '?'"},
		{"s3", "s3-bucket/", "a[b", "b", "k", ""},
		{"swift", "c/", "Team.One", "B", "k@:[]%2e//x/", ""},
		{"swift", "c/p//", "user@example.com", "b", "k", ""},
		{"swift", "C/", "admin", "b", "k", "lower-cases the container"},
		{"swift", "c/", "admin", "b", "k?", "cuts content_url at the '?'"},
		{"swift", "c/", "admin", "b", "./k", `resolves the "."`},
		{"swift", "c/", "admin", "b", "x/../y", `resolves the ".."`},
		{"swift", "c/", "admin", "b", "g/.", `resolves the "."`},
		{"swift", "c/", "..", "b", "k", `resolves the ".."`},
		{"swift", "c/", "admin", ".", "k", `resolves the "."`},
		{"swift", "c/", "admin", "b", ".../.k/k.", ""},
		{"swift", "c//", "admin", "b", "k", "drops the '/'"},
		{"swift", "c//a/", "admin", "b", "k", "drops the '/'"},
		// With a store that has this prefix, kedge puts where Anchore looks (drivers/swift).
		{"swift", "c/./a/", "admin", "b", "k", `resolves the "."`},
		{"file", "/archive/", "0123", "b", "00/0123.json", ""}, // users and keys are hashed
		{"file", "/archive/", "0123", "b?", "00/0123.json", "cuts content_url at the '?'"},
	}
	uris := make([]string, len(lines))
	for i, l := range lines {
		uris[i] = l.driver + "://" + l.prefix + l.user + "/" + l.bucket + "/" + l.key
	}
	for i, found := range testenv.ReadAsAnchore(t, uris) {
		reason, err := lines[i].reason, ReadableByAnchore(uris[i])
		switch {
		case (err == nil) != (reason == "") || err != nil && !strings.Contains(err.Error(), reason):
			t.Errorf("%q: %v, want %q", uris[i], err, reason)
		case found != (err == nil) && lines[i].user != "a[b]": // old Pythons read it, new ones do not
			t.Errorf("%q: %v; Anchore finds it: %v", uris[i], err, found)
		}
	}
}

// TestReadableAsPythonReads compares with Python itself on this machine: the
// recorded URIs, and many that are put together from what parsers act upon. Only
// with brackets may ReadableByAnchore be the stricter one: Python's versions differ.
func TestReadableAsPythonReads(t *testing.T) {
	uris := recorded(t)
	random := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"a", "B", "é", "İ", ".", "..", "/", "/", "/", "/.", "/..", "./", `\`, "@", ":", "80", "%", "%2e", "[", "]", "[::1]", "v1.x",
		"?", "#", ";", "+", " ", "\t", "\r", "\n", "\v", "\x7f", "℀", "？", "\u0338", "=", "&", "~", "'", "\u2024", "x"}
	for range 6000 {
		uri := []string{"db://", "db2://", "s3://", "swift://", "file:///"}[random.IntN(5)]
		for range 1 + random.IntN(9) {
			uri += pieces[random.IntN(len(pieces))]
		}
		uris = append(uris, uri)
	}
	found := testenv.ReadAsAnchore(t, uris)
	counts := map[bool]int{}
	for i, uri := range uris {
		_, rest, _ := strings.Cut(uri, "://")
		host, _, _ := strings.Cut(rest, "/")
		err := ReadableByAnchore(uri)
		if err == nil && !found[i] || err != nil && found[i] && !strings.ContainsAny(host, "[]") {
			t.Errorf("%q: %v; Anchore finds it: %v", uri, err, found[i])
		}
		counts[err == nil]++
	}
	if counts[true] < 500 || counts[false] < 500 {
		t.Errorf("too few cases: %v", counts)
	}
}

func recorded(t *testing.T) (uris []string) {
	t.Helper()
	text, err := os.ReadFile("testdata/urlparse.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var uri string
		if err := json.Unmarshal([]byte(line), &[]any{&uri, new(bool)}); err != nil {
			t.Fatal(err)
		}
		uris = append(uris, uri)
	}
	return uris
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
