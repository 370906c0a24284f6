package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/breaker"
	"github.com/kedge/kedge/drivers/drivertest"
	"github.com/kedge/kedge/drivers/localfs"
	"github.com/kedge/kedge/drivers/retry"
)

// plain is a driver without any optional ability.
type plain struct{ drivers.Driver }

func TestAbilitiesAreThoseOfTheDriver(t *testing.T) {
	with, without := breaker.New(&batches{backend: newBackend()}, breaker.Policy{}), breaker.New(plain{newBackend()}, breaker.Policy{})
	if _, ok := with.(drivers.Batcher); !ok {
		t.Error("a Batcher is none any more")
	}
	if _, ok := without.(drivers.Batcher); ok {
		t.Error("a driver without batches has become a Batcher")
	}
	if err := without.(drivers.Syncer).Sync(t.Context()); err != nil {
		t.Error(err)
	}
	if err := without.(drivers.Aborter).AbortUploads(t.Context(), "u"); err != nil {
		t.Error(err)
	}
	if found, err := without.(drivers.Inspector).Inspect(t.Context()); found != nil || err != nil {
		t.Errorf("%v, %v", found, err)
	}
	if err := without.(drivers.Lister).List(t.Context(), nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("list: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := without.(drivers.Syncer).Sync(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("sync: %v", err)
	}
}

// TestBatchesWait names every payload of a batch for which the wait was in vain,
// and counts a trip as one attempt.
func TestBatchesWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &batches{backend: newBackend()}
		b.set(refused)
		d := breaker.New(b, breaker.Policy{}).(drivers.Batcher)
		for i := range 4 {
			if b.trips != i {
				t.Fatalf("%d trips, want %d", b.trips, i)
			}
			for _, err := range d.DeleteBatch(t.Context(), []string{"a", "b", "c", "d", "e", "f"}) {
				if !errors.Is(err, refused) {
					t.Error(err)
				}
			}
		}
		var errs []error
		for _, r := range d.GetBatch(t.Context(), []drivers.GetRequest{{URI: "test://1"}, {URI: "test://2"}}) {
			errs = append(errs, r.Err)
		}
		for _, r := range d.PutBatch(t.Context(), []drivers.PutRequest{{URI: "test://1"}, {URI: "test://2"}}) {
			errs = append(errs, r.Err)
		}
		if len(errs) != 4 || b.trips != 4 {
			t.Fatalf("%d results, %d trips", len(errs), b.trips)
		}
		for i, err := range errs {
			if drivers.KindOf(err) != drivers.Down || !strings.Contains(err.Error(), fmt.Sprint(" test://", i%2+1, ": ")) {
				t.Errorf("result %d: %v", i, err)
			}
		}
		if len(d.DeleteBatch(t.Context(), nil)) != 0 {
			t.Error("results of nothing")
		}
	})
}

// TestABatchThatIsAnsweredInPart shows that the back end is there.
func TestABatchThatIsAnsweredInPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &batches{backend: newBackend()}
		b.poisoned["bad"], b.poisoned["gone"] = kind(drivers.Temporary), kind(drivers.NotFound)
		d := breaker.New(b, breaker.Policy{}).(drivers.Batcher)
		for range 10 {
			if errs := d.DeleteBatch(t.Context(), []string{"bad", "gone", "bad"}); drivers.KindOf(errs[0]) != drivers.Temporary {
				t.Error(errs)
			}
		}
		if b.questions != 0 {
			t.Errorf("%d questions", b.questions)
		}
	})
}

// brokenReader ends with an error.
type brokenReader struct{ err error }

func (r brokenReader) Read([]byte) (int, error) { return 0, r.err }

// TestASourceInTroubleIsNotTheDestinations puts payloads whose source fails, in
// ways that the destination would be blamed for.
func TestASourceInTroubleIsNotTheDestinations(t *testing.T) {
	sources := map[string]func(context.Context) (io.ReadCloser, error){
		"cannot be opened": func(context.Context) (io.ReadCloser, error) { return nil, refused },
		"breaks off":       func(context.Context) (io.ReadCloser, error) { return io.NopCloser(brokenReader{refused}), nil },
	}
	for name, open := range sources {
		synctest.Test(t, func(t *testing.T) {
			b := newBackend()
			d := breaker.New(b, breaker.Policy{})
			for range 20 {
				if _, err := d.Put(t.Context(), "u", drivers.Payload{Open: open, Length: -1}); drivers.KindOf(err) != drivers.Temporary {
					t.Error(err)
				}
			}
			if b.questions != 0 {
				t.Errorf("a source that %s: %d questions", name, b.questions)
			}
			// Nor is its failure an answer of the destination's.
			b.set(refused)
			for range 3 {
				_ = d.Delete(t.Context(), "u")
			}
			_, _ = d.Put(t.Context(), "u", drivers.Payload{Open: func(context.Context) (io.ReadCloser, error) { return nil, kind(drivers.NotFound) }, Length: -1})
			_ = d.Delete(t.Context(), "u")
			b.set(nil)
			if err := d.Delete(t.Context(), "u"); err != nil || b.questions != 1 {
				t.Errorf("a source that %s: %v, %d questions", name, err, b.questions)
			}
		})
	}
}

// TestASlowSourceIsNoTimeOfThePut is about a source that is paused while a
// payload is put, for longer than retry goes on.
func TestASlowSourceIsNoTimeOfThePut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend()
		b.once["u"] = refused
		opened := 0
		payload := drivers.Payload{Length: -1, Open: func(context.Context) (io.ReadCloser, error) {
			if opened++; opened == 1 {
				time.Sleep(20 * time.Minute)
			}
			return io.NopCloser(strings.NewReader("body")), nil
		}}
		receipt, err := retry.New(breaker.New(b, breaker.Policy{}), retry.Policy{}).Put(t.Context(), "u", payload)
		if err != nil || receipt.Bytes != 4 || opened != 2 {
			t.Errorf("%+v, %v, opened %d times", receipt, err, opened)
		}
	})
}

func TestListingsThatTheCallerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend()
		d := breaker.New(b, breaker.Policy{}).(drivers.Lister)
		for range 20 {
			if err := d.List(t.Context(), func(string, drivers.Info) error { return refused }); !errors.Is(err, refused) {
				t.Error(err)
			}
		}
		if b.questions != 0 {
			t.Errorf("%d questions", b.questions)
		}
	})
}

func TestConformance(t *testing.T) {
	drivertest.Run(t, drivertest.Backend{Open: func(tb testing.TB) drivers.Driver {
		store, err := localfs.Open(tb.Context(), localfs.Options{ArchiveDataDir: filepath.Join(tb.TempDir(), "archive")}, true)
		if err != nil {
			tb.Fatal(err)
		}
		return breaker.New(store, breaker.Policy{})
	}})
}
