package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/failure"
)

// The bytes of the rotten document of (*installation).documents.
const rottenBytes = "0123456789abcdef"

// killedAfterThePut runs a migration that ends before anything was read back.
func (in *installation) killedAfterThePut() {
	in.t.Helper()
	ctx, cancel := context.WithCancel(in.t.Context())
	defer cancel()
	destination := &reading{Driver: in.dst, get: func(uri string) error {
		if !strings.Contains(uri, "/large/") {
			return nil // the probe's
		}
		cancel()
		return errors.New("killed")
	}}
	o := in.options(destination)
	o.MemoryBytes = 256 << 20
	if r, err := pipeline.Run(ctx, nil, o); err == nil {
		in.t.Fatalf("%+v", r)
	}
}

// pathOf is the file of a document at the destination.
func (in *installation) pathOf(key drivers.Key) string {
	in.t.Helper()
	return strings.TrimPrefix(in.destinationOf(key), "file://")
}

// put makes the file of a document at the destination, as somebody else would.
func (in *installation) put(key drivers.Key, content string) {
	in.t.Helper()
	if _, err := in.dst.Put(in.t.Context(), in.destinationOf(key), drivers.InMemory([]byte(content), "")); err != nil {
		in.t.Fatal(err)
	}
}

// stays fails the test unless the destination holds this of a document, after a
// run that has left it as rotten.
func (in *installation) stays(key drivers.Key, content string, r pipeline.Result, err error) {
	in.t.Helper()
	if err != nil || r.Failed != 1 || failures(r)[failure.ClassDigest] != 1 {
		in.t.Errorf("%+v, %v", r, err)
	}
	there, err := os.ReadFile(in.pathOf(key))
	if err != nil || string(there) != content {
		in.t.Errorf("the destination holds %q, %v, want %q", there, err, content)
	}
}

// What was there before the migration is not taken for what a killed run has put,
// though it be the same bytes.
func TestWhatIsOlderThanTheMigrationStays(t *testing.T) {
	in := install(t, 0)
	rotten := in.documents()
	in.put(rotten, rottenBytes)
	in.killedAfterThePut()
	r, err := pipeline.Run(t.Context(), nil, in.options(in.dst))
	in.stays(rotten, rottenBytes, r, err)
}

// one is a source whose payloads are the destination's, as where one directory is
// mounted in both.
type one struct {
	drivers.Driver
	destination func(uri string) (drivers.Info, error)
}

func (o *one) Capabilities() drivers.Capabilities {
	c := o.Driver.Capabilities()
	c.Identifies = true
	return c
}

func (o *one) Stat(ctx context.Context, uri string) (drivers.Info, error) {
	info, err := o.Driver.Stat(ctx, uri)
	if err != nil {
		return info, err
	}
	theirs, err := o.destination(uri)
	info.Identity = theirs.Identity
	return info, err
}

func TestTheSourcesOwnFileIsNotTakenBack(t *testing.T) {
	in := install(t, 0)
	rotten := in.documents()
	in.killedAfterThePut()
	o := in.options(in.dst)
	o.KeepSource = false
	o.Source.Driver = &one{in.src, func(uri string) (drivers.Info, error) {
		if !strings.HasSuffix(uri, "/"+rotten.ArchiveID) {
			return drivers.Info{Identity: "another"}, nil
		}
		return in.dst.Stat(t.Context(), in.destinationOf(rotten))
	}}
	r, err := pipeline.Run(t.Context(), nil, o)
	in.stays(rotten, rottenBytes, r, err)
}

// Who replaces what was put, before it is read back, has it replaced for good.
func TestWhatReplacedAPutStays(t *testing.T) {
	in := install(t, 0)
	rotten := in.documents()
	const another = "another document's"
	r, err := pipeline.Run(t.Context(), nil, in.options(&reading{Driver: in.dst, get: func(uri string) error {
		if uri == in.destinationOf(rotten) {
			in.put(rotten, another)
		}
		return nil
	}}))
	in.stays(rotten, another, r, err)
}

// refusing is a destination that takes nothing of one document.
type refusing struct {
	drivers.Driver
	uri string
}

func (r *refusing) Put(ctx context.Context, uri string, p drivers.Payload) (drivers.Receipt, error) {
	if uri == r.uri {
		return drivers.Receipt{}, &drivers.Error{Op: "put", URI: uri, Kind: drivers.Denied, Err: errors.New("no")}
	}
	return r.Driver.Put(ctx, uri, p)
}

func (r *refusing) Sync(ctx context.Context) error { return r.Driver.(drivers.Syncer).Sync(ctx) }

// That a document is rotten is told though the destination did not take it.
func TestRottenThoughThePutFailed(t *testing.T) {
	in := install(t, 0)
	rotten := in.documents()
	r, err := pipeline.Run(t.Context(), nil, in.options(&refusing{in.dst, in.destinationOf(rotten)}))
	if err != nil || r.Failed != 1 || failures(r)[failure.ClassDigest] != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	in.nothingOf(rotten)
}

// A run that was killed before it had put a document of which the row is gone, or
// changed, when the next one looks: what was there before stays.
func TestWhatAKilledRunHasNotPutStays(t *testing.T) {
	for name, change := range map[string]string{
		"gone":    `DELETE FROM archive_metadata WHERE "archiveId" = '1'`,
		"changed": `UPDATE archive_metadata SET content_url = 's3://else/where/1' WHERE "archiveId" = '1'`,
	} {
		t.Run(name, func(t *testing.T) {
			in := install(t, 0)
			in.documents()
			key := drivers.Key{UserID: "admin", Bucket: "large", ArchiveID: "1"}
			in.put(key, "somebody else's")
			in.killedBeforeThePut()
			in.exec(change)
			r, err := pipeline.Run(t.Context(), nil, in.options(in.dst))
			if err != nil || !r.Resumed || failures(r)[failure.ClassRowChanged] != 1 {
				t.Fatalf("%+v, %v", r, err)
			}
			if there, err := os.ReadFile(in.pathOf(key)); err != nil || string(there) != "somebody else's" {
				t.Errorf("the destination holds %q, %v", there, err)
			}
		})
	}
}

// killedBeforeThePut runs a migration that ends before it has put a document.
func (in *installation) killedBeforeThePut() {
	in.t.Helper()
	ctx, cancel := context.WithCancel(in.t.Context())
	defer cancel()
	killed := &before{Driver: in.dst, put: func(int64, string, *drivers.Payload) error {
		cancel()
		return errors.New("killed")
	}}
	if r, err := pipeline.Run(ctx, nil, in.options(killed)); err == nil {
		in.t.Fatalf("%+v", r)
	}
}

// What a put that was killed in the middle has left beside its place goes, too,
// with the folders that are empty then.
func TestWhatIsLeftBesideThePlaceGoes(t *testing.T) {
	in := install(t, 0)
	key := in.add(1, []byte("a document"), false)
	in.killedBeforeThePut()
	folder := filepath.Dir(in.pathOf(key))
	partial := filepath.Join(folder, "."+filepath.Base(in.pathOf(key))+".kedge-part")
	if err := errors.Join(os.MkdirAll(folder, 0o755), os.WriteFile(partial, []byte("a doc"), 0o644)); err != nil {
		t.Fatal(err)
	}
	in.exec(`DELETE FROM archive_metadata WHERE "archiveId" = '1'`)
	if r, err := pipeline.Run(t.Context(), nil, in.options(in.dst)); err != nil || failures(r)[failure.ClassRowChanged] != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is left: %v", err)
	}
}

// What the killed run had put of it is removed.
func TestWhatAKilledRunHasPutGoes(t *testing.T) {
	in := install(t, 0)
	in.documents()
	key := drivers.Key{UserID: "admin", Bucket: "large", ArchiveID: "1"}
	in.killedAfterThePut()
	if _, err := os.Stat(in.pathOf(key)); err != nil {
		t.Fatal(err)
	}
	in.exec(`DELETE FROM archive_metadata WHERE "archiveId" = '1'`)
	if r, err := pipeline.Run(t.Context(), nil, in.options(in.dst)); err != nil || failures(r)[failure.ClassRowChanged] != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	in.nothingOf(key)
}

// What somebody puts between two runs, of which the first has ended, is not theirs.
func TestWhatComesBetweenRunsStays(t *testing.T) {
	in := install(t, 0)
	rotten := in.documents()
	if r, err := pipeline.Run(t.Context(), nil, in.options(in.dst)); err != nil || r.Failed != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	in.nothingOf(rotten)
	in.put(rotten, rottenBytes)
	r, err := pipeline.Run(t.Context(), nil, in.options(in.dst))
	in.stays(rotten, rottenBytes, r, err)
}

// A document that the killed run could hold in memory, and this one cannot, is
// taken back all the same.
func TestWhatIsStreamedNowIsTakenBackToo(t *testing.T) {
	in := install(t, 0)
	rotten := in.add(3, bytes.Repeat([]byte("rot "), 1<<20), true)
	in.killedAfterThePut()
	if _, err := os.Stat(in.pathOf(rotten)); err != nil {
		t.Fatal(err)
	}
	if r, err := pipeline.Run(t.Context(), nil, in.options(in.dst)); err != nil || failures(r)[failure.ClassDigest] != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	in.nothingOf(rotten)
}

// forgetful is a destination that loses its answer to a put of a rotten payload,
// and then cannot be asked what it has.
type forgetful struct {
	reading
	uri string
}

func (f *forgetful) Stat(ctx context.Context, uri string) (drivers.Info, error) {
	if uri == f.uri {
		return drivers.Info{}, &drivers.Error{Op: "stat", URI: uri, Kind: drivers.Denied, Err: errors.New("no")}
	}
	return f.Driver.Stat(ctx, uri)
}

// What cannot be told is said.
func TestWhatMayBeLeftIsReported(t *testing.T) {
	in := install(t, 0)
	rotten := in.documents()
	uri := in.destinationOf(rotten)
	r, err := pipeline.Run(t.Context(), nil, in.options(&forgetful{reading{Driver: in.dst, forgets: true}, uri}))
	in.stays(rotten, rottenBytes, r, err)
	if len(r.Failures) != 1 || !strings.Contains(r.Failures[0].Examples[0].Reason, "whether a copy of it is left at "+uri+" cannot be told") {
		t.Errorf("%+v", r.Failures)
	}
}
