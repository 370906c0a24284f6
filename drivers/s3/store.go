// Package s3 keeps payloads as objects in a bucket of Amazon S3 or of a server
// that speaks its protocol. Layout and URI are Anchore's (driver "s3"): the
// object's key is {prefix}{user}/{bucket}/{archive id}, raw. The configuration
// is in Anchore's vocabulary or that of the Docker registry's S3 driver.
//
// Every payload goes with its Content-MD5, the one integrity check that all servers
// make, and the driver compares what the server answers with what was sent.
// vacant.go says when the second check alone is enough.
//
// What has nothing to do with S3's protocol is in drivers/httpstore.
package s3

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/httpstore"
	"github.com/kedge/kedge/drivers/s3/internal/answers"
)

// Store is an S3 bucket opened with one configuration. Its methods are safe for
// concurrent use.
type Store struct {
	bucket, prefix string
	conn           *connection // a pointer, so that printing a Store prints no secret
	tuning         Tuning
	missing        bool
	attributes     attributes
	client         *awss3.Client
	direct         *direct
	// http and slowHTTP differ in how long they wait for the first byte of an
	// answer.
	http, slowHTTP *http.Client
	buffers        httpstore.Buffers
	heed           *heed
	names          names
	many           *many
	// oldListing: the server lists in the way that ListObjectsV2 has replaced.
	oldListing *atomic.Bool
	// recognized: the server has accepted a signature when the store was opened.
	recognized bool
	// unlisted is why the objects cannot be listed, nil where they can.
	unlisted *drivers.Error
}

var (
	_ drivers.Driver  = (*Store)(nil)
	_ drivers.Batcher = (*Store)(nil)
	_ drivers.Lister  = (*Store)(nil)
	_ drivers.Tree    = (*Store)(nil)
)

// Name is "s3".
func (s *Store) Name() string { return "s3" }

// Scheme is "s3://".
func (s *Store) Scheme() string { return scheme }

// Prefix is s3://{S3 bucket}/{prefix}.
func (s *Store) Prefix() string { return scheme + s.bucket + "/" + s.prefix }

// Place is the prefix and the server or region.
func (s *Store) Place() string { return s.Prefix() + " " + s.conn.String() }

// Capabilities: deletes go many to a request; a multipart upload holds those
// parts in memory that are on their way, and the one that is read. Parts are longer than StreamBytes says only for a payload of known
// length that would otherwise take more than 10,000 of them (80 GB with parts
// of 8 MiB).
func (s *Store) Capabilities() drivers.Capabilities {
	return drivers.Capabilities{
		Compresses:  true,
		ParsesURI:   true,
		BatchDelete: true,
		Lists:       true,
		ListTells:   true,
		ListsRanges: true,
		Uploads:     true,

		StreamBytes:    (partsAtOnce+1)*s.tuning.PartBytes + 256<<10,
		GetStreamBytes: 256 << 10,
		PassBytes:      s.tuning.WholeBytes,
		TakesUnhashed:  true,

		Workers: s.tuning.Workers,
	}
}

// Missing says that the S3 bucket is not there and was not made, because the
// store was opened with Tuning.Look.
func (s *Store) Missing() bool { return s.missing }

// Close gives up the idle connections.
func (s *Store) Close() error {
	s.http.CloseIdleConnections()
	s.slowHTTP.CloseIdleConnections()
	return nil
}

// Stat asks for an object's headers. Info.MD5 is its ETag where that is the
// MD5, Info.Modified its Last-Modified.
func (s *Store) Stat(ctx context.Context, uri string) (drivers.Info, error) {
	loc, err := s.locate("stat", uri)
	if err != nil {
		return drivers.Info{}, err
	}
	out, err := s.direct.head(ctx, loc)
	if status(err) == http.StatusBadRequest || status(err) == http.StatusForbidden {
		// The answer to HEAD does not tell why; that to GET does.
		reader, info, err := s.Get(ctx, uri)
		if err == nil {
			_ = reader.Close() // not read
		}
		return info, httpstore.InPlaceOf("stat", err)
	}
	if err != nil {
		return drivers.Info{}, s.fail("stat", uri, err)
	}
	info := out.info()
	if info.Bytes < 0 {
		return s.measured(ctx, uri, info)
	}
	return info, nil
}

// measured adds the length to what is known of an object.
func (s *Store) measured(ctx context.Context, uri string, info drivers.Info) (drivers.Info, error) {
	reader, opened, err := s.Get(ctx, uri)
	if err != nil {
		return drivers.Info{}, httpstore.InPlaceOf("stat", err)
	}
	_ = reader.Close() // not read
	info.Bytes = opened.Bytes
	return info, nil
}

// Delete removes an object; one that is not there is no error. With a server
// other than Amazon's, a key with an empty, "." or ".." component is deleted
// only if the server lists it under exactly that name: where the server has
// rewritten it, the object is another document's as well (kind InvalidKey).
func (s *Store) Delete(ctx context.Context, uri string) error {
	loc, err := s.locate("delete", uri)
	if err != nil {
		return err
	}
	if s.rewrites(loc.key) {
		gone, err := s.confirmOwnName(ctx, uri, loc)
		if gone || err != nil {
			return err
		}
	}
	_, err = s.direct.remove(ctx, loc)
	if err == nil {
		return nil
	}
	failed := s.fail("delete", uri, err)
	if absent(failed) {
		return nil
	}
	if code, _ := answer(err); code == answers.FolderInUse {
		// versitygw says so of the folder, whether or not there is an object
		// of that name.
		if _, err := s.direct.head(ctx, loc); status(err) == http.StatusNotFound {
			return nil
		}
	}
	return failed
}

// absent says whether an answer means that there is no such object: none is
// stored, or none could be.
func absent(err *drivers.Error) bool {
	code, _ := answer(err)
	if !answers.Known(code) {
		return false // not in S3's own words: a proxy may be speaking
	}
	return err.Kind == drivers.NotFound || err.Kind == drivers.InvalidKey
}

// confirmOwnName says that the object is gone already, or fails unless the
// server lists it under this very key.
func (s *Store) confirmOwnName(ctx context.Context, uri string, loc location) (gone bool, err error) {
	reader, _, err := s.Get(ctx, uri) // not HEAD, whose answer does not tell why
	if err != nil {
		failed, ok := errors.AsType[*drivers.Error](err)
		if ok && absent(failed) {
			return true, nil
		}
		return false, err
	}
	_ = reader.Close() // not read
	if same, err := s.lists(ctx, loc); err != nil {
		return false, s.fail("list", uri, err)
	} else if same {
		return false, nil
	}
	return false, &drivers.Error{
		Op: "delete", URI: uri, Kind: drivers.InvalidKey,
		Err:  errors.New("the server keeps this object under another name, which may be another document's"),
		Mend: "delete it by hand once no other document has that name",
	}
}

// locate splits a URI for an operation.
func (s *Store) locate(op, uri string) (location, error) {
	loc, err := split(uri)
	if err != nil {
		return location{}, &drivers.Error{Op: op, URI: uri, Kind: drivers.InvalidKey, Err: err}
	}
	return loc, nil
}
