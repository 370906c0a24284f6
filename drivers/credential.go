package drivers

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Spaces says where a credential may hold plain spaces.
type Spaces uint8

// Where a credential may hold plain spaces.
const (
	NoSpaces     Spaces = iota // nowhere, as in an access key
	InnerSpaces                // between other characters, as in a secret key
	SpacesAnyhow               // anywhere, as in a password that travels as JSON
)

// CheckCredential refuses what can only have come into a credential by mistake: a
// line break, another control character, white space. Nothing is stripped: where
// a credential is wrong here, it is wrong where Anchore reads it. The error tells
// what was found where, and nothing of the credential.
func CheckCredential(credential string, may Spaces) error {
	if credential == "" {
		return nil
	}
	first, _ := utf8.DecodeRuneInString(credential)
	last, _ := utf8.DecodeLastRuneInString(credential)
	stray := func(r rune, inner bool) bool {
		switch {
		case r == ' ':
			return may == NoSpaces || may == InnerSpaces && !inner
		default:
			return unicode.IsControl(r) || unicode.IsSpace(r) || r == '\ufeff' || r == '\u200b'
		}
	}
	found := ""
	switch at := strings.IndexFunc(credential, func(r rune) bool { return stray(r, true) }); {
	case stray(last, false):
		found = "ends with " + strayName(last)
	case stray(first, false):
		found = "begins with " + strayName(first)
	case at >= 0:
		r, _ := utf8.DecodeRuneInString(credential[at:])
		found = "holds " + strayName(r)
	default:
		return nil
	}
	return fmt.Errorf("%s, which cannot belong to it: look where it is set; a Kubernetes Secret made of a file, or with echo, keeps the line break at the end (make it with --from-literal, or with printf)", found)
}

// strayName names a character that does not show.
func strayName(r rune) string {
	switch r {
	case '\n', '\r', '\u0085', '\u2028', '\u2029':
		return "a line break"
	case '\t':
		return "a tab"
	case ' ':
		return "a space"
	case 0:
		return "a NUL"
	}
	if unicode.IsSpace(r) {
		return fmt.Sprintf("white space (U+%04X)", r)
	}
	return fmt.Sprintf("a control character (U+%04X)", r)
}
