package retry_test

import (
	"context"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/drivertest"
	"github.com/kedge/kedge/drivers/localfs"
	"github.com/kedge/kedge/drivers/retry"
)

// shaky fails every second operation of a driver with kind Temporary before it
// begins.
type shaky struct {
	drivers.Driver
	turns chan int
}

func (d *shaky) fails() error {
	turn := <-d.turns
	d.turns <- turn + 1
	if turn%2 == 0 {
		return temporary("shaky")
	}
	return nil
}

func (d *shaky) Get(ctx context.Context, uri string) (io.ReadCloser, drivers.Info, error) {
	if err := d.fails(); err != nil {
		return nil, drivers.Info{}, err
	}
	return d.Driver.Get(ctx, uri)
}

func (d *shaky) Put(ctx context.Context, uri string, p drivers.Payload) (drivers.Receipt, error) {
	if err := d.fails(); err != nil {
		return drivers.Receipt{}, err
	}
	return d.Driver.Put(ctx, uri, p)
}

func (d *shaky) Stat(ctx context.Context, uri string) (drivers.Info, error) {
	if err := d.fails(); err != nil {
		return drivers.Info{}, err
	}
	return d.Driver.Stat(ctx, uri)
}

func (d *shaky) Delete(ctx context.Context, uri string) error {
	if err := d.fails(); err != nil {
		return err
	}
	return d.Driver.Delete(ctx, uri)
}

func (d *shaky) Sync(ctx context.Context) error { return d.Driver.(drivers.Syncer).Sync(ctx) }

func (d *shaky) List(ctx context.Context, fn func(string, drivers.Info) error) error {
	return d.Driver.(drivers.Lister).List(ctx, fn)
}

// TestConformance runs the suite over a real store that fails every now and
// then: whoever uses it does not notice.
func TestConformance(t *testing.T) {
	drivertest.Run(t, drivertest.Backend{Open: func(tb testing.TB) drivers.Driver {
		store, err := localfs.Open(tb.Context(), localfs.Options{ArchiveDataDir: filepath.Join(tb.TempDir(), "archive")}, true)
		if err != nil {
			tb.Fatal(err)
		}
		turns := make(chan int, 1)
		turns <- 0
		return retry.New(&shaky{Driver: store, turns: turns}, retry.Policy{Attempts: 60, Base: time.Microsecond, Max: time.Microsecond})
	}})
}
