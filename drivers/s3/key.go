package s3

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/httpstore"
)

const (
	scheme = "s3://"
	// maxKeyBytes is S3's limit for an object key, in bytes of UTF-8.
	maxKeyBytes = 1024
)

// location is one object: an S3 bucket and a key in it.
type location struct{ bucket, key string }

// split takes a URI apart at the first "/" behind the scheme. Nothing in it is
// escaped, so no URL parser may see it.
func split(uri string) (location, error) {
	rest, ok := strings.CutPrefix(uri, scheme)
	if !ok {
		return location{}, errors.New("not a URI of driver s3")
	}
	bucket, key, _ := strings.Cut(rest, "/")
	switch {
	case !usableBucket(bucket):
		return location{}, fmt.Errorf("%q is no name of an S3 bucket", bucket)
	case key == "":
		return location{}, errors.New("no key behind the S3 bucket")
	}
	return location{bucket, key}, nil
}

// usableBucket keeps out what the SDK would take for something else than a
// bucket's name and send elsewhere: an ARN, or a path.
func usableBucket(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.HasPrefix(name, "arn:") &&
		!strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || strings.ContainsRune(`/\?#%`, r) })
}

// plainPath says whether every component of key between slashes is a name, not
// empty, "." or ".."; a slash may end the key. A server that keeps objects as
// files may rewrite any other key, so that two keys become one object.
func plainPath(key string) bool {
	for part := range strings.SplitSeq(strings.TrimSuffix(key, "/"), "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	return true
}

// URI gives s3://{S3 bucket}/{prefix}{user}/{bucket}/{archive id}, raw. It
// refuses (kind InvalidKey) what S3 cannot hold, what would be another
// document's URI as well and, with a server other than Amazon's, a key with an
// empty, "." or ".." component: some of these servers refuse such a key, but
// others drop the component without a word, and then the payload of "x//y"
// replaces that of "x/y". What a server refuses by itself is left to Put.
func (s *Store) URI(key drivers.Key) (string, error) {
	path := s.prefix + key.UserID + "/" + key.Bucket + "/" + key.ArchiveID
	if err := s.checkKey(key, path); err != nil {
		return "", &drivers.Error{Op: "put", URI: scheme + s.bucket + "/" + path, Kind: drivers.InvalidKey, Err: err}
	}
	return scheme + s.bucket + "/" + path, nil
}

func (s *Store) checkKey(key drivers.Key, path string) error {
	if err := cmp.Or(httpstore.CheckKey(key), checkName(path)); err != nil {
		return err
	}
	if s.conn.endpoint != "" && !plainPath(path[len(s.prefix):]) {
		return errors.New("the key has an empty, \".\" or \"..\" component, which servers other than Amazon's may rewrite")
	}
	return nil
}

// PathURI gives s3://{S3 bucket}/{prefix}{path}.
func (s *Store) PathURI(path string) (string, error) {
	key := s.prefix + path
	uri := scheme + s.bucket + "/" + key
	err := checkName(key)
	if path == "" || !plainPath(path) || strings.HasSuffix(path, "/") {
		err = errors.New("not a path of names between slashes")
	}
	if err != nil {
		return "", &drivers.Error{Op: "put", URI: uri, Kind: drivers.InvalidKey, Err: err}
	}
	return uri, nil
}

// checkName says why S3 holds no object of that name.
func checkName(key string) error { return httpstore.CheckName(key, "S3", "key", maxKeyBytes) }

// fileNameBytes is the longest name of a file in the usual file systems: servers
// that keep objects as files refuse a key with a longer component, each with an
// answer of its own.
const fileNameBytes = 255

func longComponent(key string) bool {
	for part := range strings.SplitSeq(key, "/") {
		if len(part) > fileNameBytes {
			return true
		}
	}
	return false
}

// rewrites says whether this server may keep the key under another name. A prefix
// that it was seen to keep as it is, it keeps.
func (s *Store) rewrites(key string) bool {
	if rest, below := strings.CutPrefix(key, s.prefix); below && s.names == namesKept {
		key = rest
	}
	return s.conn.endpoint != "" && !plainPath(key)
}
