package copies

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/crash"
	"github.com/kedge/kedge/pipeline/store"
)

// Trust is how a record is compared with what the store holds.
type Trust string

// The ways to trust a record.
const (
	// TrustVerify reads every copy back: each is proved again, byte by byte.
	TrustVerify Trust = "verify"
	// TrustList lists the store. A copy is confirmed where the listing tells its MD5, or
	// that it is the version that was proved: nobody has replaced, cut or removed it. That
	// the store still keeps what it tells is taken on trust.
	TrustList Trust = "list"
	// TrustRecord compares nothing: what happened to the copies since is not noticed.
	TrustRecord Trust = "record"
)

// Best is the strongest way that takes less than a minute for a million documents.
func Best(s store.Store) Trust {
	if c := s.Capabilities(); c.Lists && c.ListTells {
		return TrustList
	}
	return TrustVerify
}

// Check compares the copies that the record has with what their store holds. Those that
// the store does not show become Doubted, or CommittedDoubted; those that it shows again
// are what they were. Memory does not grow with their number.
type Check struct {
	Record *Record
	// Store is the run's destination.
	Store store.Store
	How   Trust
	// Folder takes temporary files: about 200 bytes a copy, with TrustList. It is made
	// where it is not there, and removed when it is empty. What a check that was killed
	// has left in it is removed: no other check may use it.
	Folder string
	// Workers is how many payloads are read at once; 0 leaves it to the driver.
	Workers int
	// Checked is told of so many more copies that have been compared; may be nil. One
	// call at a time.
	Checked func(copies int64)
	// Log is told why a store is listed as a whole that can be listed in ranges; may be nil.
	Log *slog.Logger
}

// Checked counts what has been compared.
type Checked struct{ Confirmed, Doubted int64 }

// trusted are the states that are compared.
var trusted = []State{Copied, Committed, Doubted, CommittedDoubted}

// pageEntries is how many entries are held at once.
const pageEntries = 256

// Run compares. When it has returned without error, all doubts are durable. It may be
// ended at any time, and run again. Nothing may change the entries meanwhile.
func (c Check) Run(ctx context.Context) (checked Checked, err error) {
	switch c.How {
	case TrustRecord:
		return Checked{}, nil
	case TrustList:
		checked, err = c.list(ctx)
	case TrustVerify:
		checked, err = c.verify(ctx)
	default:
		err = fmt.Errorf("there is no way %q", c.How)
	}
	if err != nil {
		return checked, fmt.Errorf("compare the %s with %s: %w", what, c.Store.Place(), err)
	}
	return checked, nil
}

// verdict takes what has been found of copies, and records the doubts. Not safe for
// concurrent use.
type verdict struct {
	check   Check
	counts  Checked
	doubted []Copy
	shown   []Copy // which were doubted
	last    *checkpoint.Ticket
}

func (v *verdict) say(c Copy, confirmed bool) {
	if confirmed || crash.Mutated("copy-unchecked") {
		v.counts.Confirmed++
		if was := c.State; was != was.shown() {
			c.State = was.shown()
			if v.shown = append(v.shown, c); len(v.shown) == pageEntries {
				v.record()
			}
		}
	} else {
		v.counts.Doubted++
		if v.doubted = append(v.doubted, c); len(v.doubted) == pageEntries {
			v.record()
		}
	}
	if v.check.Checked != nil {
		v.check.Checked(1)
	}
}

func (v *verdict) record() {
	if len(v.doubted) > 0 {
		v.last = v.check.Record.Doubt(v.doubted)
		v.doubted = v.doubted[:0]
	}
	if len(v.shown) > 0 {
		v.last = v.check.Record.Put(v.shown)
		v.shown = v.shown[:0]
	}
}

// end makes the doubts durable. A write that fails fails the later ones too, so that
// the last one tells.
func (v *verdict) end(ctx context.Context) error {
	v.record()
	if v.last == nil {
		return nil
	}
	return v.last.Wait(ctx)
}

// listing is how a store lists.
type listing func(ctx context.Context, fn func(uri string, info drivers.Info) error) error

// listingOf is the store's listing: one with MD5s where proof is asked for, and where it
// tells no versions. For that the backend reads all that it holds.
func listingOf(s store.Store, proof bool) (listing, error) {
	c := s.Capabilities()
	if prover, ok := s.Driver.(drivers.Prover); ok && c.ListProves && (proof || !c.ListTells) {
		return prover.ListProven, nil
	}
	if l, ok := s.Driver.(drivers.Lister); ok && c.Lists {
		return l.List, nil
	}
	return nil, fmt.Errorf("driver %s cannot list what it holds", s.Name())
}

// errUntold is why a listing is of no use.
var errUntold = errors.New("the store's listing tells neither an MD5 nor a version: give --trust-copies=verify")
