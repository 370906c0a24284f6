package db

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"io"
	"time"

	"github.com/kedge/kedge/drivers"
)

func (s *store) Get(ctx context.Context, uri string) (io.ReadCloser, drivers.Info, error) {
	key, err := s.key("get", uri)
	if err != nil {
		return nil, drivers.Info{}, err
	}
	r, info, err := s.get(ctx, key)
	if err != nil {
		return nil, drivers.Info{}, fail(ctx, "get", uri, err)
	}
	return &reader{ctx: ctx, uri: uri, r: r, left: info.Bytes}, info, nil
}

// get tells no version of a payload that is read piece by piece: another one may
// have taken its place before it is.
func (s *store) get(ctx context.Context, key drivers.Key) (io.ReadCloser, drivers.Info, error) {
	f, err := s.one(ctx, key, inlineBytes)
	switch {
	case err != nil:
		return nil, drivers.Info{}, err
	case f.data == nil:
		r, n, err := s.table.stream(ctx, key)
		return r, drivers.Info{Bytes: n}, err
	}
	return &inline{data: f.data}, drivers.Info{Bytes: f.bytes, Version: f.version}, nil
}

// one reads one payload that is there.
func (s *store) one(ctx context.Context, key drivers.Key, limit int64) (found, error) {
	all, err := s.table.read(ctx, []drivers.Key{key}, []int64{limit})
	if err != nil {
		return found{}, err
	}
	f, ok := all[0]
	switch {
	case !ok:
		return f, errMissing
	case f.err != nil:
		return f, f.err
	case f.null:
		return f, errNull
	}
	return f, nil
}

// Stat tells a payload's length. Info.Modified is last_updated, which is the clock
// of whoever wrote the row.
func (s *store) Stat(ctx context.Context, uri string) (drivers.Info, error) {
	key, err := s.key("stat", uri)
	if err != nil {
		return drivers.Info{}, err
	}
	f, err := s.one(ctx, key, -1)
	if err != nil {
		return drivers.Info{}, fail(ctx, "stat", uri, err)
	}
	info := drivers.Info{Bytes: f.bytes, Version: f.version}
	seconds, err := s.table.updated(ctx, key)
	if err != nil {
		return drivers.Info{}, fail(ctx, "stat", uri, err)
	}
	if seconds != nil {
		info.Modified = time.Unix(*seconds, 0)
	}
	return info, nil
}

func (s *store) Put(ctx context.Context, uri string, p drivers.Payload) (drivers.Receipt, error) {
	key, err := s.key("put", uri)
	if err != nil {
		return drivers.Receipt{}, err
	}
	var r drivers.Receipt
	if p.Streamed() {
		r, err = s.putStream(ctx, key, p)
	} else {
		r, err = s.putBytes(ctx, key, p.Bytes, p.MD5)
	}
	if err != nil {
		return drivers.Receipt{}, fail(ctx, "put", uri, err)
	}
	return r, nil
}

func (s *store) putBytes(ctx context.Context, key drivers.Key, data []byte, announced string) (drivers.Receipt, error) {
	r, err := s.receipt(data, announced)
	if err != nil {
		return r, err
	}
	proofs, err := s.table.write(ctx, []item{{key, data}})
	if err != nil {
		return r, err
	}
	r.ProvenMD5, r.Version = proofs[0].md5, proofs[0].version
	return r, proven(r)
}

// receipt is what can be said of a payload in memory before it is sent.
func (s *store) receipt(data []byte, announced string) (drivers.Receipt, error) {
	if int64(len(data)) > s.maxBytes {
		return drivers.Receipt{}, s.tooLong(int64(len(data)))
	}
	sum := md5.Sum(data)
	r := drivers.Receipt{Bytes: int64(len(data)), MD5: hex.EncodeToString(sum[:])}
	return r, checkMD5(announced, r.MD5)
}

// proven says whether the database holds what was sent, as far as it can tell.
func proven(r drivers.Receipt) error { return checkMD5(r.ProvenMD5, r.MD5) }

// putStream reads a piece of the payload before it asks for a connection: the
// source may need one of the same pool.
func (s *store) putStream(ctx context.Context, key drivers.Key, p drivers.Payload) (r drivers.Receipt, err error) {
	if p.Length > s.maxBytes {
		return r, s.tooLong(p.Length)
	}
	source, err := p.Open(ctx)
	if err != nil {
		return r, sourceError{err}
	}
	defer source.Close()
	size := int64(chunkBytes)
	if p.Length >= 0 {
		size = min(size, p.Length+1) // one more, to see the end
	}
	rest := newIntake(source, p, s.maxBytes)
	first := make([]byte, size)
	n, err := rest.next(ctx, first)
	if err != nil {
		return r, err
	}
	first = first[:n]
	if rest.ended {
		return s.putBytes(ctx, key, first, p.MD5)
	}
	proof, err := s.table.writeStream(ctx, key, first, rest)
	if err != nil {
		return r, err
	}
	r = drivers.Receipt{Bytes: rest.n, MD5: rest.md5(), ProvenMD5: proof.md5, Version: proof.version}
	return r, proven(r)
}

func (s *store) Delete(ctx context.Context, uri string) error {
	key, err := s.key("delete", uri)
	if err != nil {
		return err
	}
	if err := s.table.remove(ctx, []drivers.Key{key}); err != nil {
		return fail(ctx, "delete", uri, err)
	}
	return nil
}

// listPage is how many rows List asks for at once, provenPage how many ListProven:
// the database answers when it has read all of them.
const (
	listPage   = 1000
	provenPage = 100
)

// List reads page by page, so that fn may use the store.
func (s *store) List(ctx context.Context, fn func(uri string, info drivers.Info) error) error {
	return s.list(ctx, listPage, false, fn)
}

// ListProven has PostgreSQL compute the MD5s; from an SQLite file the payloads are
// read. A payload whose base64 text is not sound has none.
func (s *store) ListProven(ctx context.Context, fn func(uri string, info drivers.Info) error) error {
	return s.list(ctx, provenPage, true, fn)
}

func (s *store) list(ctx context.Context, rows int, proven bool, fn func(uri string, info drivers.Info) error) error {
	var after *drivers.Key
	for {
		entries, err := s.table.page(ctx, after, rows, proven)
		if err != nil {
			return fail(ctx, "list", s.place, err)
		}
		for _, e := range entries {
			uri, err := s.URI(e.key)
			if err != nil {
				continue // its URI would be another key's
			}
			if err := fn(uri, drivers.Info{Bytes: e.bytes, MD5: e.md5, Version: e.version}); err != nil {
				return err
			}
		}
		if len(entries) < rows {
			return nil
		}
		after = &entries[len(entries)-1].key
	}
}
