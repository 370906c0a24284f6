package db

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// textCheck finds out, piece by piece, whether bytes can be a database's text:
// valid UTF-8 without NUL, and nothing but ASCII where the database's encoding
// is another one.
type textCheck struct {
	asciiOnly bool
	bad       bool
	cut       []byte // the beginning of a character that the next piece completes
}

func (t *textCheck) write(p []byte) {
	if t.bad {
		return
	}
	if bytes.IndexByte(p, 0) >= 0 || t.asciiOnly && slices.ContainsFunc(p, func(b byte) bool { return b >= utf8.RuneSelf }) {
		t.bad = true
		return
	}
	for len(t.cut) > 0 && len(p) > 0 {
		t.cut, p = append(t.cut, p[0]), p[1:]
		if utf8.FullRune(t.cut) {
			t.bad = !utf8.Valid(t.cut)
			t.cut = t.cut[:0]
		}
		if t.bad {
			return
		}
	}
	for i := len(p) - 1; i >= max(0, len(p)-utf8.UTFMax); i-- {
		if utf8.RuneStart(p[i]) {
			if !utf8.FullRune(p[i:]) {
				t.cut, p = append(t.cut, p[i:]...), p[:i]
			}
			break
		}
	}
	t.bad = !utf8.Valid(p)
}

// isText says whether all that was written is text.
func (t *textCheck) isText() bool { return !t.bad && len(t.cut) == 0 }

// isText says whether p can be a database's text.
func isText(p []byte, asciiOnly bool) bool {
	t := textCheck{asciiOnly: asciiOnly}
	t.write(p)
	return t.isText()
}
