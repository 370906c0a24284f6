package swift

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"

	ncw "github.com/ncw/swift/v2"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/httpstore"
)

// Anchore does not put a payload where its URI says, but where python-swiftclient
// and the HTTP client below it come to with the URI's path, and it does not look
// for it at the same place in all cases. All of these are a document's places:
//
//   - own: exactly where the URI says. kedge puts there.
//   - read: where Anchore looks. It passes content_url through Python's urlparse and
//     uses host and path: tabs and line ends vanish, what follows "?" or "#" is cut,
//     the container loses login and port and is lower-cased. Then "." and ".." in the
//     path are resolved.
//   - written: where Anchore puts. It is the same, but before that python-swiftclient
//     strips "/", "./" and ".\" from the beginning of the name.
//
// What several documents come to ("k?1" and "k?2", "k" and "./k") is one object.

// anchorePlaces are where Anchore looks for the payload of a URI, and where it puts
// it; the zero location stands for none, as where the path leaves the container.
func anchorePlaces(uri string) (read, written location) {
	if _, err := split(uri); err != nil {
		return location{}, location{}
	}
	rest := strings.TrimPrefix(uri, scheme)
	rest = strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(rest)
	if i := strings.IndexAny(rest, "?#"); i >= 0 {
		rest = rest[:i]
	}
	host, name, _ := strings.Cut(rest, "/")
	host = host[strings.LastIndexByte(host, '@')+1:]
	host, _, _ = strings.Cut(host, ":")
	host = strings.ToLower(host)
	if checkContainer(host) != nil {
		return location{}, location{}
	}
	place := func(name string) location {
		name, ok := drivers.ResolveDots(name)
		if !ok || strings.Trim(name, "/") == "" {
			return location{}
		}
		return location{host, name}
	}
	return place(name), place(stripped(name))
}

// stripped is the name that python-swiftclient makes of one that it is to put.
func stripped(name string) string {
	name = strings.TrimLeft(name, "/")
	if strings.HasPrefix(name, "./") || strings.HasPrefix(name, `.\`) {
		name = name[2:]
	}
	return strings.TrimPrefix(name, "/")
}

// isStraight says whether nothing happens to what follows the prefix in a name.
func isStraight(tail string) bool {
	return !strings.ContainsAny(tail, "?#\t\r\n") && !drivers.HasDots(tail)
}

// putPlace is where kedge puts the payload of a URI: its own place, unless it is
// only the store's prefix that Anchore comes to another place with (such as "./a/").
// Under such a prefix everything is at that place, no two documents at one, and
// Anchore finds it nowhere else.
func (s *Store) putPlace(uri string, own location) location {
	tail, ours := strings.CutPrefix(uri, s.Prefix())
	if !ours || !isStraight(tail) {
		return own
	}
	read, written := anchorePlaces(uri)
	if read != written || read.container != own.container || !strings.HasSuffix(read.name, tail) {
		return own
	}
	return read
}

// places are all where the payload of a URI may be, the one where kedge puts it
// first, then its own.
func (s *Store) places(uri string, own location) []location {
	list := []location{s.putPlace(uri, own), own}
	read, written := anchorePlaces(uri)
	for _, at := range []location{read, written} {
		if at != (location{}) {
			list = append(list, at)
		}
	}
	var places []location
	for _, at := range list {
		if !slices.Contains(places, at) {
			places = append(places, at)
		}
	}
	return places
}

// nameHeader marks the objects that kedge has put, by whose they are: wholeName for
// one under its document's whole name, else a hash of that name. Anchore knows no
// such header: what lacks it may be any document's that comes to this place.
const (
	nameHeader = "X-Object-Meta-Kedge-Name"
	wholeName  = "whole"
)

// markOf is the mark of what kedge puts at a place for the document whose own place
// this is.
func markOf(own, at location) string {
	if own == at {
		return wholeName
	}
	sum := sha256.Sum256([]byte(own.container + "/" + own.name))
	return "sha256-" + hex.EncodeToString(sum[:])
}

// OtherPlaces implements drivers.Placer.
func (s *Store) OtherPlaces(uri string) (uris []string) {
	own, err := split(uri)
	if err != nil {
		return nil
	}
	for _, at := range s.places(uri, own) {
		if at != own {
			uris = append(uris, at.uri())
		}
	}
	return uris
}

// FoundByAnchore implements drivers.Placer.
func (s *Store) FoundByAnchore(uri string) error {
	if own, err := split(uri); err == nil && s.putPlace(uri, own) != own {
		return nil
	}
	return drivers.ReadableByAnchore(uri)
}

// uri is the URI whose own place this is.
func (l location) uri() string { return scheme + l.container + "/" + l.name }

// find gives the place of the payload that is meant by a URI, with its headers.
// Where it may be at several, its digest decides; where that is not known, what
// Anchore would read if the caller asks for a document of the catalog, and else the
// URI's own place. Status 404 where there is none.
func (s *Store) find(ctx context.Context, uri string, own location) (location, ncw.Headers, error) {
	meant, told := drivers.MeantBy(ctx)
	places := s.places(uri, own)
	read, _ := anchorePlaces(uri)
	switch {
	case meant.AsAnchore && read == location{}:
		return own, nil, errNothing
	case meant.AsAnchore:
		h, err := s.head(ctx, read)
		return read, h, err
	case told && meant.MD5 == "":
		// Only Anchore writes rows without a digest.
		places = append(slices.DeleteFunc(places, func(at location) bool { return at == own }), own)
	}
	var first location
	var headers ncw.Headers
	for _, at := range places {
		h, err := s.head(ctx, at)
		if isMissing(err) || err == nil && !mayBeOf(h, own, at) {
			continue
		}
		if err != nil {
			return at, nil, err
		}
		if !told || meant.MD5 == "" || plainMD5(h) == meant.MD5 {
			return at, h, nil
		}
		if headers == nil {
			first, headers = at, h
		}
	}
	if headers == nil {
		return own, nil, errNothing
	}
	return first, headers, nil
}

var errNothing = &answerError{status: http.StatusNotFound}

// mayBeOf says whether the object at a place may be the document's whose own place
// this is: it must not be one that kedge has put there for another.
func mayBeOf(h ncw.Headers, own, at location) bool {
	mark := h[nameHeader]
	return at == own || mark == "" || mark == markOf(own, at)
}

// plainMD5 is the MD5 that the server tells of an object, "" of a large one.
func plainMD5(h ncw.Headers) string {
	if etag := strings.ToLower(h["Etag"]); httpstore.IsMD5(etag) && !isLarge(h) {
		return etag
	}
	return ""
}

// deletable are the places of a URI that a Delete removes what is at: its own, those
// where kedge has put it, and, where the caller has said which payload is meant,
// those that hold it. What may be another document's is left: where nothing else is
// there, with an error of kind InvalidKey.
func (s *Store) deletable(ctx context.Context, uri string, own location) (doomed []location, err error) {
	meant, told := drivers.MeantBy(ctx)
	var left *location
	picked := false
	for _, at := range s.places(uri, own) {
		if at == own {
			doomed = append(doomed, at)
			continue
		}
		h, err := s.head(ctx, at)
		switch {
		case isMissing(err):
		case err != nil && statusOf(err) != http.StatusConflict:
			return nil, s.fail("delete", uri, err)
		case err == nil && h[nameHeader] == markOf(own, at):
			doomed = append(doomed, at)
		case err == nil && !mayBeOf(h, own, at):
		case told && meant.MD5 == "" && !picked, told && meant.MD5 != "" && plainMD5(h) == meant.MD5:
			picked = true
			doomed = append(doomed, at)
		case told && meant.MD5 == "":
		case told && plainMD5(h) != "": // it holds something else by now
		default:
			left = &at
		}
	}
	if left == nil || len(doomed) > 1 {
		return doomed, nil
	}
	if _, err := s.head(ctx, own); !isMissing(err) {
		return doomed, nil
	}
	return nil, &drivers.Error{
		Op: "delete", URI: uri, Kind: drivers.InvalidKey,
		Err:  errors.New("its payload is at " + left.uri() + ", a place that is shared with other documents; not deleted"),
		Mend: "delete that by hand once no document needs it",
	}
}
