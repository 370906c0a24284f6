package db

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/kedge/kedge/drivers"
)

// URI gives db://{userId}/{bucket}/{archiveId}, raw. Parse splits at the first
// two slashes, so user and bucket cannot hold one.
func (s *store) URI(key drivers.Key) (string, error) {
	uri := s.Scheme() + key.UserID + "/" + key.Bucket + "/" + key.ArchiveID
	if err := checkKey(key); err != nil {
		return "", &drivers.Error{Op: "put", URI: uri, Kind: drivers.InvalidKey, Err: err}
	}
	return uri, nil
}

func checkKey(key drivers.Key) error {
	for _, part := range []struct{ name, value string }{{"user", key.UserID}, {"bucket", key.Bucket}} {
		if part.value == "" {
			return fmt.Errorf("the key has no %s", part.name)
		}
		if strings.Contains(part.value, "/") {
			return fmt.Errorf("the key's %s holds a slash", part.name)
		}
	}
	for _, part := range []struct{ name, value string }{{"user", key.UserID}, {"bucket", key.Bucket}, {"archive id", key.ArchiveID}} {
		if strings.Contains(part.value, "\x00") {
			return fmt.Errorf("the key's %s holds a NUL byte, which a database's text cannot", part.name)
		}
		if !utf8.ValidString(part.value) {
			return fmt.Errorf("the key's %s is not valid UTF-8, which a database's text must be", part.name)
		}
	}
	return nil
}

// parse takes a URI apart that URI may have made: the archive id is all that
// follows the second slash, and may be empty.
func parse(scheme, uri string) (drivers.Key, error) {
	rest, ok := strings.CutPrefix(uri, scheme)
	if !ok {
		return drivers.Key{}, fmt.Errorf("the URI does not begin with %s", scheme)
	}
	user, rest, ok := strings.Cut(rest, "/")
	if !ok {
		return drivers.Key{}, errors.New("the URI has no bucket")
	}
	bucket, id, ok := strings.Cut(rest, "/")
	if !ok {
		return drivers.Key{}, errors.New("the URI has no archive id")
	}
	key := drivers.Key{UserID: user, Bucket: bucket, ArchiveID: id}
	return key, checkKey(key)
}

// key parses a URI for an operation.
func (s *store) key(op, uri string) (drivers.Key, error) {
	key, err := parse(s.Scheme(), uri)
	if err != nil {
		return key, &drivers.Error{Op: op, URI: uri, Kind: drivers.InvalidKey, Err: err}
	}
	return key, nil
}
