package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline"
)

// aborting is a destination that notes whose uploads it is to abort.
type aborting struct {
	*before
	aborted []string
}

func (a *aborting) Capabilities() drivers.Capabilities {
	c := a.before.Driver.Capabilities()
	c.Uploads, c.BatchPut, c.BatchGet, c.BatchDelete = true, false, false, false
	return c
}
func (a *aborting) AbortUploads(_ context.Context, uri string) error {
	a.aborted = append(a.aborted, uri)
	return nil
}

// What a killed copy has left of an upload is aborted by the next one.
func TestUploadsOfAKilledCopyAreAborted(t *testing.T) {
	in := install(t, 1)
	in.write(in.src, key(0), bytes.Repeat([]byte("0123456789abcdef"), 1<<20))
	ctx, kill := context.WithCancelCause(t.Context())
	a := &aborting{before: &before{Driver: in.dst, put: func(int64, string, *drivers.Payload) error {
		kill(errors.New("killed"))
		return context.Canceled
	}}}
	_, err := pipeline.Run(ctx, nil, in.copyOptions(a))
	t.Log(err)
	a.before.put = func(int64, string, *drivers.Payload) error { return nil }
	r := run(t, in.copyOptions(a))
	if r.Round.Copied != 1 || len(a.aborted) == 0 {
		t.Errorf("ORPHAN: copied %d, aborted %v", r.Round.Copied, a.aborted)
	}
}

// So it is where the services have overwritten the long document with a short one since, which
// is put in one piece.
func TestUploadsOfADocumentThatIsShortNowAreAborted(t *testing.T) {
	in := install(t, 1)
	in.write(in.src, key(0), bytes.Repeat([]byte("0123456789abcdef"), 1<<20))
	ctx, kill := context.WithCancelCause(t.Context())
	defer kill(nil)
	killed := &before{Driver: in.dst, put: func(int64, string, *drivers.Payload) error {
		kill(errors.New("killed"))
		return context.Canceled
	}}
	if _, err := pipeline.Run(ctx, nil, in.copyOptions(&aborting{before: killed})); err == nil {
		t.Fatal("the copy was not killed")
	}
	in.write(in.src, key(0), []byte("short"))
	var aborted int // before the put
	a := &aborting{}
	a.before = &before{Driver: in.dst, put: func(int64, string, *drivers.Payload) error {
		aborted = len(a.aborted)
		return nil
	}}
	if r := run(t, in.copyOptions(a)); r.Round.Copied != 1 || aborted == 0 {
		t.Errorf("ORPHAN: copied %d, aborted %d before the put", r.Round.Copied, aborted)
	}
}

// The upload that a killed migration has begun goes with the document that somebody deletes.
func TestUploadsOfADeletedDocumentAreAborted(t *testing.T) {
	in := install(t, 1)
	in.write(in.src, key(0), bytes.Repeat([]byte("0123456789abcdef"), 1<<20))
	ctx, kill := context.WithCancelCause(t.Context())
	defer kill(nil)
	a := &aborting{before: &before{Driver: in.dst, put: func(int64, string, *drivers.Payload) error {
		kill(errors.New("killed"))
		return context.Canceled
	}}}
	if _, err := pipeline.Run(ctx, nil, in.options(a)); err == nil {
		t.Fatal("the migration was not killed")
	}
	in.erase(in.src, key(0))
	a.aborted = nil
	if _, err := pipeline.Run(t.Context(), nil, in.options(a)); err != nil || len(a.aborted) != 1 {
		t.Errorf("ORPHAN: aborted %v, %v", a.aborted, err)
	}
}
