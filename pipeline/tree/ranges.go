package tree

import (
	"slices"
)

// keyRange is a part of the tree that is listed by itself: the paths that begin
// with prefix, behind after, and before upTo where that is not "".
type keyRange struct {
	prefix, after, upTo string
}

// id tells the range from the others of its phase.
func (r keyRange) id() string { return r.prefix + "|" + r.after }

// start is what all paths of the range come behind.
func (r keyRange) start() string { return max(r.prefix, r.after) }

// end is what they come before.
func (r keyRange) end() string {
	if r.upTo != "" {
		return r.upTo
	}
	return r.prefix + "\xff" // no UTF-8 has such a byte
}

// last sorts behind whatever begins with prefix and can be a registry's file.
// Should anything come behind it all the same, two ranges list it, which is no
// harm; what lies between two prefixes must not be left out.
func last(prefix string) string { return prefix + "~" }

// split makes ranges of all that lies between from and upTo below prefix: one for
// each of the given beginnings, which are sorted, and one for each gap between
// them.
func split(prefix, from, upTo string, beginnings []string) (ranges []keyRange) {
	for _, b := range beginnings {
		ranges = append(ranges, keyRange{prefix: prefix, after: from, upTo: b}, keyRange{prefix: b})
		from = last(b)
	}
	return append(ranges, keyRange{prefix: prefix, after: from, upTo: upTo})
}

// each joins a prefix with each of some characters.
func each(prefix, characters string) (list []string) {
	for _, c := range characters {
		list = append(list, prefix+string(c))
	}
	return list
}

// outside are the ranges of all that lies outside of the repositories: the blobs,
// split by the beginning of their digest, and the rest of the tree.
func outside() []keyRange {
	blobs := append(each(blobsRoot+"sha256/", "0123456789abcdef"), each(blobsRoot+"sha512/", "0123456789abcdef")...)
	ranges := split(root, "", repositories, blobs)
	return append(ranges, keyRange{prefix: root, after: last(repositories)})
}

// inside are the ranges of the repositories, split by the first character of
// their names; or of the given ones only.
func inside(names []string) (ranges []keyRange) {
	if len(names) == 0 {
		return split(repositories, "", "", each(repositories, "0123456789abcdefghijklmnopqrstuvwxyz"))
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		// Not what lies below other repositories whose names go on from this one.
		ranges = append(ranges, keyRange{prefix: repositories + name + "/_"})
	}
	return ranges
}
