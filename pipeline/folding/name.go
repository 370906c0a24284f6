// Package folding finds stores that take two names for one. A file system may ignore
// case (vfat, NTFS, a casefolded ext4, macOS, SMB), or the difference between Unicode's
// two forms of a letter. An S3 server may keep its data on such a file system. There a
// document overwrites another one whose name differs only in that.
package folding

import (
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Name is the same for all names that some file system may take for one, and for
// more: a store that is found to fold anything is taken to fold everything. Names
// may be paths and URIs; their parts are those between slashes.
func Name(name string) string {
	if !strings.ContainsFunc(name, func(r rune) bool { return r > unicode.MaxASCII }) {
		name = strings.ToLower(name)
	} else {
		name = norm.NFKD.String(name)
		// Up and down again: letters whose capitals are the same, as of s and ſ.
		name = strings.ToLower(strings.ToUpper(name))
		name = norm.NFKD.String(cases.Fold().String(name))
		name = strings.Map(visible, name)
	}
	if !strings.ContainsAny(name, ". ") {
		return name
	}
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = strings.TrimRight(part, ". ") // which vfat and SMB drop
	}
	return strings.Join(parts, "/")
}

// visible drops characters that some file systems leave out of account.
func visible(r rune) rune {
	if unicode.In(r, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point) {
		return -1
	}
	return r
}

// spellings are other names that a store which folds takes for this URI: the case
// of all letters changed, and the other of Unicode's forms. What is behind the last
// slash stays, because a driver may insist on it.
func spellings(uri, prefix string) (others []string) {
	rest := strings.TrimPrefix(uri, prefix)
	i := strings.LastIndexByte(rest, '/') + 1
	begin, folders, last := uri[:len(uri)-len(rest)], rest[:i], rest[i:]
	for _, other := range []string{strings.Map(otherCase, folders), norm.NFD.String(folders), norm.NFC.String(folders)} {
		if other != folders {
			others = append(others, begin+other+last)
		}
	}
	return others
}

func otherCase(r rune) rune {
	if unicode.IsUpper(r) {
		return unicode.ToLower(r)
	}
	return unicode.ToUpper(r)
}
