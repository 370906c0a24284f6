package pipeline_test

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/store"
)

// empty is a source whose payloads are gone for a while, as when its disk is not mounted.
type empty struct {
	drivers.Driver
	gets *atomic.Int64
	stop chan struct{} // closed when so many payloads were asked for
	at   int64
}

func (e empty) Get(_ context.Context, uri string) (io.ReadCloser, drivers.Info, error) {
	if e.gets.Add(1) == e.at {
		close(e.stop)
	}
	return nil, drivers.Info{}, &drivers.Error{Op: "get", URI: uri, Kind: drivers.NotFound, Err: errors.New("not mounted")}
}

func (e empty) Capabilities() drivers.Capabilities {
	c := e.Driver.Capabilities()
	c.BatchGet = false
	return c
}

// Documents that failed are tried again in batches, too: two rows of one key, which have
// one place at the destination, are in one batch, wherever it would end.
func TestRowsOfOneKeyAreNotPutOverOneAnotherWhenTriedAgain(t *testing.T) {
	in := install(t, 2600)
	const last = "id-00255" // the last document of a full batch
	other := []byte("quite another document under the same key")
	sum := md5.Sum(other)
	digest, at := hex.EncodeToString(sum[:]), "db://admin/b/elsewhere"
	if r := in.src.(drivers.Batcher).PutBatch(t.Context(), []drivers.PutRequest{{URI: at, Payload: other, MD5: digest}}); r[0].Err != nil {
		t.Fatal(r[0].Err)
	}
	in.exec(`INSERT INTO archive_metadata (bucket, "archiveId", "userId", "documentName", content_url, is_compressed, digest, size) VALUES ('b', ?, 'admin', 'other.json', ?, false, ?, ?)`,
		last, at, digest, len(other))
	o := in.options(in.dst)
	stop := make(chan struct{})
	o.Source.Driver = empty{in.src, new(atomic.Int64), stop, 100}
	if r, err := pipeline.Run(t.Context(), stop, o); err != nil || !r.Interrupted || failures(r)[failure.ClassMissingPayload] < 257 {
		t.Fatalf("%+v, %v", r, err)
	}
	r, err := pipeline.Run(t.Context(), nil, in.options(in.dst))
	if err != nil || !r.Resumed || r.Counts.Moved != 2600 || failures(r)[failure.ClassPlaceTaken] != 1 {
		t.Errorf("%d moved, %v, %v", r.Counts.Moved, failures(r), err)
	}
	rows, err := in.cat.Rows(t.Context(), []drivers.Key{{UserID: "admin", Bucket: "b", ArchiveID: last}})
	if err != nil || len(rows) != 2 {
		t.Fatalf("%+v, %v", rows, err)
	}
	for _, row := range rows {
		d := in.src
		if row.URI[:7] == "file://" {
			d = in.dst
		}
		if _, err := store.ReadPlain(t.Context(), d, row); err != nil {
			t.Errorf("%s is lost: %v", fmt.Sprint(row), err)
		}
	}
}
