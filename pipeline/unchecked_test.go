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

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline"
)

// passing is a store that passes payloads through without hashing them, as S3's
// driver does: the server compares what arrives with the MD5 that it was told.
type passing struct {
	drivers.Driver
	// ignorant: it stores whatever arrives, and tells its MD5. mute: it compares,
	// and tells nothing.
	ignorant, mute bool
}

func (p *passing) Capabilities() drivers.Capabilities {
	c := p.Driver.Capabilities()
	c.PassBytes = 64 << 20
	return c
}

func (p *passing) Put(ctx context.Context, uri string, payload drivers.Payload) (drivers.Receipt, error) {
	if !payload.Streamed() || payload.MD5 == "" {
		return p.Driver.Put(ctx, uri, payload)
	}
	r, err := payload.Open(ctx)
	if err != nil {
		return drivers.Receipt{}, err
	}
	defer r.Close()
	content, err := io.ReadAll(r)
	if err != nil {
		return drivers.Receipt{}, err
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

// A large document whose digest is known is not hashed on its way where the
// destination does that; and what is rotten is found all the same.
func TestWhatTheDestinationChecks(t *testing.T) {
	plain := bytes.Repeat([]byte("0123456789abcdef"), 2<<20/16)
	for name, c := range map[string]struct {
		passing
		// most is how often the payloads of two sound documents and a rotten one are
		// opened. Which comes first is not said.
		most int64
	}{
		"compares":             {passing{}, 1 + 1 + 2},
		"takes whatever comes": {passing{ignorant: true}, 1 + 1 + 2},
		"says nothing of it":   {passing{mute: true}, 2 + 2 + 1},
		"does neither":         {passing{mute: true, ignorant: true}, 2 + 1 + 1},
	} {
		t.Run(name, func(t *testing.T) {
			in := install(t, 0)
			in.add(1, plain, false)
			in.add(2, plain, false)
			rotten := in.add(3, plain, true)
			source := &opened{Driver: in.src}
			destination := c.passing
			destination.Driver = in.dst
			o := in.options(&destination)
			o.Source.Driver, o.KeepSource, o.Workers = source, true, 1
			r, err := pipeline.Run(t.Context(), nil, o)
			if err != nil || r.Counts.Moved != 2 || r.Failed != 1 || failures(r)[pipeline.ClassDigest] != 1 {
				t.Fatalf("%+v, %v", r, err)
			}
			uri, err := in.dst.URI(rotten)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := in.dst.Stat(t.Context(), uri); drivers.KindOf(err) != drivers.NotFound {
				t.Errorf("of the rotten one something is left: %v", err)
			}
			// The probe is one.
			if n := source.times.Load() - 1; n < 4 || n > c.most {
				t.Errorf("payloads were opened %d times, want 4 to %d", n, c.most)
			}
		})
	}
}
