package liveview

import "testing"

func TestPercentIsNeverTooMuch(t *testing.T) {
	for _, c := range []struct {
		done, total int64
		want        float64
	}{{0, 0, 0}, {0, 10, 0}, {9999, 10000, 99.9}, {999999, 1000000, 99.9}, {1000000, 1000000, 100}, {1, 3, 33.3}} {
		if got := Percent(c.done, c.total); got != c.want {
			t.Errorf("%d of %d: %v", c.done, c.total, got)
		}
	}
}

// What a name holds never moves the cursor, and wide characters count as two.
func TestFit(t *testing.T) {
	for _, c := range []struct {
		line  string
		width int
		want  string
	}{
		{"as it is", 20, "as it is"},
		{"cut off here", 8, "cut off~"},
		{"\x1b[2Jevil\n\a\u009b", 20, "?[2Jevil???"},
		{"文書文書文書", 7, "文書文~"},
		{"", 5, ""},
	} {
		if got := fit(c.line, c.width); got != c.want {
			t.Errorf("%q in %d columns: %q", c.line, c.width, got)
		}
	}
}
