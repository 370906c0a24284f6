package pipeline_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/failure"
)

// passing is a store that passes payloads through without hashing them, as S3's
// driver does: the server compares what arrives with the MD5 that it was told.
type passing struct {
	drivers.Driver
	// ignorant: it stores whatever arrives, and tells its MD5. mute: it compares,
	// and tells nothing.
	ignorant, mute bool
	// unhashed counts payloads from memory whose MD5 nobody has computed before.
	unhashed atomic.Int64
}

func (p *passing) Capabilities() drivers.Capabilities {
	c := p.Driver.Capabilities()
	c.PassBytes, c.TakesUnhashed = 64<<20, false
	return c
}

func (p *passing) Put(ctx context.Context, uri string, payload drivers.Payload) (drivers.Receipt, error) {
	if payload.MD5 == "" || payload.Computed {
		return p.Driver.Put(ctx, uri, payload)
	}
	content := payload.Bytes
	if payload.Streamed() {
		r, err := payload.Open(ctx)
		if err != nil {
			return drivers.Receipt{}, err
		}
		defer r.Close()
		if content, err = io.ReadAll(r); err != nil {
			return drivers.Receipt{}, err
		}
	} else {
		p.unhashed.Add(1)
	}
	sum := md5.Sum(content)
	digest := hex.EncodeToString(sum[:])
	if digest != payload.MD5 && !p.ignorant {
		return drivers.Receipt{}, &drivers.Error{Op: "put", URI: uri, Kind: drivers.Corrupt, Err: errors.New("not what it was said to be")}
	}
	receipt, err := p.Driver.Put(ctx, uri, drivers.InMemory(content, digest))
	receipt.MD5 = payload.MD5
	if !p.mute {
		receipt.ProvenMD5 = digest
	}
	return receipt, err
}

// opened counts how often payloads are opened at a source.
type opened struct {
	drivers.Driver
	times atomic.Int64
}

func (o *opened) Get(ctx context.Context, uri string) (io.ReadCloser, drivers.Info, error) {
	o.times.Add(1)
	return o.Driver.Get(ctx, uri)
}

// add puts one more document, whose row says that its digest is another one if
// it is rotten.
func (in *installation) add(n int, plain []byte, rotten bool) drivers.Key {
	in.t.Helper()
	key := drivers.Key{UserID: "admin", Bucket: "large", ArchiveID: fmt.Sprint(n)}
	uri, err := in.src.URI(key)
	if err != nil {
		in.t.Fatal(err)
	}
	sum := md5.Sum(plain)
	digest := hex.EncodeToString(sum[:])
	if _, err := in.src.Put(in.t.Context(), uri, drivers.InMemory(plain, digest)); err != nil {
		in.t.Fatal(err)
	}
	if rotten {
		sum[0] ^= 1
		digest = hex.EncodeToString(sum[:])
	} else {
		in.plain[key] = plain
	}
	in.exec(`INSERT INTO archive_metadata (bucket, "archiveId", "userId", "documentName", content_url, is_compressed, digest, size) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		key.Bucket, key.ArchiveID, key.UserID, key.ArchiveID+".json", uri, false, digest, len(plain))
	return key
}

// destinationOf is where a document is to be at the destination.
func (in *installation) destinationOf(key drivers.Key) string {
	in.t.Helper()
	uri, err := in.dst.URI(key)
	if err != nil {
		in.t.Fatal(err)
	}
	return uri
}

// nothingOf fails the test if the destination holds anything of a document.
func (in *installation) nothingOf(key drivers.Key) {
	in.t.Helper()
	if _, err := in.dst.Stat(in.t.Context(), in.destinationOf(key)); drivers.KindOf(err) != drivers.NotFound {
		in.t.Errorf("of %s something is left: %v", key, err)
	}
}

// A large document whose digest is known is not hashed on its way where the
// destination does that; and what is rotten is found all the same.
func TestWhatTheDestinationChecks(t *testing.T) {
	plain := bytes.Repeat([]byte("0123456789abcdef"), 2<<20/16)
	for name, c := range map[string]struct {
		ignorant, mute bool
		// most is how often the payloads of two sound documents and a rotten one are
		// opened. Which comes first is not said.
		most int64
	}{
		"compares":             {false, false, 1 + 1 + 2},
		"takes whatever comes": {true, false, 1 + 1 + 2},
		"says nothing of it":   {false, true, 2 + 2 + 1},
		"does neither":         {true, true, 2 + 1 + 1},
	} {
		t.Run(name, func(t *testing.T) {
			in := install(t, 0)
			in.add(1, plain, false)
			in.add(2, plain, false)
			rotten := in.add(3, plain, true)
			source := &opened{Driver: in.src}
			o := in.options(&passing{Driver: in.dst, ignorant: c.ignorant, mute: c.mute})
			o.Source.Driver, o.KeepSource, o.Workers = source, true, 1
			r, err := pipeline.Run(t.Context(), nil, o)
			if err != nil || r.Counts.Moved != 2 || r.Failed != 1 || failures(r)[failure.ClassDigest] != 1 {
				t.Fatalf("%+v, %v", r, err)
			}
			in.nothingOf(rotten)
			// The probe is one.
			if n := source.times.Load() - 1; n < 4 || n > c.most {
				t.Errorf("payloads were opened %d times, want 4 to %d", n, c.most)
			}
		})
	}
}

// Nor is a small one, which is held in memory; by a plan it is, for nothing is
// put then.
func TestWhatTheDestinationChecksOfWhatIsHeld(t *testing.T) {
	for name, c := range map[string]struct {
		ignorant, mute bool
		// least and most say of how many payloads the MD5 was not computed: those
		// that were fetched before the destination had told nothing of the first.
		least, most int64
	}{
		"compares":             {false, false, 4, 4},
		"takes whatever comes": {true, false, 4, 4},
		"says nothing of it":   {false, true, 1, 4},
		"does neither":         {true, true, 1, 4},
	} {
		t.Run(name, func(t *testing.T) {
			in := install(t, 0)
			for i := range 3 {
				in.add(i, bytes.Repeat([]byte{byte(i)}, 40_000), false)
			}
			rotten := in.add(3, []byte("0123456789abcdef"), true)
			destination := &passing{Driver: in.dst, ignorant: c.ignorant, mute: c.mute}
			o := in.options(destination)
			o.KeepSource, o.Workers = true, 1
			plan, err := pipeline.MakePlan(t.Context(), nil, pipeline.PlanOptions{Options: o, SampleTime: time.Minute})
			if err != nil || plan.Sample.Failed != 1 {
				t.Errorf("the plan: %+v, %v", plan.Sample, err)
			}
			r, err := pipeline.Run(t.Context(), nil, o)
			if err != nil || r.Counts.Moved != 3 || r.Failed != 1 || failures(r)[failure.ClassDigest] != 1 {
				t.Fatalf("%+v, %v", r, err)
			}
			in.nothingOf(rotten)
			// The probe is one.
			if n := destination.unhashed.Load() - 1; n < c.least || n > c.most {
				t.Errorf("%d payloads were put without a MD5 computed before, want %d to %d", n, c.least, c.most)
			}

		})
	}
}

// Services put a payload before its row, so that a copy may read what the row does not tell
// yet. A run that is killed before the proof leaves nothing of that which nobody would know
// for kedge's own when the document is gone.
func TestACopyOfWhatIsJustBeingWrittenIsNotLeftBehind(t *testing.T) {
	in := install(t, 3)
	in.write(in.src, key(7), []byte("the version of the row"))
	in.write(in.src, key(8), []byte("whole"))
	uri, err := in.src.URI(key(7))
	if err != nil {
		t.Fatal(err)
	}
	ahead := []byte("the version after that")
	if _, err := in.src.Put(t.Context(), uri, drivers.InMemory(ahead, fmt.Sprintf("%x", md5.Sum(ahead)))); err != nil {
		t.Fatal(err)
	}
	ctx, kill := context.WithCancelCause(t.Context())
	defer kill(nil)
	_, err = pipeline.Run(ctx, nil, in.copyOptions(&falling{Driver: in.dst, sync: func() error {
		if _, err := in.dst.Stat(ctx, in.destinationOf(key(8))); err != nil {
			return nil // it is the probe that is made durable
		}
		kill(errors.New("killed"))
		return context.Canceled
	}}))
	if err == nil {
		t.Fatal("the copy was not killed")
	}
	in.erase(in.src, key(7))
	run(t, in.cutover(in.dst))
	in.nothingOf(key(7))
	if n := held(t, in.dst); n != 4 || in.check() != 4 {
		t.Errorf("%d at the destination, 4 documents", n)
	}
}
