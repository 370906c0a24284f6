// Package drivers defines what a storage backend is to kedge: an interface of
// a few operations on payloads, what a backend may be able to do beyond them,
// and the kinds of error on which callers decide.
//
// A URI names a payload, exactly as Anchore writes it into
// archive_metadata.content_url: raw, never percent-escaped. Only the driver knows
// what a URI means; nobody else takes one apart.
//
// A driver does one attempt of one operation. Retries, limits and metrics are
// decorators that stand outside (drivers/retry and its neighbours, made with
// drivers/decorator). To write a driver, begin with drivertest/memory_test.go. The
// driver is done when it passes package drivertest, the conformance suite.
package drivers

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Schemes are what the URIs of all drivers begin with, also of those that this
// program has no driver for.
var Schemes = []string{"db://", "db2://", "file://", "s3://", "swift://"}

// Key names a document as Anchore's catalog does. Bucket is Anchore's logical
// bucket (manifest_data, analysis_data, …), never an S3 bucket.
type Key struct {
	UserID    string
	Bucket    string
	ArchiveID string
}

// String gives the key for a message; quoted, because a key may hold anything.
func (k Key) String() string {
	return fmt.Sprintf("%q", k.UserID+"/"+k.Bucket+"/"+k.ArchiveID)
}

// Driver keeps payloads in one place of one backend.
//
// All methods are safe for concurrent use, also on one URI. Lengths are in bytes.
// Every error is, or wraps, an *Error that names the operation and the URI and
// holds no secret. An operation whose context ends returns soon, with an error
// that wraps the context's; so does the reader of a Get. A URI that no store of
// this kind can have made is refused by every operation (InvalidKey, or Config).
type Driver interface {
	// Name is the driver's name in a configuration: db, db2, localfs, s3, swift.
	Name() string

	// Capabilities says what this store can do. It never changes.
	Capabilities() Capabilities

	// Prefix is what every URI of this store begins with, down to the last
	// byte that they have in common: "db://", "file:///archive/",
	// "s3://bucket/prefix". Scheme is the part up to and with "://".
	Prefix() string
	Scheme() string

	// Place identifies the place itself for messages and for a checkpoint's
	// fingerprint: the prefix and the server or database it is on, without any
	// secret. Two stores with the same Place are the same place; the reverse
	// need not hold (one server may have two addresses).
	Place() string

	// URI is the content_url that a document gets in this store. It fails with
	// kind InvalidKey where the backend cannot hold the key, or where the URI
	// would also be another key's (a "/" in the user or the bucket, "..").
	URI(key Key) (string, error)

	// Get opens a payload. The reader delivers exactly Info.Bytes bytes and
	// then io.EOF, or else an error (io.ErrUnexpectedEOF for a body that ends
	// early). The caller closes it. Kind NotFound where there is none. The URI
	// need not lie under Prefix: rows of an earlier configuration are read too,
	// where the backend can reach them.
	Get(ctx context.Context, uri string) (io.ReadCloser, Info, error)

	// Put stores a payload under a URI made by URI, replacing what was there.
	// A reader sees the old payload or the new one, never a part. When Put
	// fails, nothing of the new payload is readable under uri, and what was there
	// still is. It fails with kind Corrupt where the payload has not the length or
	// the MD5 that it is said to have, and with the source's own error where that
	// fails; it closes whatever it has opened. The payload is durable when Put has
	// returned, or, where Capabilities.NeedsSync, after the next Sync.
	Put(ctx context.Context, uri string, payload Payload) (Receipt, error)

	// Stat tells a payload's length and when it was put, without reading it. Kind
	// NotFound where there is none.
	Stat(ctx context.Context, uri string) (Info, error)

	// Delete removes a payload. Deleting what is not there is no error.
	Delete(ctx context.Context, uri string) error

	// Close gives up connections. No other method may be called afterwards.
	Close() error
}

// Info is what a backend says of a stored payload.
type Info struct {
	// Bytes is the payload's length in bytes as stored.
	Bytes int64
	// MD5 is the payload's MD5 in lower-case hex where the backend itself
	// computed it from what it stores, else "".
	MD5 string
	// Identity tells the stored payload from any other one of the same kind of
	// backend, also across two stores: equal identities are one and the same
	// payload under two names. "" where the backend has no such thing.
	Identity string
	// Modified is when Stat says that the payload was put, by the backend's clock.
	// Zero where it is not told.
	Modified time.Time
	// Version changes when the payload under a URI is replaced by another one:
	// an ETag, a file's number, length and time, or the transaction that wrote a
	// row. All of Put, Get, Stat and List that tell one tell the same. "" where it is
	// not told.
	Version string
}

// Proves says whether the backend has told that it holds a payload with this MD5
// (lower-case hex): as its MD5, or as the ETag, which nothing else makes equal to it.
// If not, nothing is known.
func (i Info) Proves(md5 string) bool {
	return md5 != "" && (i.MD5 == md5 || i.Version == md5)
}

// Payload is what Put stores: bytes in memory, or a stream that can be opened
// again for another attempt.
type Payload struct {
	// Bytes is the whole payload when Open is nil.
	Bytes []byte
	// Open starts the payload from its beginning. It may end with an error in
	// place of io.EOF (a source that proved rotten at its last byte): Put must
	// then fail with that error and store nothing.
	Open func(ctx context.Context) (io.ReadCloser, error)
	// Length is the length in bytes, -1 when it is not known before the end.
	Length int64
	// MD5 is the payload's MD5 in lower-case hex, "" when it is not known
	// before the end.
	MD5 string
	// Computed says that the caller has computed MD5 from Bytes and reads back
	// whatever Receipt.ProvenMD5 does not prove: a backend that would hash Bytes
	// only to compare need not.
	Computed bool
	// ReadBack says that the caller compares MD5 with Receipt.ProvenMD5, or with what
	// it reads back, before it relies on what is stored, and removes what is wrong.
	// With Capabilities.TakesUnhashed, Put may then leave MD5 alone where nothing is
	// at the URI; it replaces what is there only with a payload that has this MD5.
	ReadBack bool
}

// InMemory is the payload made of these bytes, whose MD5 (lower-case hex) the
// caller has computed.
func InMemory(b []byte, md5 string) Payload {
	return Payload{Bytes: b, Length: int64(len(b)), MD5: md5}
}

// Streamed says whether the payload must be opened to be read.
func (p Payload) Streamed() bool { return p.Open != nil }

// Receipt is what a Put achieved.
type Receipt struct {
	// Bytes and MD5 (lower-case hex) are of what was sent.
	Bytes int64
	MD5   string
	// ProvenMD5 is the MD5 that the backend computed of what it now holds (an
	// S3 ETag where that is the MD5, md5(content) in a database), or the MD5 of
	// what was sent when the backend vouched for all of it in another way (the
	// ETag of a multipart upload, recomputed from the parts). "" where the
	// backend proves nothing and a read-back has to.
	ProvenMD5 string
	// Version is the Info.Version that the payload has now, "" where Put was not
	// told.
	Version string
}

// Capabilities is what a store can do beyond the interface, and what it needs.
type Capabilities struct {
	// Compresses: Anchore may store compressed payloads here.
	Compresses bool
	// ParsesURI: Anchore finds a payload here by passing content_url through a
	// URL parser and using host and path, see ReadableByAnchore.
	ParsesURI bool
	// Placer is set where Anchore has another place for some URIs than they say, and
	// is then used in place of ReadableByAnchore.
	Placer Placer
	// HashedPaths: URIs end with {md5(userId)}/{bucket}/{md5(archiveId)[0:2]}/
	// {md5(archiveId)}.json instead of {userId}/{bucket}/{archiveId}.
	HashedPaths bool
	// Identifies: Stat fills in Info.Identity.
	Identifies bool
	// BatchGet, BatchPut and BatchDelete: the driver implements Batcher and
	// that operation of it costs less than one call a payload.
	BatchGet, BatchPut, BatchDelete bool
	// NeedsSync: the driver implements Syncer, and a payload is durable only
	// after Sync.
	NeedsSync bool
	// Lists: the driver implements Lister.
	Lists bool
	// ListTells: List fills in Info.Version. What has the Version still that Put or
	// Stat told is what was there then, which a listing then shows of every payload.
	ListTells bool
	// ListProves: the driver implements Prover.
	ListProves bool
	// ListsRanges: the driver implements Ranger, and several ranges listed at once come
	// sooner than one listing.
	ListsRanges bool
	// Uploads: the driver implements Aborter, and needs it.
	Uploads bool
	// StreamBytes is the memory in bytes that a Put of one streamed payload
	// holds, whatever its length; GetStreamBytes is that of a Get.
	StreamBytes, GetStreamBytes int64
	// PassBytes is the length in bytes up to which a payload whose length and MD5
	// are known is compared with that MD5 by the backend itself, which refuses
	// another one (kind Corrupt) and tells what it holds (Receipt.ProvenMD5); a
	// streamed one is not held by Put at all, but passed through. 0 where Put
	// compares.
	PassBytes int64
	// TakesUnhashed: Put makes use of Payload.ReadBack, so that what it stores may
	// have another MD5 than it was said to have.
	TakesUnhashed bool
	// Workers is how many operations are worth having in flight at once when
	// nobody has said otherwise.
	Workers int
	// Volatile says in one phrase why what is stored here, and durable by this
	// interface, may be gone after a crash or a restart; "" where nothing is known
	// against the store.
	Volatile string
}

// Batcher is implemented by drivers that do many operations in one trip (and
// by decorators, which pass on what is inside: Capabilities says what is worth
// calling). The results stand in the order of what was asked, one for each;
// when the whole trip failed, each of them holds that error.
type Batcher interface {
	// GetBatch reads payloads whole. One that is longer than its MaxBytes is
	// not read: its error has kind TooLarge and its Info is filled.
	GetBatch(ctx context.Context, requests []GetRequest) []GetResult
	// PutBatch stores payloads that are in memory.
	PutBatch(ctx context.Context, requests []PutRequest) []PutResult
	// DeleteBatch removes payloads; nil for each that is gone.
	DeleteBatch(ctx context.Context, uris []string) []error
}

// GetRequest asks for one payload of at most MaxBytes bytes.
type GetRequest struct {
	URI      string
	MaxBytes int64
}

// GetResult answers a GetRequest: the payload, or an error.
type GetResult struct {
	Payload []byte
	Info    Info
	Err     error
}

// PutRequest asks for one payload to be stored.
type PutRequest struct {
	URI     string
	Payload []byte
	MD5     string // lower-case hex, computed by the caller
}

// PutResult answers a PutRequest.
type PutResult struct {
	Receipt Receipt
	Err     error
}

// Syncer is implemented by drivers whose Put is durable only after Sync.
type Syncer interface {
	// Sync returns when every payload whose Put had returned before the call
	// is durable.
	Sync(ctx context.Context) error
}

// Aborter is implemented by drivers whose Put, when its process is killed, may
// leave an unfinished upload behind that no reader sees and somebody pays for.
type Aborter interface {
	// AbortUploads removes the unfinished uploads of exactly this URI. It must
	// not run beside a Put of the same URI.
	AbortUploads(ctx context.Context, uri string) error
}

// Inspector is implemented by drivers that can tell more about their backend
// than the interface does.
type Inspector interface {
	// Inspect finds out what the backend is and can do, for a person to read.
	// It may put small payloads, which it removes. What is amiss is a Finding;
	// an error means that it could not be found out.
	Inspect(ctx context.Context) ([]Finding, error)
}

// Surveyor is implemented by drivers that can tell something of their backend
// without changing anything there.
type Surveyor interface {
	// SurveyPlace is Inspect without what has to be tried: nothing is put,
	// changed or removed.
	SurveyPlace(ctx context.Context) ([]Finding, error)
}

// Finding is one fact about a backend. It holds no secret.
type Finding struct {
	Name, Value string
	// Amiss says that a migration is going to fail or to be at risk for it.
	Amiss bool
}

// Lister is implemented by drivers that can list what they hold.
type Lister interface {
	// List calls fn with every payload under Prefix, in no particular order,
	// until fn returns an error, which List returns.
	List(ctx context.Context, fn func(uri string, info Info) error) error
}

// Prover is implemented by drivers whose backend computes the MD5 of everything it
// holds when it is asked to, which costs it as much as reading all of that.
type Prover interface {
	// ListProven is List with Info.MD5, but for payloads that are not sound.
	ListProven(ctx context.Context, fn func(uri string, info Info) error) error
}

// Ranger is implemented by drivers that can list a part of what they hold.
type Ranger interface {
	// ListRange is List of the payloads whose URIs are greater than after and not greater
	// than last, in ascending order of the URIs' bytes. "" is no bound. A backend that lists
	// in another order makes it fail rather than leave anything out knowingly.
	ListRange(ctx context.Context, after, last string, fn func(uri string, info Info) error) error
}
