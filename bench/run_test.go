package bench

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/db"
	"github.com/kedge/kedge/drivers/localfs"
	"github.com/kedge/kedge/drivers/s3"
	"github.com/kedge/kedge/drivers/swift"
	"github.com/kedge/kedge/internal/testenv"
)

// stores opens an empty store of each driver.
var stores = map[string]func(t *testing.T) (drivers.Driver, error){
	"localfs": func(t *testing.T) (drivers.Driver, error) {
		return localfs.Open(t.Context(), localfs.Options{ArchiveDataDir: filepath.Join(t.TempDir(), "archive")}, true)
	},
	"db": func(t *testing.T) (drivers.Driver, error) {
		return db.OpenDB(t.Context(), database(t))
	},
	"db2": func(t *testing.T) (drivers.Driver, error) {
		return db.OpenDB2(t.Context(), database(t))
	},
	"minio":     func(t *testing.T) (drivers.Driver, error) { return bucket(t, testenv.MinIO(t)) },
	"versitygw": func(t *testing.T) (drivers.Driver, error) { return bucket(t, testenv.VersityGW(t)) },
	"swift": func(t *testing.T) (drivers.Driver, error) {
		s := testenv.Swift(t)
		o := swift.DefaultOptions(func(string) (string, bool) { return "", false })
		o.Auth, o.User, o.Key, o.Container = s.AuthURL, s.User, s.Key, s.Container(t)
		return swift.Open(t.Context(), o, swift.Tuning{})
	},
}

func database(t *testing.T) db.Database {
	url, _ := testenv.Postgres(t).Golden(t, "db")
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if _, err := pool.Exec(t.Context(), "TRUNCATE archive_document, object_storage"); err != nil {
		t.Fatal(err)
	}
	return db.Database{Postgres: pool, Place: "test"}
}

func bucket(t *testing.T, s *testenv.S3Server) (drivers.Driver, error) {
	return s3.Open(t.Context(), s3.Options{AccessKey: s.AccessKey, SecretKey: s.SecretKey, URL: s.URL, Bucket: s.Bucket(t)}, s3.Tuning{})
}

// open opens a store with one document of somebody else's in it, and sees at
// the end that this is all it has.
func open(t *testing.T, name string) drivers.Driver {
	t.Helper()
	d, err := stores[name](t)
	if err != nil {
		t.Fatal(err)
	}
	uri, err := d.URI(drivers.Key{UserID: "admin", Bucket: "analysis_data", ArchiveID: "theirs"})
	if err != nil {
		t.Fatal(err)
	}
	text := `{"document": "theirs"}`
	sum := md5.Sum([]byte(text))
	if _, err := d.Put(t.Context(), uri, drivers.InMemory([]byte(text), hex.EncodeToString(sum[:]))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		var left []string
		err := d.(drivers.Lister).List(ctx, func(uri string, _ drivers.Info) error {
			left = append(left, uri)
			return nil
		})
		if err != nil || !slices.Equal(left, []string{uri}) {
			t.Errorf("left in the store: %q, %v; want %q", left, err, uri)
		}
		body, _, err := d.Get(ctx, uri)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(body); err != nil || string(got) != text {
			t.Errorf("their document is now %q, %v", got, err)
		}
		if err := errors.Join(body.Close(), d.Close()); err != nil {
			t.Error(err)
		}
	})
	return d
}

func plan(d drivers.Driver) Plan {
	return Plan{
		Driver: d, Cleaner: d, Sizes: []int64{700, 5 << 20}, Concurrency: []int{1, 4}, Operations: Operations(),
		Count: 10, MaxBytes: 64 << 20, MemoryBytes: 256 << 20, BatchDocuments: 4, User: "kedge-bench-test",
	}
}

// TestRun measures each kind of store and finds nothing left behind.
func TestRun(t *testing.T) {
	for name := range stores {
		t.Run(name, func(t *testing.T) {
			p := plan(open(t, name))
			var told []Step
			p.Progress = func(s Step) { told = append(told, s) }
			result, err := Run(t.Context(), make(chan struct{}), p)
			if err != nil {
				t.Fatal(err)
			}
			if len(result.Steps) != p.Steps() || len(told) != p.Steps() || result.Interrupted {
				t.Fatalf("%d steps, %d told of, interrupted: %t; want %d", len(result.Steps), len(told), result.Interrupted, p.Steps())
			}
			for _, s := range result.Steps {
				if s.LeftOut != "" || s.Errors > 0 || s.Documents < 1 || s.Documents > 11 || s.PerSecond <= 0 || s.CPU < 0 {
					t.Errorf("%+v", s)
				}
				if s.Operation != List && (s.Documents != 10 || s.P50 <= 0 || s.P50 > s.P95 || s.P95 > s.P99 || s.P99 > s.Max) {
					t.Errorf("%+v", s)
				}
			}
			for _, op := range []Operation{Put, Get} {
				if n := result.Recommended(op); n != 1 && n != 4 {
					t.Errorf("%s: recommended are %d", op, n)
				}
			}
		})
	}
}

// TestRunOneOperation measures operations for which documents must be put first.
func TestRunOneOperation(t *testing.T) {
	for _, op := range Operations() {
		t.Run(string(op), func(t *testing.T) {
			p := plan(open(t, "localfs"))
			p.Operations = []Operation{op}
			result, err := Run(t.Context(), make(chan struct{}), p)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range result.Steps {
				if s.Operation != op || s.Documents == 0 {
					t.Errorf("%+v", s)
				}
			}
		})
	}
}

// TestRunInterrupted: nothing is left behind, whenever and however the
// measurement is interrupted.
func TestRunInterrupted(t *testing.T) {
	for _, name := range []string{"localfs", "minio", "db2"} {
		for _, after := range []int64{1, 7, 16, 33} {
			t.Run(name, func(t *testing.T) { interruptedRun(t, name, after) })
		}
	}
}

// interruptedRun closes stop, and ends the context two operations later.
func interruptedRun(t *testing.T, name string, after int64) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stop := make(chan struct{})
	d := open(t, name)
	var operations atomic.Int64
	p := plan(&watched{Driver: d, before: func() error {
		switch n := operations.Add(1); n {
		case after:
			close(stop)
		case after + 2:
			cancel()
		}
		return nil
	}})
	p.Cleaner = d
	result, err := Run(ctx, stop, p)
	if err != nil {
		t.Fatal(err)
	}
	if !result.Interrupted || len(result.Steps) >= p.Steps() {
		t.Errorf("interrupted: %t, %d steps of %d", result.Interrupted, len(result.Steps), p.Steps())
	}
}

// TestRunErrors: what fails is counted and told, and leaves nothing behind.
func TestRunErrors(t *testing.T) {
	d := open(t, "localfs")
	var operations atomic.Int64
	p := plan(&watched{Driver: d, before: func() error {
		if operations.Add(1)%3 == 0 {
			return &drivers.Error{Op: "put", Kind: drivers.Temporary, Err: errors.New("slow down")}
		}
		return nil
	}})
	p.Cleaner, p.Operations, p.Count = d, []Operation{Put, Delete}, 30
	p.Sizes = []int64{700}
	result, err := Run(t.Context(), make(chan struct{}), p)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range result.Steps {
		if s.Documents+s.Errors != 30 || s.Errors != 10 || !strings.Contains(s.FirstError, "slow down") {
			t.Errorf("%+v", s)
		}
	}
}

// TestRunLeavesOut leaves out what would take too much memory or space.
func TestRunLeavesOut(t *testing.T) {
	p := plan(open(t, "localfs"))
	p.MaxBytes, p.MemoryBytes = 10<<20, 64<<10
	result, err := Run(t.Context(), make(chan struct{}), p)
	if err != nil {
		t.Fatal(err)
	}
	left := 0
	for _, s := range result.Steps {
		if s.LeftOut != "" {
			left++
			if s.SizeBytes == 700 {
				t.Errorf("%+v", s)
			}
		}
	}
	if left == 0 {
		t.Error("nothing was left out")
	}
}

// watched calls before first in each put and delete.
type watched struct {
	drivers.Driver
	before func() error
}

func (w *watched) Put(ctx context.Context, uri string, p drivers.Payload) (drivers.Receipt, error) {
	if err := w.before(); err != nil {
		return drivers.Receipt{}, err
	}
	return w.Driver.Put(ctx, uri, p)
}

func (w *watched) Delete(ctx context.Context, uri string) error {
	if err := w.before(); err != nil {
		return err
	}
	return w.Driver.Delete(ctx, uri)
}
