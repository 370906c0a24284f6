package drivers

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"unicode/utf8"
)

// ReadableByAnchore says whether Anchore Engine finds a payload again by the
// URI that it has written itself, when the payload is exactly where the URI says,
// on backends with Capabilities.ParsesURI. It writes content_url raw and reads it
// by Python's urllib.parse.urlparse: what follows the user or the bucket is path;
// the user of db and db2 is netloc, which is left as it is, and the bucket of s3 and
// the container of swift is hostname, which loses case, login and port. On swift
// the HTTP client then resolves "." and ".." in the path. ReadableByAnchore returns
// nil when all of that comes out as it was written, and otherwise an error that
// says what becomes of it.
//
// The rules are those of Python 3.8 to 3.11. Where these differ (brackets,
// stripping of tabs and of leading control characters), a URI that any of them
// changes or refuses is not readable.
func ReadableByAnchore(uri string) error {
	if !utf8.ValidString(uri) {
		return unreadable("the URI is not valid UTF-8")
	}
	if strings.ContainsRune(uri, 0) {
		return unreadable("the URI holds a NUL, which neither PostgreSQL's text nor a file name can")
	}
	if i := strings.IndexAny(uri, "\t\r\n"); i >= 0 {
		return unreadable("Anchore strips the %s from content_url", characterNames[uri[i]])
	}
	if uri != "" && uri[0] <= ' ' {
		return unreadable("Anchore strips the leading %q from content_url", uri[0])
	}
	scheme, rest, ok := strings.Cut(uri, "://")
	if !ok || !isScheme(scheme) {
		return unreadable("Anchore finds no scheme in content_url")
	}
	if lower := strings.ToLower(scheme); lower != scheme {
		return unreadable("Anchore lower-cases the scheme %q to %q", scheme, lower)
	}
	if i := strings.IndexAny(rest, "?#"); i >= 0 {
		return unreadable("Anchore cuts content_url at the '%c'", rest[i])
	}
	host := rest
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		host = rest[:i]
	}
	if scheme == "file" {
		if host != "" {
			return unreadable("Anchore takes %q for a host and drops it from the path", host)
		}
		return nil
	}
	if err := readableNetloc(hostMeaning(scheme), host); err != nil {
		return err
	}
	switch scheme {
	case "db", "db2":
		return nil // the user is netloc as it is
	case "swift":
		if err := straightName(host, strings.TrimPrefix(rest[len(host):], "/")); err != nil {
			return err
		}
	}
	return readableHostname(hostMeaning(scheme), host)
}

// unreadable makes the reason why a URI is not readable.
func unreadable(format string, args ...any) error {
	return unreadableError(fmt.Sprintf(format, args...))
}

type unreadableError string

func (e unreadableError) Error() string { return string(e) }

var characterNames = map[byte]string{'\t': "tab", '\r': "carriage return", '\n': "newline"}

// hostMeaning is what the host part of a URI is to Anchore.
func hostMeaning(scheme string) string {
	switch scheme {
	case "db", "db2":
		return "user"
	case "s3":
		return "S3 bucket"
	case "swift":
		return "container"
	default:
		return "host"
	}
}

// isScheme says whether Python takes s for a scheme: a letter, and then letters,
// digits, '+', '-' and '.'.
func isScheme(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		other := c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.'
		if !letter && (i == 0 || !other) {
			return false
		}
	}
	return s != ""
}

// readableNetloc checks what stands between "://" and the path as urlsplit does,
// which raises ValueError for what cannot be a URL's.
func readableNetloc(meaning, host string) error {
	if host == "" {
		return unreadable("Anchore finds no %s in content_url", meaning)
	}
	if i := strings.IndexAny(host, "[]"); i >= 0 && !isBracketed(host) {
		return unreadable("Anchore takes the '%c' in the %s %q for part of an IPv6 address", host[i], meaning, host)
	}
	if i := strings.IndexAny(host, expandsToDelimiter); i >= 0 {
		c, _ := utf8.DecodeRuneInString(host[i:])
		return unreadable("Anchore refuses the '%c' in the %s %q, which expands to a URL's delimiter", c, meaning, host)
	}
	return nil
}

var futureAddress = regexp.MustCompile(`^v[0-9a-fA-F]+\.[^\n]+$`)

// isBracketed says whether the brackets in a netloc are an IPv6 address's, which
// every version of Python lets pass. The old ones only count brackets, the new ones
// look at what is in them, and not all of them at the same place.
func isBracketed(netloc string) bool {
	at := strings.LastIndexByte(netloc, '@') + 1
	inside, ok := strings.CutPrefix(netloc[at:], "[")
	if !ok || strings.ContainsAny(netloc[:at], "[]") {
		return false
	}
	inside, behind, ok := strings.Cut(inside, "]")
	if !ok || strings.ContainsAny(inside+behind, "[]") || behind != "" && behind[0] != ':' {
		return false
	}
	if strings.HasPrefix(inside, "v") {
		return futureAddress.MatchString(inside)
	}
	address, err := netip.ParseAddr(inside)
	return err == nil && address.Is6() && !strings.Contains(address.Zone(), "%")
}

// straightName says what becomes of an object's name in Swift on its way through
// python-swiftclient and its HTTP client.
func straightName(container, name string) error {
	if strings.HasPrefix(name, "/") {
		return unreadable("Anchore's Swift client drops the '/' at the beginning of the object's name when it puts, and not when it gets")
	}
	if strings.HasPrefix(name, `.\`) {
		return unreadable(`Anchore's Swift client drops the ".\" at the beginning of the object's name when it puts, and not when it gets`)
	}
	for part := range strings.SplitSeq(container+"/"+name, "/") {
		if part == "." || part == ".." {
			return unreadable("Anchore's HTTP client resolves the %q in the object's path, and looks elsewhere", part)
		}
	}
	return nil
}

// readableHostname checks a netloc as SplitResult.hostname reads it.
func readableHostname(meaning, host string) error {
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		return unreadable("Anchore takes what stands before the '@' in the %s %q for a login and drops it", meaning, host)
	}
	if strings.ContainsAny(host, "[]") {
		return unreadable("Anchore drops the brackets of the %s %q", meaning, host)
	}
	if i := strings.IndexByte(host, ':'); i >= 0 {
		return unreadable("Anchore takes what follows the ':' in the %s %q for a port and drops it", meaning, host)
	}
	// Behind a '%' stands what may be an IPv6 zone, which keeps its case.
	name, _, _ := strings.Cut(host, "%")
	if strings.ToLower(name) != name {
		return unreadable("Anchore lower-cases the %s %q", meaning, host)
	}
	return nil
}

// expandsToDelimiter are the characters whose NFKC form holds one of "/?#@:".
// urlsplit raises ValueError for a host with one of them.
const expandsToDelimiter = "\u2047\u2048\u2049\u2100\u2101\u2105\u2106\u2a74\ufe13\ufe16\ufe55\ufe56\ufe5f\ufe6b\uff03\uff0f\uff1a\uff1f\uff20"
