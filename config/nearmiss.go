package config

import (
	"fmt"
	"slices"
	"strings"
)

// unknownKey is the message about a key that is none of the known ones; near is
// the one that it seems to be meant for, "" if none does.
func unknownKey(near string, known []string) string {
	if len(known) == 0 {
		return "unknown key: nothing can be set here"
	}
	list := "known keys: " + strings.Join(known, ", ")
	if near != "" {
		return fmt.Sprintf("unknown key, did you mean %s? (%s)", near, list)
	}
	return fmt.Sprintf("unknown key (%s)", list)
}

// nearMiss gives the known key that an unknown one is most likely a misspelling
// of, "" if it is none: then it is somebody else's key, and was not meant for us.
//
// Case, "_", "-" and "." do not count (acessKey, min-size-kbytes). Of what
// remains so many letters may be missing, added, wrong or swapped with their
// neighbour: none in a known key of up to three letters but a swap, one in up to
// seven, two in up to eleven, three in a longer one. The beginning of a known key
// is near too where it has eight letters and lacks four at most
// (min_size_kb). A key that differs by two letters or more before it alone is
// another one (aws_session_token). What stands behind the first character that no key has is left
// out: in {access_key:AKIA} the value has become a part of the key.
func nearMiss(key string, known []string) string {
	if len(key) > 4*shownLength {
		return ""
	}
	word := strings.TrimSuffix(shown(key), "…")
	if word != key && slices.Contains(known, word) {
		return word
	}
	letters := bare(word)
	if letters == "" {
		return ""
	}
	best, bestDistance := "", 0
	for _, k := range known {
		d, near := nearness(letters, bare(k))
		if near && (best == "" || d < bestDistance) {
			best, bestDistance = k, d
		}
	}
	return best
}

// nearness says whether letters may be a misspelling of a known key's, and how
// far it is away.
func nearness(letters, known string) (d int, near bool) {
	d = distance(letters, known)
	switch {
	case beforeIt(letters, known) > 1, beforeIt(known, letters) > 1: // aws_session_token, auth_type
		return d, false
	case len(known) <= 3:
		return d, d == 0 || d == 1 && len(letters) == len(known) && sorted(letters) == sorted(known)
	case len(known) <= 7:
		near = d <= 1
	case len(known) <= 11:
		near = d <= 2
	default:
		near = d <= 3
	}
	const least, lacking = 8, 4
	return d, near || len(letters) >= least && len(known)-len(letters) <= lacking && strings.HasPrefix(known, letters)
}

// beforeIt counts the letters of a key before another one that it ends with.
func beforeIt(key, end string) int {
	if !strings.HasSuffix(key, end) {
		return 0
	}
	return len(key) - len(end)
}

// bare is a key without what spellings differ in.
func bare(key string) string {
	return strings.NewReplacer("_", "", "-", "", ".", "").Replace(strings.ToLower(key))
}

func sorted(s string) string {
	b := []byte(s)
	slices.Sort(b)
	return string(b)
}

// distance counts the bytes that must be inserted, removed, replaced or swapped
// with their neighbour to make b of a (optimal string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
