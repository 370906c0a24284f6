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
	"sync"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/localfs"
	"github.com/kedge/kedge/pipeline/canary"
)

// moved are documents that are at both of two archives.
type moved struct {
	o        canary.Options
	list     []canary.Document
	from, to *side
}

// side is a store that a test can have fail.
type side struct {
	drivers.Driver
	mu   sync.Mutex
	stat func(uri string) error
}

// Stat fails as it was told to.
func (s *side) Stat(ctx context.Context, uri string) (drivers.Info, error) {
	s.mu.Lock()
	stat := s.stat
	s.mu.Unlock()
	if stat != nil {
		if err := stat(uri); err != nil {
			return drivers.Info{}, err
		}
	}
	return s.Driver.Stat(ctx, uri)
}

func (s *side) fail(stat func(uri string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stat = stat
}

func denied(uri string) error {
	return &drivers.Error{Op: "stat", URI: uri, Kind: drivers.Denied, Err: errors.New("denied")}
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
	m := &moved{from: &side{Driver: open()}, to: &side{Driver: open()}}
	m.o = canary.Options{Source: m.from, Destination: m.to, File: filepath.Join(t.TempDir(), "c"+canary.Ending)}
	for n := range documents {
		key := drivers.Key{UserID: "admin", Bucket: "b", ArchiveID: fmt.Sprint(n)}
		d := canary.Document{Name: key.String(), Key: key, Row: "\xff"}
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

// delete deletes documents' sources; carried deletes at the destination, too.
func (m *moved) delete(carried bool, left *[]int) canary.Deletion {
	return canary.Deletion{
		Delete: func(ctx context.Context, i int) error {
			err := m.o.Source.Delete(ctx, m.list[i].Source)
			if carried {
				err = errors.Join(err, m.o.Destination.Delete(ctx, m.list[i].Destination))
			}
			return err
		},
		Leave: func(i int, _ error) { *left = append(*left, i) },
	}
}

// killed is a run that is killed right after it has deleted the first source, at both sides.
func (m *moved) killed(t *testing.T) {
	t.Helper()
	ctx, kill := context.WithCancel(t.Context())
	how := m.delete(true, nil)
	carried := how.Delete
	how.Delete = func(ctx context.Context, i int) error { err := carried(ctx, i); kill(); return err }
	if _, err := canary.New(m.o).First(ctx, m.list, how); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// wantLost demands that a document was lost, and put back.
func wantLost(t *testing.T, err error) *canary.LostError {
	t.Helper()
	var lost *canary.LostError
	if !errors.As(err, &lost) || lost.Err != nil {
		t.Fatalf("%v", err)
	}
	return lost
}

func at(t *testing.T, d drivers.Driver, uri string) string {
	t.Helper()
	r, _, err := d.Get(t.Context(), uri)
	if err != nil {
		return ""
	}
	defer r.Close()
	payload, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(payload)
}

// intact demands that all documents are at the destination.
func (m *moved) intact(t *testing.T) {
	t.Helper()
	for n, d := range m.list {
		if got := at(t, m.o.Destination, d.Destination); got != fmt.Sprint("document ", n) {
			t.Errorf("%s: %q", d.Name, got)
		}
	}
}

func (m *moved) isKept(t *testing.T, want bool) {
	t.Helper()
	if _, err := os.Stat(m.o.File); (err == nil) != want {
		t.Errorf("the file: %v", err)
	}
}
