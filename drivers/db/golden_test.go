package db

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
)

// TestGolden reads what a real Anchore Engine wrote, by Get, by GetBatch and by
// Stat, and stores it again.
func TestGolden(t *testing.T) {
	for _, name := range []string{"db", "db2_off", "db2_on"} {
		t.Run(name, func(t *testing.T) {
			url, g := testenv.Postgres(t).Golden(t, name)
			base, _ := usePostgres(t, url, "SELECT 1")
			o := openers()[0]
			if name != "db" {
				o = openers()[1]
			}
			d := mustOpen(t, o, base)
			var requests []drivers.GetRequest
			var want []testenv.GoldenDocument
			for _, doc := range g.Documents {
				if !doc.Stored() {
					continue
				}
				uri, err := d.URI(drivers.Key{UserID: doc.UserID, Bucket: doc.Bucket, ArchiveID: doc.ArchiveID})
				if err != nil || uri != doc.URI {
					t.Errorf("URI is %q (%v), Anchore's is %q", uri, err, doc.URI)
				}
				requests = append(requests, drivers.GetRequest{URI: doc.URI, MaxBytes: 1 << 20})
				want = append(want, doc)
			}
			if len(want) < 49 {
				t.Fatalf("only %d documents", len(want))
			}
			check := func(how string) {
				t.Helper()
				for i, r := range d.(drivers.Batcher).GetBatch(t.Context(), requests) {
					if r.Err != nil {
						t.Errorf("%s: %v", how, r.Err)
						continue
					}
					checkGolden(t, how+", batch", want[i], r.Payload)
					checkGolden(t, how+", get", want[i], readAll(t, d, requests[i].URI))
					info, err := d.Stat(t.Context(), requests[i].URI)
					if err != nil || info.Bytes != want[i].Bytes {
						t.Errorf("stat: %+v, %v, want %d bytes", info, err, want[i].Bytes)
					}
				}
			}
			check("as Anchore wrote it")
			for i := range requests {
				put(t, d, requests[i].URI, readAll(t, d, requests[i].URI))
			}
			check("written again")
			listed := map[string]int64{}
			err := d.(drivers.Lister).List(t.Context(), func(uri string, info drivers.Info) error {
				listed[uri] = info.Bytes
				return nil
			})
			if err != nil || len(listed) != len(want) {
				t.Fatalf("%d payloads listed, want %d: %v", len(listed), len(want), err)
			}
			for i, r := range requests {
				if n, ok := listed[r.URI]; !ok || n != want[i].Bytes {
					t.Errorf("%q listed: %v with %d bytes, want %d", r.URI, ok, n, want[i].Bytes)
				}
			}
		})
	}
}

func checkGolden(t *testing.T, how string, want testenv.GoldenDocument, payload []byte) {
	t.Helper()
	if got := sum(payload); got != want.Digest {
		t.Errorf("%s: %q has digest %s, want %s", how, want.URI, got, want.Digest)
	}
	plain := payload
	if want.IsCompressed {
		z, err := zlib.NewReader(bytes.NewReader(payload))
		if err != nil {
			t.Fatal(err)
		}
		if plain, err = io.ReadAll(z); err != nil {
			t.Fatal(err)
		}
	}
	if s := sha256.Sum256(plain); hex.EncodeToString(s[:]) != want.SHA256 {
		t.Errorf("%s: %q is not the plain document", how, want.URI)
	}
}

func readAll(tb testing.TB, d drivers.Driver, uri string) []byte {
	tb.Helper()
	r, info, err := d.Get(tb.Context(), uri)
	if err != nil {
		tb.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		tb.Fatal(err)
	}
	if int64(len(data)) != info.Bytes {
		tb.Fatalf("%q: %d bytes, Info says %d", uri, len(data), info.Bytes)
	}
	return data
}
