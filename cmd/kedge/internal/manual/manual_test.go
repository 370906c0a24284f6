package manual

import "testing"

func TestRoff(t *testing.T) {
	for text, want := range map[string]string{`a\b`: `a\eb`, "--x": `\-\-x`, ".SH": `\&.SH`, "'q": `\&'q`, "a…": "a..."} {
		if got := roff(text); got != want {
			t.Errorf("roff(%q) = %q, want %q", text, got, want)
		}
	}
}
