package pipeline_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"sync/atomic"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/failure"
)

// reading is a destination whose payloads are read back.
type reading struct {
	drivers.Driver
	unhashed atomic.Int64           // puts of payloads whose MD5 nobody has computed
	stores   func(payload []byte)   // may change what is stored
	get      func(uri string) error // may refuse to read back
	proves   bool                   // tells the MD5 of what it has stored
	// forgets: the answer to a put is lost, and the second attempt finds, where
	// something is now, that it is not what it was said to be.
	forgets bool
}

func (r *reading) Put(ctx context.Context, uri string, p drivers.Payload) (drivers.Receipt, error) {
	if p.ReadBack {
		r.unhashed.Add(1)
		if r.stores != nil {
			p.Bytes = bytes.Clone(p.Bytes)
			r.stores(p.Bytes)
		}
	}
	receipt, err := r.Driver.Put(ctx, uri, p)
	if err == nil && p.ReadBack && r.forgets {
		return r.Driver.Put(ctx, uri, p)
	}
	if err == nil && r.proves {
		sum := md5.Sum(p.Bytes)
		receipt.ProvenMD5 = hex.EncodeToString(sum[:])
	}
	return receipt, err
}

func (r *reading) Get(ctx context.Context, uri string) (io.ReadCloser, drivers.Info, error) {
	if r.get != nil {
		if err := r.get(uri); err != nil {
			return nil, drivers.Info{}, err
		}
	}
	return r.Driver.Get(ctx, uri)
}

func (r *reading) Sync(ctx context.Context) error { return r.Driver.(drivers.Syncer).Sync(ctx) }

// documents adds three sound documents and a rotten one.
func (in *installation) documents() (rotten drivers.Key) {
	in.t.Helper()
	for i := range 3 {
		in.add(i, bytes.Repeat([]byte{byte(i)}, 40_000), false)
	}
	return in.add(3, []byte(rottenBytes), true)
}

// What is read back from a file is hashed then, and only then; what is rotten is
// found by it, and nothing of it stays.
func TestWhatIsReadBackIsHashedOnce(t *testing.T) {
	in := install(t, 0)
	rotten := in.documents()
	destination := &reading{Driver: in.dst}
	o := in.options(destination)
	o.KeepSource = true
	r, err := pipeline.Run(t.Context(), nil, o)
	if err != nil || r.Counts.Moved != 3 || r.Failed != 1 || failures(r)[failure.ClassDigest] != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if n := destination.unhashed.Load(); n < 4 {
		t.Errorf("%d payloads were put without a MD5 computed before, want all 4", n)
	}
	in.nothingOf(rotten)
	if moved := in.checkAllButOrphans(); moved != 3 {
		t.Errorf("%d are at the destination", moved)
	}
}

// A store that tells the MD5 of what it took unhashed is believed, and what was
// rotten is removed; also when the answer that told so was lost.
func TestWhatIsToldOfWhatWasNotHashed(t *testing.T) {
	for name, destination := range map[string]*reading{
		"told":           {proves: true},
		"told in vain":   {proves: true, forgets: true},
		"forgotten":      {forgets: true},
		"and none reads": {proves: true, get: func(uri string) error { return errors.New("not to be read") }},
	} {
		t.Run(name, func(t *testing.T) {
			in := install(t, 0)
			rotten := in.documents()
			destination.Driver = in.dst
			o := in.options(destination)
			o.KeepSource = true
			r, err := pipeline.Run(t.Context(), nil, o)
			if err != nil || r.Counts.Moved != 3 || r.Failed != 1 || failures(r)[failure.ClassDigest] != 1 {
				t.Fatalf("%+v, %v", r, err)
			}
			in.nothingOf(rotten)
		})
	}
}

// What is at the destination already is not replaced by what is rotten.
func TestWhatIsRottenReplacesNothing(t *testing.T) {
	in := install(t, 0)
	rotten := in.documents()
	uri := in.destinationOf(rotten)
	const before = "what was there before"
	if _, err := in.dst.Put(t.Context(), uri, drivers.InMemory([]byte(before), "")); err != nil {
		t.Fatal(err)
	}
	r, err := pipeline.Run(t.Context(), nil, in.options(&reading{Driver: in.dst}))
	if err != nil || r.Counts.Moved != 3 || r.Failed != 1 || failures(r)[failure.ClassDigest] != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	body, _, err := in.dst.Get(t.Context(), uri)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if there, err := io.ReadAll(body); err != nil || string(there) != before {
		t.Errorf("the destination holds %q, %v", there, err)
	}
}

// A destination that stores something else is told from a rotten source.
func TestWhatWasStoredWrong(t *testing.T) {
	in := install(t, 0)
	key := in.add(0, bytes.Repeat([]byte("x"), 40_000), false)
	o := in.options(&reading{Driver: in.dst, stores: func(payload []byte) { payload[len(payload)/2] ^= 1 }})
	r, err := pipeline.Run(t.Context(), nil, o)
	if err != nil || r.Counts.Moved != 0 || failures(r)[failure.ClassVerify] != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	in.nothingOf(key)
	if moved := in.checkAllButOrphans(); moved != 0 {
		t.Errorf("%d are at the destination", moved)
	}
}

// What a run that ended before it had read anything back left of a rotten document
// is removed by the next one.
func TestWhatIsRottenIsTakenBackLater(t *testing.T) {
	in := install(t, 0)
	rotten := in.documents()
	in.killedAfterThePut()
	if _, err := in.dst.Stat(t.Context(), in.destinationOf(rotten)); err != nil {
		t.Fatalf("the first run left nothing of it: %v", err)
	}
	r, err := pipeline.Run(t.Context(), nil, in.options(in.dst))
	if err != nil || !r.Resumed || r.Failed != 1 || failures(r)[failure.ClassDigest] != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	in.nothingOf(rotten)
	if moved := in.checkAllButOrphans(); moved != 3 {
		t.Errorf("%d are at the destination", moved)
	}
}
