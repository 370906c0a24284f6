package drivertest_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/drivertest"
)

// memory is the shortest driver there is: it keeps payloads in a map. Whoever
// writes a driver may begin with it.
type memory struct {
	prefix string
	mu     sync.Mutex
	held   map[string]payload // by URI
}

type payload struct {
	bytes []byte
	info  drivers.Info
}

func (m *memory) Name() string   { return "memory" }
func (m *memory) Prefix() string { return m.prefix }
func (m *memory) Scheme() string { return "memory://" }
func (m *memory) Place() string  { return m.prefix }
func (m *memory) Close() error   { return nil }

func (m *memory) Capabilities() drivers.Capabilities {
	return drivers.Capabilities{Compresses: true, StreamBytes: 1 << 20, GetStreamBytes: 1 << 10, Workers: 4}
}

// URI refuses a "/" where it would make two keys equal.
func (m *memory) URI(k drivers.Key) (string, error) {
	if strings.Contains(k.UserID+k.Bucket, "/") {
		return "", failure("uri", k.String(), drivers.InvalidKey, errors.New(`a "/" in the user or the bucket`))
	}
	return m.prefix + k.UserID + "/" + k.Bucket + "/" + k.ArchiveID, nil
}

func (m *memory) Get(ctx context.Context, uri string) (io.ReadCloser, drivers.Info, error) {
	p, err := m.find(ctx, "get", uri)
	if err != nil {
		return nil, drivers.Info{}, err
	}
	return io.NopCloser(&reader{ctx, uri, bytes.NewReader(p.bytes)}), p.info, nil
}

func (m *memory) Put(ctx context.Context, uri string, p drivers.Payload) (drivers.Receipt, error) {
	if err := m.mine(ctx, "put", uri); err != nil {
		return drivers.Receipt{}, err
	}
	body, err := read(ctx, p)
	if err != nil {
		return drivers.Receipt{}, failure("put", uri, drivers.Other, err)
	}
	sum := md5.Sum(body)
	digest := hex.EncodeToString(sum[:])
	switch n := int64(len(body)); {
	case p.Length >= 0 && n != p.Length:
		return drivers.Receipt{}, failure("put", uri, drivers.Corrupt, fmt.Errorf("%d bytes came, %d were announced", n, p.Length))
	case p.MD5 != "" && digest != p.MD5:
		return drivers.Receipt{}, failure("put", uri, drivers.Corrupt, fmt.Errorf("what came has MD5 %s, not %s", digest, p.MD5))
	}
	info := drivers.Info{Bytes: int64(len(body)), MD5: digest, Modified: time.Now()}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held[uri] = payload{body, info}
	return drivers.Receipt{Bytes: info.Bytes, MD5: digest, ProvenMD5: digest}, nil
}

func (m *memory) Stat(ctx context.Context, uri string) (drivers.Info, error) {
	p, err := m.find(ctx, "stat", uri)
	return p.info, err
}

func (m *memory) Delete(ctx context.Context, uri string) error {
	if err := m.mine(ctx, "delete", uri); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.held, uri)
	return nil
}

// find gives what is held under a URI.
func (m *memory) find(ctx context.Context, op, uri string) (payload, error) {
	if err := m.mine(ctx, op, uri); err != nil {
		return payload{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.held[uri]
	if !ok {
		return payload{}, failure(op, uri, drivers.NotFound, errors.New("no such payload"))
	}
	return p, nil
}

// mine refuses what URI cannot have made, and an operation that is over before it
// has begun.
func (m *memory) mine(ctx context.Context, op, uri string) error {
	if err := ctx.Err(); err != nil {
		return failure(op, uri, drivers.Other, err)
	}
	if !strings.HasPrefix(uri, m.prefix) || strings.Count(uri[len(m.prefix):], "/") < 2 {
		return failure(op, uri, drivers.InvalidKey, errors.New("not a URI of this store"))
	}
	return nil
}

// read reads a payload to its end.
func read(ctx context.Context, p drivers.Payload) ([]byte, error) {
	if !p.Streamed() {
		return bytes.Clone(p.Bytes), nil
	}
	source, err := p.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	body, err := io.ReadAll(source)
	if err == nil {
		err = ctx.Err()
	}
	return body, err
}

// reader ends with its context.
type reader struct {
	ctx  context.Context
	uri  string
	body io.Reader
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, failure("get", r.uri, drivers.Other, err)
	}
	return r.body.Read(p)
}

func failure(op, uri string, kind drivers.Kind, err error) error {
	return &drivers.Error{Op: op, URI: uri, Kind: kind, Err: err}
}

// TestMemory runs the suite against it.
func TestMemory(t *testing.T) {
	stores := 0
	open := func() drivers.Driver {
		stores++
		return &memory{prefix: fmt.Sprintf("memory://%d/", stores), held: map[string]payload{}}
	}
	drivertest.Run(t, drivertest.Backend{
		Open:       func(testing.TB) drivers.Driver { return open() },
		OpenBeside: func(testing.TB, drivers.Driver) drivers.Driver { return open() },
		Refuses:    func(k drivers.Key) bool { return strings.Contains(k.UserID+k.Bucket, "/") },
		InMemory:   true,
	})
}
