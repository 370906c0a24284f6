package swift

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/httpstore"
)

const (
	scheme = "swift://"
	// maxNameBytes and maxContainerBytes are Swift's limits for the names of
	// objects and containers, in bytes of UTF-8.
	maxNameBytes      = 1024
	maxContainerBytes = 256
)

// location is one object: a container and a name in it.
type location struct{ container, name string }

// split takes a URI apart at the first "/" behind the scheme. Nothing in it is
// escaped, so no URL parser may see it.
func split(uri string) (location, error) {
	rest, ok := strings.CutPrefix(uri, scheme)
	if !ok {
		return location{}, errors.New("not a URI of driver swift")
	}
	container, name, _ := strings.Cut(rest, "/")
	switch {
	case checkContainer(container) != nil:
		return location{}, fmt.Errorf("%q is no name of a container", container)
	case strings.Trim(name, "/") == "":
		return location{}, errors.New("no object's name behind the container")
	}
	return location{container, name}, nil
}

// checkContainer tells what is wrong with a container's name.
func checkContainer(name string) error {
	switch {
	case name == "":
		return errors.New("is missing")
	case name == "." || name == ".." || strings.ContainsAny(name, "/\x00") || !utf8.ValidString(name):
		return fmt.Errorf("%q is no name of a container", name)
	case len(name) > maxContainerBytes:
		return fmt.Errorf("has %d bytes; Swift allows %d", len(name), maxContainerBytes)
	}
	return nil
}

// URI gives swift://{container}/{anchore_key_prefix}{user}/{bucket}/{archive id},
// raw. It refuses (kind InvalidKey) what Swift cannot hold and what would be
// another document's URI as well.
func (s *Store) URI(key drivers.Key) (string, error) {
	name := s.prefix + key.UserID + "/" + key.Bucket + "/" + key.ArchiveID
	if err := cmp.Or(httpstore.CheckKey(key), checkName(name)); err != nil {
		return "", &drivers.Error{Op: "put", URI: scheme + s.container + "/" + name, Kind: drivers.InvalidKey, Err: err}
	}
	return scheme + s.container + "/" + name, nil
}

// checkName tells why Swift cannot hold an object of that name.
func checkName(name string) error {
	return httpstore.CheckName(name, "Swift", "name", maxNameBytes)
}

// locate splits a URI for an operation.
func (s *Store) locate(op, uri string) (location, error) {
	loc, err := split(uri)
	if err == nil {
		err = checkName(loc.name)
	}
	if err != nil {
		return location{}, &drivers.Error{Op: op, URI: uri, Kind: drivers.InvalidKey, Err: err}
	}
	return loc, nil
}
