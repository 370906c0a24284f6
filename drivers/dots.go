package drivers

import (
	"slices"
	"strings"
)

// HasDots says whether a part of a path is "." or "..".
func HasDots(path string) bool { return slices.ContainsFunc(strings.Split(path, "/"), isDots) }

// ResolveDots takes "." and ".." out of a relative path as the HTTP client that
// Anchore uses for Swift does, for which an empty part is one as any other. ok is
// false for a path that leaves the place where it begins.
func ResolveDots(path string) (resolved string, ok bool) {
	if !HasDots(path) {
		return path, true
	}
	parts := strings.Split(path, "/")
	var kept []string
	for _, part := range parts {
		switch {
		case part == ".":
		case part != "..":
			kept = append(kept, part)
		case len(kept) == 0:
			return "", false
		default:
			kept = kept[:len(kept)-1]
		}
	}
	if isDots(parts[len(parts)-1]) {
		kept = append(kept, "")
	}
	return strings.Join(kept, "/"), true
}

func isDots(part string) bool { return part == "." || part == ".." }
