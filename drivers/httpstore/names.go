package httpstore

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/kedge/kedge/drivers"
)

// CheckKey says why a document's key, with slashes between its parts, makes no URI
// that is the document's alone.
func CheckKey(key drivers.Key) error {
	switch {
	case key.UserID == "" || key.Bucket == "" || key.ArchiveID == "":
		return errors.New("user, bucket or archive id is empty")
	case strings.Contains(key.UserID, "/"):
		return errors.New("the user holds a \"/\", so that the URI would be ambiguous")
	case strings.Contains(key.Bucket, "/"):
		return errors.New("the bucket holds a \"/\", so that the URI would be ambiguous")
	}
	return nil
}

// CheckName says why a store holds no object under a name: it must be UTF-8
// without a NUL, of at most so many bytes. called is what the store calls it.
func CheckName(name, store, called string, most int) error {
	switch {
	case len(name) > most:
		return fmt.Errorf("the %s has %d bytes; %s holds %ss of at most %d", called, len(name), store, called, most)
	case !utf8.ValidString(name):
		return fmt.Errorf("the %s is not UTF-8", called)
	case strings.ContainsRune(name, 0):
		return fmt.Errorf("the %s holds a NUL", called)
	}
	return nil
}

// IsMD5 says whether an ETag has the form of an MD5 in lower-case hex.
func IsMD5(etag string) bool {
	if len(etag) != 32 || etag != strings.ToLower(etag) {
		return false
	}
	_, err := hex.DecodeString(etag)
	return err == nil
}
