package folding

import "testing"

// Names that some file system takes for one have one folded name; others have not.
func TestName(t *testing.T) {
	for _, same := range [][2]string{
		{"user/Data/x", "USER/data/X"}, {"\u00c4rger", "\u00e4rger"}, {"\u00e9", "e\u0301"}, {"\u00c9", "e\u0301"},
		{"Stra\u00dfe", "STRASSE"}, {"a.", "a"}, {"a. ./b ", "A/b"}, {"\u212a", "k"}, {"\u017f", "S"}, {"\u03c3", "\u03c2"}, {"a\u200db", "ab"},
	} {
		if Name(same[0]) != Name(same[1]) {
			t.Errorf("%q and %q are told apart", same[0], same[1])
		}
	}
	for _, other := range [][2]string{{"a/b", "ab"}, {"a.b", "ab"}, {".a", "a"}, {"a b", "ab"}, {"\u00e9", "e"}, {"a-b", "a_b"}} {
		if Name(other[0]) == Name(other[1]) {
			t.Errorf("%q and %q are one", other[0], other[1])
		}
	}
}
