package localfs

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/kedge/kedge/drivers"
)

const (
	scheme    = "file://"
	extension = ".json"

	// maxName and maxPath are the limits of a file name and of a path in bytes
	// (NAME_MAX, and PATH_MAX without the NUL at its end).
	maxName = 255
	maxPath = 4095
)

// location is a payload's file.
type location struct {
	root string // absolute and clean
	dir  string // under root, "{md5(userId)}/{bucket}/{md5(archiveId)[0:2]}"
	name string // "{md5(archiveId)}.json"
}

// path is the file's path under the root.
func (l location) path() string { return path.Join(l.dir, l.name) }

// partial is the name of the temporary file from which the payload is renamed.
// It depends on the target alone, so that what a killed run has left is
// replaced by the next attempt.
func (l location) partial() string { return "." + l.name + partialSuffix }

const partialSuffix = ".kedge-part"

// URI gives "file://" and the path of the document's file. The user and the
// archive id are hashed and may be anything; the bucket becomes a directory's
// name, so that an empty one, "." and "..", one with a "/" or a NUL, and one of
// more than 255 bytes have kind InvalidKey.
func (s *Store) URI(key drivers.Key) (string, error) {
	var reason string
	switch b := key.Bucket; {
	case b == "":
		reason = "an empty bucket"
	case b == "." || b == "..":
		reason = fmt.Sprintf("bucket %q", b)
	case strings.ContainsAny(b, "/\x00"):
		reason = fmt.Sprintf("bucket %q with a slash or a NUL byte", b)
	case len(b) > maxName:
		reason = fmt.Sprintf("a bucket of %d bytes, a file name has at most %d", len(b), maxName)
	}
	archive := md5Hex(key.ArchiveID)
	uri := s.prefix + md5Hex(key.UserID) + "/" + key.Bucket + "/" + archive[:2] + "/" + archive + extension
	if len(uri)-len(scheme) > maxPath {
		reason = fmt.Sprintf("a path of more than %d bytes", maxPath)
	}
	if reason != "" {
		return "", &drivers.Error{Op: "uri", URI: s.prefix, Kind: drivers.InvalidKey,
			Err: fmt.Errorf("key %s cannot be stored in a directory: %s", key, reason)}
	}
	return uri, nil
}

// locate takes a URI of any root apart. It accepts nothing but the layout's
// form, so that no row of a catalog leads to another file.
func locate(op, uri string) (location, error) {
	refuse := func(reason string) (location, error) {
		return location{}, &drivers.Error{Op: op, URI: uri, Kind: drivers.InvalidKey, Err: errors.New(reason)}
	}
	file, ok := strings.CutPrefix(uri, scheme)
	if !ok {
		return refuse("does not begin with " + scheme)
	}
	if !strings.HasPrefix(file, "/") || strings.HasSuffix(file, "/") || strings.ContainsRune(file, 0) {
		return refuse("is not the absolute path of a file")
	}
	var parts []string
	for part := range strings.SplitSeq(file, "/") {
		switch part {
		case "", ".": // of a root that was configured so
		case "..":
			return refuse("holds \"..\"")
		default:
			parts = append(parts, part)
		}
	}
	n := len(parts)
	if n < 4 || !isUser(parts[n-4]) || !isShard(parts[n-2]) || !isDocument(parts[n-1]) {
		return refuse("is no path that Anchore makes: {root}/{md5}/{bucket}/{2 hex digits}/{md5}.json")
	}
	return location{
		root: "/" + strings.Join(parts[:n-4], "/"),
		dir:  strings.Join(parts[n-4:n-1], "/"),
		name: parts[n-1],
	}, nil
}

func isUser(name string) bool  { return len(name) == 32 && isHex(name) }
func isShard(name string) bool { return len(name) == 2 && isHex(name) }

func isDocument(name string) bool {
	hash, ok := strings.CutSuffix(name, extension)
	return ok && isUser(hash)
}

func isHex(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F') {
			return false
		}
	}
	return true
}

func md5Hex(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}
