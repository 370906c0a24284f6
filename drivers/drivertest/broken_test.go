package drivertest

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/kedge/kedge/drivers"
)

// flawed is a tiny driver that keeps payloads as files in a folder and its
// index in memory. Without a flaw it is right; each flaw breaks one promise.
type flawed struct {
	flaw string
	dir  string

	mu    sync.RWMutex
	index map[string]stored
	files int
	kept  [][]byte
}

type stored struct {
	file string
	info drivers.Info
}

func (d *flawed) has(flaw string) bool { return d.flaw == flaw }

func (d *flawed) Name() string   { return "flawed" }
func (d *flawed) Prefix() string { return "flawed://" + filepath.Base(d.dir) + "/" }
func (d *flawed) Scheme() string { return "flawed://" }
func (d *flawed) Close() error   { return nil }
func (d *flawed) String() string { return d.dir }
func (d *flawed) Place() string {
	if d.has("secret in place") {
		return d.Prefix() + "?password=hunter2"
	}
	return d.Prefix()
}

func (d *flawed) Capabilities() drivers.Capabilities {
	return drivers.Capabilities{Lists: true, BatchGet: true, StreamBytes: 1 << 20, GetStreamBytes: 1 << 20, Workers: 2}
}

func (d *flawed) URI(k drivers.Key) (string, error) {
	if d.has("colliding keys") {
		return d.Prefix() + k.UserID + "/" + k.Bucket + "/" + k.ArchiveID, nil
	}
	if d.has("folds case") {
		k.ArchiveID = strings.ToLower(k.ArchiveID)
	}
	if strings.Contains(k.UserID+k.Bucket, "/") {
		err := d.fail("uri", d.Prefix()+k.UserID, drivers.InvalidKey, errors.New("a slash"))
		if d.has("refuses with the wrong kind") {
			err = d.fail("uri", d.Prefix()+k.UserID, drivers.Other, errors.New("a slash"))
		}
		return "", err
	}
	return d.Prefix() + k.UserID + "/" + k.Bucket + "/" + k.ArchiveID, nil
}

func (d *flawed) fail(op, uri string, kind drivers.Kind, err error) error {
	if d.has("plain errors") {
		return err
	}
	if d.has("errors without uri") {
		uri = ""
	}
	return &drivers.Error{Op: op, URI: uri, Kind: kind, Err: err}
}

func (d *flawed) check(ctx context.Context, op, uri string) error {
	if err := ctx.Err(); err != nil && !d.has("ignores context") {
		return d.fail(op, uri, drivers.Other, err)
	}
	if !strings.HasPrefix(uri, d.Scheme()) || strings.Count(uri, "/") < 4 {
		return d.fail(op, uri, drivers.InvalidKey, errors.New("not mine"))
	}
	return nil
}

func (d *flawed) Put(ctx context.Context, uri string, p drivers.Payload) (receipt drivers.Receipt, err error) {
	if err := d.check(ctx, "put", uri); err != nil {
		return receipt, err
	}
	var body io.Reader = bytes.NewReader(p.Bytes)
	if p.Streamed() {
		opened, err := p.Open(ctx)
		if err != nil {
			return receipt, d.fail("put", uri, drivers.Other, err)
		}
		if !d.has("does not close") {
			defer opened.Close()
		}
		body = opened
	}
	if d.has("believes length") && p.Length >= 0 {
		body = io.LimitReader(body, p.Length)
	}
	if d.has("holds streams") {
		b, _ := io.ReadAll(body)
		d.kept = append(d.kept, b)
		body = bytes.NewReader(b)
	}
	d.mu.Lock()
	d.files++
	name := filepath.Join(d.dir, fmt.Sprint(d.files))
	d.mu.Unlock()
	file, err := os.Create(name)
	if err != nil {
		return receipt, d.fail("put", uri, drivers.Other, err)
	}
	defer file.Close()
	hash := md5.New()
	buf := make([]byte, 64<<10)
	for {
		n, rerr := body.Read(buf)
		hash.Write(buf[:n])
		file.Write(buf[:n])
		receipt.Bytes += int64(n)
		receipt.MD5 = hex.EncodeToString(hash.Sum(nil))
		if d.has("keeps partial streams") {
			d.store(uri, name, receipt)
		}
		if rerr == io.EOF {
			break
		}
		if rerr == nil {
			rerr = ctx.Err()
			if d.has("ignores context") {
				rerr = nil
			}
		}
		if rerr != nil {
			if d.has("loses the cause") {
				rerr = errors.New(rerr.Error())
			}
			return receipt, d.fail("put", uri, drivers.Other, rerr)
		}
	}
	if p.Length >= 0 && receipt.Bytes != p.Length && !d.has("ignores length") {
		return receipt, d.fail("put", uri, drivers.Corrupt, io.ErrUnexpectedEOF)
	}
	if p.MD5 != "" && receipt.MD5 != p.MD5 && !d.has("ignores MD5") {
		kind := drivers.Corrupt
		if d.has("wrong kinds") {
			kind = drivers.Temporary
		}
		return receipt, d.fail("put", uri, kind, errors.New("wrong digest"))
	}
	d.store(uri, name, receipt)
	if d.has("false proof") {
		receipt.ProvenMD5 = wrongMD5
	}
	return receipt, nil
}

func (d *flawed) store(uri, file string, r drivers.Receipt) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.index[uri]; ok && d.has("does not overwrite") {
		return
	}
	d.index[uri] = stored{file, drivers.Info{Bytes: r.Bytes, MD5: r.MD5, Modified: time.Now()}}
}

func (d *flawed) find(op, uri string) (stored, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	found, ok := d.index[uri]
	if !ok {
		kind := drivers.NotFound
		if d.has("wrong kinds") {
			kind = drivers.Other
		}
		return found, d.fail(op, uri, kind, errors.New("not there"))
	}
	return found, nil
}

func (d *flawed) Get(ctx context.Context, uri string) (io.ReadCloser, drivers.Info, error) {
	if err := d.check(ctx, "get", uri); err != nil {
		return nil, drivers.Info{}, err
	}
	found, err := d.find("get", uri)
	if err != nil {
		return nil, drivers.Info{}, err
	}
	f, err := os.Open(found.file)
	if err != nil {
		return nil, drivers.Info{}, d.fail("get", uri, drivers.Other, err)
	}
	body := readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil && !d.has("ignores context") {
			return 0, err
		}
		n, err := f.Read(p)
		if d.has("flips bytes") && n > 0 && found.info.Bytes > 50_000 {
			p[0] ^= 1
		}
		return n, err
	})
	return struct {
		io.Reader
		io.Closer
	}{body, f}, found.info, nil
}

func (d *flawed) Stat(ctx context.Context, uri string) (drivers.Info, error) {
	if err := d.check(ctx, "stat", uri); err != nil {
		return drivers.Info{}, err
	}
	found, err := d.find("stat", uri)
	if d.has("stat without length") {
		found.info.Bytes = 0
	}
	if d.has("stat without time") {
		found.info.Modified = time.Time{}
	}
	return found.info, err
}

func (d *flawed) Delete(ctx context.Context, uri string) error {
	if err := d.check(ctx, "delete", uri); err != nil {
		return err
	}
	_, err := d.find("delete", uri)
	if err != nil && d.has("delete of missing fails") {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.has("does not delete") {
		delete(d.index, uri)
	}
	return nil
}

func (d *flawed) List(ctx context.Context, fn func(string, drivers.Info) error) error {
	if err := ctx.Err(); err != nil && !d.has("ignores context") {
		return d.fail("list", d.Prefix(), drivers.Other, err)
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	n := 0
	for uri, found := range d.index {
		if n++; n > 1000 && d.has("lists one page") {
			return nil
		}
		if err := fn(uri, found.info); err != nil {
			return err
		}
	}
	return nil
}

func (d *flawed) GetBatch(ctx context.Context, requests []drivers.GetRequest) []drivers.GetResult {
	results := make([]drivers.GetResult, len(requests))
	for i, r := range requests {
		info, err := d.Stat(ctx, r.URI)
		results[i] = drivers.GetResult{Info: info, Err: err}
		if err != nil {
			continue
		}
		if info.Bytes > r.MaxBytes && !d.has("ignores MaxBytes") {
			results[i].Err = d.fail("get", r.URI, drivers.TooLarge, errors.New("too large"))
			continue
		}
		body, _, err := d.Get(ctx, r.URI)
		if err == nil {
			results[i].Payload, err = io.ReadAll(body)
			body.Close()
		}
		results[i].Err = err
	}
	if d.has("batch in wrong order") && len(results) > 1 {
		results[0], results[1] = results[1], results[0]
	}
	return results
}

func (d *flawed) PutBatch(ctx context.Context, requests []drivers.PutRequest) []drivers.PutResult {
	var results []drivers.PutResult
	for _, r := range requests {
		receipt, err := d.Put(ctx, r.URI, drivers.InMemory(r.Payload, r.MD5))
		results = append(results, drivers.PutResult{Receipt: receipt, Err: err})
		if err != nil && d.has("batch stops at the first error") {
			for len(results) < len(requests) {
				results = append(results, drivers.PutResult{Err: err})
			}
			break
		}
	}
	return results
}

func (d *flawed) DeleteBatch(ctx context.Context, uris []string) []error {
	errs := make([]error, len(uris))
	for i, uri := range uris {
		errs[i] = d.Delete(ctx, uri)
	}
	return errs
}
