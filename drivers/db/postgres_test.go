package db

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
)

// repeat streams n bytes that are no text, without holding them.
type repeat struct{ n int64 }

func (r *repeat) Read(p []byte) (int, error) {
	if r.n == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), r.n)]
	for i := range p {
		p[i] = byte(r.n-int64(i)) | 0x80
	}
	r.n -= int64(len(p))
	return len(p), nil
}

func longPayload(n int64) drivers.Payload {
	return drivers.Payload{Length: n, Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(&repeat{n}), nil }}
}

// TestOnePool moves more long payloads at once between both drivers than the
// pool has connections: nobody may wait for ever for the other half of a pair.
func TestOnePool(t *testing.T) {
	for _, connections := range []int{2, 3, 4} {
		url := testenv.Postgres(t).Database(t) + fmt.Sprintf("?pool_max_conns=%d", connections)
		base, _ := usePostgres(t, url, pgTables)
		from, to := mustOpen(t, openers()[0], base), mustOpen(t, openers()[1], base)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		var g errgroup.Group
		for i := range 8 {
			g.Go(func() error {
				n := int64(3*chunkBytes + i)
				uri := fmt.Sprintf("db://admin/b/%d", i)
				receipt, err := from.Put(ctx, uri, longPayload(n))
				if err != nil {
					return err
				}
				moved, err := to.Put(ctx, "db2"+uri[2:], drivers.Payload{Length: n, MD5: receipt.MD5, Open: func(ctx context.Context) (io.ReadCloser, error) {
					r, _, err := from.Get(ctx, uri)
					return r, err
				}})
				if err == nil && (moved.ProvenMD5 != receipt.MD5 || moved.Bytes != n) {
					err = fmt.Errorf("moved %+v, was %+v", moved, receipt)
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatalf("%d connections: %v", connections, err)
		}
	}
}

// TestOneVersion: a long payload that is replaced while it is read is still
// delivered as it was.
func TestOneVersion(t *testing.T) {
	eachDriver(t, func(t *testing.T, d drivers.Driver, _ exec) {
		uri := uriOf(t, d, "x")
		const n = 20 << 20
		receipt, err := d.Put(t.Context(), uri, longPayload(n))
		if err != nil {
			t.Fatal(err)
		}
		r, _, err := d.Get(t.Context(), uri)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if _, err := d.Put(t.Context(), uri, longPayload(n-5)); err != nil {
			t.Fatal(err)
		}
		h := md5.New()
		if m, err := io.Copy(h, r); err != nil || m != n || hex.EncodeToString(h.Sum(nil)) != receipt.MD5 {
			t.Fatalf("%d bytes of another version: %v", m, err)
		}
	})
}

// TestGuilty: a payload that the database refuses does not spoil its batch.
func TestGuilty(t *testing.T) {
	for _, o := range openers() {
		base, run := freshPostgres(t)
		d := mustOpen(t, o, base)
		run(t, `ALTER TABLE archive_document ADD CHECK (jsondata <> 'guilty')`)
		run(t, `ALTER TABLE object_storage ADD CHECK (content <> 'guilty')`)
		tooLong := incompressible(5000) // the index takes 2,704 bytes
		var requests []drivers.PutRequest
		for _, p := range []string{"good", "guilty", "good too"} {
			requests = append(requests, drivers.PutRequest{URI: uriOf(t, d, p), Payload: []byte(p), MD5: sum([]byte(p))})
		}
		requests = append(requests, drivers.PutRequest{URI: uriOf(t, d, tooLong), Payload: []byte("x"), MD5: sum([]byte("x"))})
		results := d.(drivers.Batcher).PutBatch(t.Context(), requests)
		if results[0].Err != nil || results[2].Err != nil {
			t.Errorf("%s: good ones fail: %v, %v", o.name, results[0].Err, results[2].Err)
		}
		if results[0].Receipt.ProvenMD5 != sum([]byte("good")) {
			t.Errorf("%s: nothing proven: %+v", o.name, results[0].Receipt)
		}
		wantKind(t, results[1].Err, drivers.Other)
		wantKind(t, results[3].Err, drivers.InvalidKey)
	}
}

// TestDamagedRow: a row that the server cannot read does not spoil its batch.
func TestDamagedRow(t *testing.T) {
	base, run := freshPostgres(t)
	run(t, `CREATE FUNCTION damaged() RETURNS bytea LANGUAGE plpgsql AS $$
		BEGIN RAISE EXCEPTION 'missing chunk number 0 for toast value 12345' USING ERRCODE = 'XX001'; END $$`)
	run(t, `ALTER TABLE object_storage RENAME TO stored`)
	run(t, `CREATE VIEW object_storage AS SELECT xmin, "userId", bucket, key, version, CASE WHEN key = 'damaged' THEN damaged() ELSE content END AS content FROM stored`)
	run(t, `INSERT INTO stored ("userId", bucket, key, version, content) VALUES ('admin', 'manifest_data', 'damaged', '', 'x'), ('admin', 'manifest_data', 'good', '', 'good')`)
	d := mustOpen(t, openers()[1], base)
	var requests []drivers.GetRequest
	for _, id := range []string{"good", "damaged", "missing"} {
		requests = append(requests, drivers.GetRequest{URI: uriOf(t, d, id), MaxBytes: 10})
	}
	results := d.(drivers.Batcher).GetBatch(t.Context(), requests)
	if results[0].Err != nil || string(results[0].Payload) != "good" {
		t.Errorf("spoiled: %v", results[0].Err)
	}
	wantKind(t, results[1].Err, drivers.Corrupt)
	wantKind(t, results[2].Err, drivers.NotFound)
}

func incompressible(n int) string {
	var s strings.Builder
	for i := 0; s.Len() < n; i++ {
		s.WriteString(sum(fmt.Append(nil, i)))
	}
	return s.String()[:n]
}

// TestOtherEncodings: in a database that is not in UTF-8, only ASCII is text.
func TestOtherEncodings(t *testing.T) {
	for _, encoding := range []string{"LATIN1", "SQL_ASCII"} {
		base, run := usePostgres(t, testenv.Postgres(t).DatabaseIn(t, encoding)+"?client_encoding=UTF8", pgTables)
		d := mustOpen(t, openers()[0], base)
		for i, text := range []string{"ascii", "žluť", "é", "\x00"} {
			uri := uriOf(t, d, fmt.Sprint(i))
			put(t, d, uri, []byte(text))
			if got := readAll(t, d, uri); string(got) != text {
				t.Errorf("%s: %q came back as %q", encoding, text, got)
			}
			if n := run(t, `DELETE FROM archive_document WHERE b64_encoded = $1`, text != "ascii"); n != 1 {
				t.Errorf("%s: %q is stored in the wrong form", encoding, text)
			}
		}
		// As Anchore writes it: text, of which the database may keep other bytes.
		const text = `{"document": "é"}`
		run(t, `INSERT INTO archive_document (bucket, "archiveId", "userId", "documentName", jsondata) VALUES ('manifest_data', 'x', 'admin', 'x.json', $1)`, text)
		uri := uriOf(t, d, "x")
		info, err := d.Stat(t.Context(), uri)
		if got := readAll(t, d, uri); err != nil || string(got) != text || info.Bytes != int64(len(text)) {
			t.Errorf("%s: %q with %d bytes: %v", encoding, got, info.Bytes, err)
		}
		results := d.(drivers.Batcher).GetBatch(t.Context(), []drivers.GetRequest{{URI: uri, MaxBytes: int64(len(text))}})
		if results[0].Err != nil || string(results[0].Payload) != text || results[0].Info.Bytes != int64(len(text)) {
			t.Errorf("%s: in a batch %q, %v", encoding, results[0].Payload, results[0].Err)
		}
		err = d.(drivers.Lister).List(t.Context(), func(_ string, info drivers.Info) error {
			if info.Bytes != int64(len(text)) {
				t.Errorf("%s: listed with %d bytes", encoding, info.Bytes)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// TestRefusals: what cannot be opened or done says why, in one line.
func TestRefusals(t *testing.T) {
	ctx := t.Context()
	for _, o := range openers() {
		base, run := freshPostgres(t)
		d := mustOpen(t, o, base)
		uri := uriOf(t, d, "x")
		put(t, d, uri, []byte("x"))
		run(t, `CREATE ROLE nobody_`+o.name+` LOGIN`)
		restricted, err := base.Postgres.Acquire(ctx)
		if err != nil {
			t.Fatal(err)
		}
		restricted.Release()
		user := strings.Replace(base.Postgres.Config().ConnString(), "postgres@", "nobody_"+o.name+"@", 1)
		limited, _ := usePostgres(t, user, "SELECT 1")
		denied, err := o.open(ctx, limited)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = denied.Get(ctx, uri)
		wantKind(t, err, drivers.Denied)
		_, err = denied.Put(ctx, uri, drivers.InMemory([]byte("y"), ""))
		wantKind(t, err, drivers.Denied)
		wantKind(t, denied.Delete(ctx, uri), drivers.Denied)
		limited.Postgres.Close()
		run(t, `DROP ROLE nobody_`+o.name)

		run(t, `ALTER TABLE archive_document RENAME TO a`)
		run(t, `ALTER TABLE object_storage RENAME TO b`)
		_, _, err = d.Get(ctx, uri)
		wantKind(t, err, drivers.Config)
		_, err = o.open(ctx, base)
		wantKind(t, err, drivers.Config)
		_, err = o.open(ctx, Database{})
		wantKind(t, err, drivers.Config)
	}
	base, _ := usePostgres(t, testenv.Postgres(t).Database(t)+"?synchronous_commit=off", pgTables)
	_, err := OpenDB(ctx, base)
	wantKind(t, err, drivers.Config)
	base, _ = usePostgres(t, testenv.Postgres(t).Database(t)+"?pool_max_conns=1", pgTables)
	_, err = OpenDB2(ctx, base)
	wantKind(t, err, drivers.Config)
}

// TestServerGone: while the server is away every operation is Temporary, and
// names no password; afterwards all goes on.
func TestServerGone(t *testing.T) {
	const password = "hidden-pa55word"
	server := testenv.NewPostgres(t, testenv.PostgresOptions{Password: password})
	base, _ := usePostgres(t, server.Database(t), pgTables)
	for _, o := range openers() {
		d := mustOpen(t, o, base)
		uri := uriOf(t, d, "x")
		put(t, d, uri, []byte("kept"))
		server.Stop(t)
		var errs []error
		_, _, err := d.Get(t.Context(), uri)
		errs = append(errs, err)
		_, err = d.Stat(t.Context(), uri)
		errs = append(errs, err)
		_, err = d.Put(t.Context(), uri, drivers.InMemory([]byte("y"), ""))
		errs = append(errs, err)
		_, err = d.Put(t.Context(), uri, longPayload(3*chunkBytes))
		errs = append(errs, err, d.Delete(t.Context(), uri))
		for _, r := range d.(drivers.Batcher).GetBatch(t.Context(), []drivers.GetRequest{{URI: uri, MaxBytes: 10}, {URI: uri, MaxBytes: 10}}) {
			errs = append(errs, r.Err)
		}
		for _, err := range errs {
			wantKind(t, err, drivers.Temporary)
			if text := fmt.Sprintf("%v %+v", err, err); strings.Contains(text, password) {
				t.Errorf("the password stands in %s", text)
			}
		}
		server.Start(t)
		if got := readAll(t, d, uri); string(got) != "kept" {
			t.Errorf("%q after the restart", got)
		}
	}
}

// TestSourceCutOff: a source that ends with io.ErrUnexpectedEOF has not ended.
func TestSourceCutOff(t *testing.T) {
	eachDriver(t, func(t *testing.T, d drivers.Driver, _ exec) {
		for _, n := range []int64{0, 100, chunkBytes, chunkBytes + 100} {
			for _, cause := range []error{io.ErrUnexpectedEOF, fmt.Errorf("wrapped: %w", io.EOF)} {
				uri := uriOf(t, d, "cut off")
				_, err := d.Put(t.Context(), uri, drivers.Payload{Length: -1, Open: func(context.Context) (io.ReadCloser, error) {
					return io.NopCloser(io.MultiReader(&repeat{n}, failing{cause})), nil
				}})
				if !errors.Is(err, cause) {
					t.Errorf("after %d bytes: %v, want %v", n, err, cause)
				}
				_, err = d.Stat(t.Context(), uri)
				wantKind(t, err, drivers.NotFound)
			}
		}
	})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestTooLarge: what PostgreSQL cannot hold is said before it is sent.
func TestTooLarge(t *testing.T) {
	eachDriver(t, func(t *testing.T, d drivers.Driver, _ exec) {
		_, err := d.Put(t.Context(), uriOf(t, d, "x"), drivers.Payload{Length: 1 << 30, Open: func(context.Context) (io.ReadCloser, error) {
			return nil, errors.New("opened")
		}})
		wantKind(t, err, drivers.TooLarge)
	})
}

// TestLongBase64: of a text that the server cannot work on as a whole, the
// length is still told.
func TestLongBase64(t *testing.T) {
	base, run := freshPostgres(t)
	d := mustOpen(t, openers()[0], base)
	const lines = 3_500_000 // 269,500,000 characters
	for end, n := range map[string]int64{"": 57 * lines, "AA==\n": 57*lines + 1} {
		run(t, `INSERT INTO archive_document (bucket, "archiveId", "userId", "documentName", jsondata, b64_encoded)
			VALUES ('manifest_data', 'x', 'admin', 'x.json', repeat(repeat('A', 76) || E'\n', $1) || $2, true)`, lines, end)
		uri := uriOf(t, d, "x")
		if info, err := d.Stat(t.Context(), uri); err != nil || info.Bytes != n {
			t.Errorf("stat: %+v, %v, want %d bytes", info, err, n)
		}
		r := d.(drivers.Batcher).GetBatch(t.Context(), []drivers.GetRequest{{URI: uri, MaxBytes: 1 << 20}})[0]
		wantKind(t, r.Err, drivers.TooLarge)
		if r.Info.Bytes != n {
			t.Errorf("batch: %+v, want %d bytes", r.Info, n)
		}
		err := d.(drivers.Lister).List(t.Context(), func(_ string, info drivers.Info) error {
			if info.Bytes != n {
				t.Errorf("list: %+v, want %d bytes", info, n)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		body, info, err := d.Get(t.Context(), uri)
		if err != nil || info.Bytes != n {
			t.Fatalf("get: %+v, %v, want %d bytes", info, err, n)
		}
		if end == "AA==\n" { // once is enough
			if got, err := io.Copy(io.Discard, body); err != nil || got != n {
				t.Errorf("get: %d bytes, %v, want %d", got, err, n)
			}
		}
		body.Close()
		if err := d.Delete(t.Context(), uri); err != nil {
			t.Error(err)
		}
	}
}
