package canary_test

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/localfs"
	"github.com/kedge/kedge/pipeline/canary"
)

// moved are documents that are at both of two archives.
type moved struct {
	o    canary.Options
	list []canary.Document
}

func move(t *testing.T, documents int) *moved {
	t.Helper()
	open := func() drivers.Driver {
		d, err := localfs.Open(t.Context(), localfs.Options{ArchiveDataDir: filepath.Join(t.TempDir(), "archive")}, true)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close() })
		return d
	}
	m := &moved{o: canary.Options{Source: open(), Destination: open(), File: filepath.Join(t.TempDir(), "c.canary")}}
	for n := range documents {
		key := drivers.Key{UserID: "admin", Bucket: "b", ArchiveID: fmt.Sprint(n)}
		d := canary.Document{Name: key.String(), Key: key}
		payload := []byte(fmt.Sprint("document ", n))
		sum := md5.Sum(payload)
		d.MD5, d.Bytes = hex.EncodeToString(sum[:]), int64(len(payload))
		d.Source, d.Destination = m.put(t, m.o.Source, key, payload), m.put(t, m.o.Destination, key, payload)
		d.Back = d.Source
		m.list = append(m.list, d)
	}
	return m
}

func (m *moved) put(t *testing.T, d drivers.Driver, key drivers.Key, payload []byte) string {
	t.Helper()
	uri, err := d.URI(key)
	if err != nil {
		t.Fatal(err)
	}
	sum := md5.Sum(payload)
	if _, err := d.Put(t.Context(), uri, drivers.InMemory(payload, hex.EncodeToString(sum[:]))); err != nil {
		t.Fatal(err)
	}
	return uri
}

// remove deletes a document at both sides.
func (m *moved) remove(t *testing.T, i int) {
	t.Helper()
	if err := errors.Join(m.o.Source.Delete(t.Context(), m.list[i].Source), m.o.Destination.Delete(t.Context(), m.list[i].Destination)); err != nil {
		t.Fatal(err)
	}
}

// intact demands that all documents are at the destination.
func (m *moved) intact(t *testing.T) {
	t.Helper()
	for n, d := range m.list {
		r, _, err := m.o.Destination.Get(t.Context(), d.Destination)
		if err != nil {
			t.Errorf("%s: %v", d.Name, err)
			continue
		}
		got, err := io.ReadAll(r)
		if r.Close(); err != nil || string(got) != fmt.Sprint("document ", n) {
			t.Errorf("%s: %q, %v", d.Name, got, err)
		}
	}
}

// The first document is deleted by itself. Where the destination loses it, it is put back.
func TestTheFirstIsPutBack(t *testing.T) {
	m := move(t, 3)
	w := canary.New(m.o)
	i, err := w.First(t.Context(), m.list, func(_ context.Context, i int) bool { m.remove(t, i); return true })
	var lost *canary.LostError
	if !errors.As(err, &lost) || lost.Err != nil || i != 0 {
		t.Fatalf("%d, %v", i, err)
	}
	m.intact(t)
	if _, err := m.o.Source.Stat(t.Context(), m.list[0].Source); err != nil {
		t.Errorf("it is not at the source: %v", err)
	}
	if _, err := w.First(t.Context(), m.list, nil); !errors.As(err, &lost) {
		t.Errorf("another one may be deleted: %v", err)
	}
}

// A run that ends between the deletion and the look leaves what the next one needs.
func TestTheNextRunLooksAfterTheFirst(t *testing.T) {
	m := move(t, 3)
	ctx, kill := context.WithCancel(t.Context())
	if _, err := canary.New(m.o).First(ctx, m.list, func(_ context.Context, i int) bool { m.remove(t, i); kill(); return true }); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	var lost *canary.LostError
	if err := canary.New(m.o).Recover(t.Context()); !errors.As(err, &lost) || lost.Err != nil {
		t.Fatal(err)
	}
	m.intact(t)
	if err := canary.New(m.o).Recover(t.Context()); err != nil { // it is there now
		t.Fatal(err)
	}
	if _, err := os.Stat(m.o.File); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is kept: %v", err)
	}
}

// What is lost later is found at the end, but for what nobody wants any more.
func TestWhatIsLostLater(t *testing.T) {
	for _, wanted := range []bool{true, false} {
		m := move(t, 30)
		m.o.Wanted = func(context.Context, canary.Document) (bool, error) { return wanted, nil }
		w := canary.New(m.o)
		deletes := func(ctx context.Context, i int) bool { return m.o.Source.Delete(ctx, m.list[i].Source) == nil }
		if i, err := w.First(t.Context(), m.list, deletes); err != nil || i != 0 {
			t.Fatal(i, err)
		}
		if i, err := w.First(t.Context(), m.list[1:], deletes); err != nil || i != -1 {
			t.Fatal(i, err)
		}
		m.remove(t, 29)
		if err := w.Removed(t.Context(), m.list[1:]); err != nil {
			t.Fatal(err)
		}
		var lost *canary.LostError
		if err := w.End(t.Context(), nil); errors.As(err, &lost) != wanted || wanted && lost.Document.Key != m.list[29].Key {
			t.Errorf("%v", err)
		}
	}
}
