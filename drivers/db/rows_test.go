package db

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/kedge/kedge/drivers"
)

// seed puts a row of archive_document behind the driver's back.
func seed(tb testing.TB, run exec, id, name string, data any, encoded any) {
	tb.Helper()
	run(tb, `INSERT INTO archive_document (bucket, "archiveId", "userId", "documentName", created_at, last_updated, record_state_key, jsondata, b64_encoded)
		VALUES ('manifest_data', $1, 'admin', $2, 1, 1, 'active', $3, $4)`, id, name, data, encoded)
}

func eachKind(t *testing.T, test func(t *testing.T, base Database, run exec)) {
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			base, run := k.open(t)
			test(t, base, run)
		})
	}
}

// TestOldRows: rows with other names than Anchore's, and with NULLs.
func TestOldRows(t *testing.T) {
	eachKind(t, func(t *testing.T, base Database, run exec) {
		d := mustOpen(t, openers()[0], base)
		long := strings.Repeat("text ", 1<<19)
		seed(t, run, "one", "other name", "one", nil)
		seed(t, run, "two", "a", "the wrong one", false)
		seed(t, run, "two", "two.json", "the right one", false)
		seed(t, run, "none", "z", "z", nil)
		seed(t, run, "none", "b", "b", nil)
		seed(t, run, "long", "other name", long, nil)
		seed(t, run, "crlf", "crlf.json", "aGVs\r\nbG8=\r\n \t", true)
		for id, want := range map[string]string{"one": "one", "two": "the right one", "none": "b", "long": long, "crlf": "hello"} {
			uri := uriOf(t, d, id)
			if got := readAll(t, d, uri); string(got) != want {
				t.Errorf("%s: %d bytes, not those expected", id, len(got))
			}
			if info, err := d.Stat(t.Context(), uri); err != nil || info.Bytes != int64(len(want)) {
				t.Errorf("stat %s: %+v, %v", id, info, err)
			}
			r := d.(drivers.Batcher).GetBatch(t.Context(), []drivers.GetRequest{{URI: uri, MaxBytes: 100}})[0]
			switch {
			case len(want) > 100:
				wantKind(t, r.Err, drivers.TooLarge)
				if r.Info.Bytes != int64(len(want)) {
					t.Errorf("batch %s: %+v", id, r.Info)
				}
			case r.Err != nil || string(r.Payload) != want:
				t.Errorf("batch %s: %q, %v", id, r.Payload, r.Err)
			}
		}
		listed := map[string]int64{}
		err := d.(drivers.Lister).List(t.Context(), func(uri string, info drivers.Info) error {
			if _, twice := listed[uri]; twice {
				t.Errorf("%s is listed twice", uri)
			}
			listed[uri] = info.Bytes
			return nil
		})
		if err != nil || len(listed) != 5 || listed[uriOf(t, d, "two")] != 13 || listed[uriOf(t, d, "crlf")] != 5 || listed[uriOf(t, d, "none")] != 1 {
			t.Errorf("listed: %v, %v", listed, err)
		}
		// After a Put there is one row, by Anchore's name.
		for _, id := range []string{"one", "two", "none"} {
			put(t, d, uriOf(t, d, id), []byte("new"))
			if n := run(t, `UPDATE archive_document SET record_state_val = 'x' WHERE "archiveId" = $1`, id); n != 1 {
				t.Errorf("%s: %d rows after a put", id, n)
			}
		}
		streamed := drivers.Payload{Length: -1, Open: func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(long)), nil
		}}
		if _, err := d.Put(t.Context(), uriOf(t, d, "long"), streamed); err != nil {
			t.Fatal(err)
		}
		if n := run(t, `DELETE FROM archive_document WHERE "archiveId" = 'long'`); n != 1 {
			t.Errorf("long: %d rows after a put", n)
		}
		// Delete takes all rows of a key.
		seed(t, run, "two", "another", "x", false)
		if err := d.Delete(t.Context(), uriOf(t, d, "two")); err != nil {
			t.Fatal(err)
		}
		if n := run(t, `DELETE FROM archive_document WHERE "archiveId" = 'two'`); n != 0 {
			t.Errorf("two: %d rows after a delete", n)
		}
	})
}

// TestPutLeavesColumns: an overwritten row keeps what a Put is not about.
func TestPutLeavesColumns(t *testing.T) {
	eachKind(t, func(t *testing.T, base Database, run exec) {
		d, d2 := mustOpen(t, openers()[0], base), mustOpen(t, openers()[1], base)
		seed(t, run, "x", "x.json", "old", false)
		run(t, `UPDATE archive_document SET record_state_key = 'k', record_state_val = 'v'`)
		run(t, `INSERT INTO object_storage VALUES ('admin', 'manifest_data', 'x', '', 'meta', NULL, 1, 1)`)
		put(t, d, uriOf(t, d, "x"), []byte("new"))
		put(t, d2, uriOf(t, d2, "x"), []byte("new"))
		if n := run(t, `UPDATE archive_document SET jsondata = 'x' WHERE record_state_key = 'k' AND record_state_val = 'v'
			AND created_at = 1 AND last_updated > 1 AND "documentName" = 'x.json' AND jsondata = 'new'`); n != 1 {
			t.Error("archive_document: other columns have changed")
		}
		if n := run(t, `DELETE FROM object_storage WHERE object_metadata = 'meta' AND created_at = 1 AND last_updated > 1 AND version = ''`); n != 1 {
			t.Error("object_storage: other columns have changed")
		}
		put(t, d, uriOf(t, d, "y"), []byte("fresh"))
		if n := run(t, `UPDATE archive_document SET jsondata = 'x' WHERE record_state_key = 'active' AND record_state_val IS NULL
			AND created_at > 1 AND last_updated > 1 AND "documentName" = 'y.json' AND NOT b64_encoded`); n != 1 {
			t.Error("archive_document: a fresh row is not as Anchore's")
		}
	})
}

// TestNoData: a row whose data is NULL is neither a payload nor missing.
func TestNoData(t *testing.T) {
	eachKind(t, func(t *testing.T, base Database, run exec) {
		seed(t, run, "null", "null.json", nil, nil)
		run(t, `INSERT INTO object_storage VALUES ('admin', 'manifest_data', 'null', '', NULL, NULL, 1, 1)`)
		for _, o := range openers() {
			d := mustOpen(t, o, base)
			uri := uriOf(t, d, "null")
			_, _, err := d.Get(t.Context(), uri)
			wantKind(t, err, drivers.Corrupt)
			_, err = d.Stat(t.Context(), uri)
			wantKind(t, err, drivers.Corrupt)
			wantKind(t, d.(drivers.Batcher).GetBatch(t.Context(), []drivers.GetRequest{{URI: uri, MaxBytes: 10}})[0].Err, drivers.Corrupt)
		}
	})
}

// TestRottenBase64: such a payload is Corrupt, however it is read, and does not
// spoil a batch.
func TestRottenBase64(t *testing.T) {
	eachKind(t, func(t *testing.T, base Database, run exec) {
		d := mustOpen(t, openers()[0], base)
		good := uriOf(t, d, "good")
		put(t, d, good, []byte("good"))
		long := string(encodeBase64(bytes.Repeat([]byte{255}, 3<<20)))
		for i, text := range []string{"a", "ab", "abc", "!!!!", "aGVsbG8", "aGVsbG8=x", "aGVs*bG8=", "====", long + "x", long[:1<<20] + "?" + long[1<<20:]} {
			id := fmt.Sprint(i)
			seed(t, run, id, id+".json", text, true)
			uri := uriOf(t, d, id)
			results := d.(drivers.Batcher).GetBatch(t.Context(), []drivers.GetRequest{{URI: uri, MaxBytes: 8 << 20}, {URI: good, MaxBytes: 10}})
			wantKind(t, results[0].Err, drivers.Corrupt)
			if results[1].Err != nil || string(results[1].Payload) != "good" {
				t.Errorf("spoiled: %v", results[1].Err)
			}
			r, _, err := d.Get(t.Context(), uri)
			if err == nil {
				_, err = io.ReadAll(r)
				r.Close()
			}
			wantKind(t, err, drivers.Corrupt)
		}
	})
}

// TestBase64AsPython: what is stored of binary payloads, in memory and streamed,
// is what base64.encodebytes makes.
func TestBase64AsPython(t *testing.T) {
	eachKind(t, func(t *testing.T, base Database, run exec) {
		d := mustOpen(t, openers()[0], base)
		r := rand.New(rand.NewPCG(1, 2))
		lengths := []int{1, 2, 3, 54, 55, 56, 57, 58, 59, 60, 113, 114, 115, 171,
			chunkBytes - 1, chunkBytes, chunkBytes + 1, 2 * chunkBytes, 2*chunkBytes + 55, 2*chunkBytes + 56, 2*chunkBytes + 57, 2*chunkBytes + 58}
		for _, n := range lengths {
			data := make([]byte, n)
			for i := range data {
				data[i] = byte(r.Uint32())
			}
			data[0] = 0xff // no text
			want := string(encodeBase64(data))
			for _, streamed := range []bool{false, true} {
				p := drivers.InMemory(data, sum(data))
				if streamed {
					p = drivers.Payload{Length: -1, Open: func(context.Context) (io.ReadCloser, error) {
						return io.NopCloser(bytes.NewReader(data)), nil
					}}
				}
				if _, err := d.Put(t.Context(), uriOf(t, d, "x"), p); err != nil {
					t.Fatal(err)
				}
				if n := run(t, `DELETE FROM archive_document WHERE b64_encoded AND jsondata = $1`, want); n != 1 {
					t.Errorf("%d bytes (streamed: %v) are not stored as Python would", len(data), streamed)
				}
			}
		}
	})
}

// TestTextAcrossPieces: a character that two pieces share is still text.
func TestTextAcrossPieces(t *testing.T) {
	eachKind(t, func(t *testing.T, base Database, run exec) {
		d := mustOpen(t, openers()[0], base)
		for pad := range 4 {
			data := []byte(strings.Repeat("x", chunkBytes-pad) + "🐎" + strings.Repeat("é", chunkBytes/2))
			for _, cut := range []int{len(data), len(data) - 1} {
				stream := drivers.Payload{Length: -1, Open: func(context.Context) (io.ReadCloser, error) {
					return io.NopCloser(bytes.NewReader(data[:cut])), nil
				}}
				uri := uriOf(t, d, "x")
				if _, err := d.Put(t.Context(), uri, stream); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(readAll(t, d, uri), data[:cut]) {
					t.Error("not what was put")
				}
				if n := run(t, `DELETE FROM archive_document WHERE b64_encoded = $1`, cut < len(data)); n != 1 {
					t.Errorf("padding %d, %d bytes cut off: stored in the wrong form", pad, len(data)-cut)
				}
			}
		}
	})
}

// TestListPages lists more than one page, using the store meanwhile; rows that
// have no URI of their own are left out.
func TestListPages(t *testing.T) {
	eachDriver(t, func(t *testing.T, d drivers.Driver, run exec) {
		const n = 2*listPage + 7
		var requests []drivers.PutRequest
		for i := range n {
			p := body(i)
			requests = append(requests, drivers.PutRequest{URI: uriOf(t, d, fmt.Sprintf("%d/é", i)), Payload: p, MD5: sum(p)})
		}
		for _, r := range d.(drivers.Batcher).PutBatch(t.Context(), requests) {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
		}
		run(t, `INSERT INTO archive_document (bucket, "archiveId", "userId", "documentName", jsondata) VALUES ('b/c', 'd', 'a', 'd.json', 'x')`)
		run(t, `INSERT INTO object_storage (bucket, "key", "userId", version, content) VALUES ('b/c', 'd', 'a', '', NULL), ('b', 'd', 'a', '2', NULL)`)
		seen := map[string]int64{}
		err := d.(drivers.Lister).List(t.Context(), func(uri string, info drivers.Info) error {
			seen[uri] = info.Bytes
			if len(seen)%500 == 1 {
				return d.Delete(t.Context(), uri)
			}
			return nil
		})
		if err != nil || len(seen) != n {
			t.Fatalf("%d listed, want %d: %v", len(seen), n, err)
		}
		for _, r := range requests {
			if seen[r.URI] != int64(len(r.Payload)) {
				t.Errorf("%s is listed with %d bytes, has %d", r.URI, seen[r.URI], len(r.Payload))
			}
		}
	})
}
