package drivertest

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/kedge/kedge/drivers"
)

// testIdentity checks what a store says of itself.
func testIdentity(t *testing.T, b Backend) {
	s := open(t, b)
	if s.d.Name() == "" {
		t.Error("Name is empty")
	}
	scheme, prefix := s.d.Scheme(), s.d.Prefix()
	if !strings.HasSuffix(scheme, "://") || strings.Count(scheme, "/") != 2 {
		t.Errorf("Scheme %q does not end in its only ://", scheme)
	}
	if !strings.HasPrefix(prefix, scheme) {
		t.Errorf("Prefix %q does not begin with Scheme %q", prefix, scheme)
	}
	for _, id := range []string{"a", "b", strings.Repeat("x", 200)} {
		uri := s.uri(id)
		if !strings.HasPrefix(uri, prefix) || uri == prefix {
			t.Errorf("URI %q does not begin with Prefix %q", uri, prefix)
		}
		if again := s.uri(id); again != uri {
			t.Errorf("URI differs from call to call: %q and %q", uri, again)
		}
	}
	place := s.d.Place()
	if place == "" || strings.ContainsAny(place, "\r\n") {
		t.Errorf("Place %q is not one line", place)
	}
	s.checkSecrets("Place", place)
	s.checkSecrets("Prefix", prefix)

	c := s.d.Capabilities()
	if c != s.d.Capabilities() {
		t.Error("Capabilities change")
	}
	if c.Workers <= 0 || c.StreamBytes <= 0 || c.GetStreamBytes <= 0 {
		t.Errorf("Capabilities.Workers is %d and StreamBytes %d", c.Workers, c.StreamBytes)
	}
	if c.StreamBytes > memoryBudget {
		t.Errorf("Capabilities.StreamBytes is %d, more than %d", c.StreamBytes, memoryBudget)
	}
	_, batches := s.d.(drivers.Batcher)
	_, syncs := s.d.(drivers.Syncer)
	_, lists := s.d.(drivers.Lister)
	if (c.BatchGet || c.BatchPut || c.BatchDelete) && !batches {
		t.Error("Capabilities promise a Batcher")
	}
	if c.NeedsSync && !syncs {
		t.Error("Capabilities promise a Syncer")
	}
	if (c.Lists || c.ListTells) && !lists {
		t.Error("Capabilities promise a Lister")
	}
	if _, proves := s.d.(drivers.Prover); c.ListProves && !proves {
		t.Error("Capabilities promise a Prover")
	}
	if _, ranges := s.d.(drivers.Ranger); c.ListsRanges && !ranges {
		t.Error("Capabilities promise a Ranger")
	}
}

// testRoundtrip puts, reads and deletes every body in every form.
func testRoundtrip(t *testing.T, b Backend) {
	s := open(t, b)
	for name, body := range bodies() {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.T = t
			for _, f := range forms {
				uri := s.uri(name + "/" + f.name)
				payload, src := f.payload(body)
				receipt, err := s.d.Put(s.ctx, uri, payload)
				if err != nil {
					t.Fatalf("put %s: %v", f.name, err)
				}
				s.allClosed(src)
				s.checkReceipt(receipt, md5Hex(body), int64(len(body)))
				s.holds(uri, body)
				s.holds(uri, body)
				if err := s.delete(uri); err != nil {
					t.Fatalf("delete %s: %v", f.name, err)
				}
				s.misses(uri)
			}
		})
	}
	s.noLeftovers()
}

// testModified checks that what was put later is told to be no older: a migration
// tells by it what it has put itself.
func testModified(t *testing.T, b Backend) {
	s := open(t, b)
	var last time.Time
	for _, id := range []string{"first", "second", "first"} {
		uri := s.uri(id)
		s.put(uri, []byte(id))
		info, err := s.d.Stat(t.Context(), uri)
		if err != nil {
			t.Fatal(err)
		}
		if info.Modified.IsZero() || info.Modified.Before(last) || time.Since(info.Modified).Abs() > time.Hour {
			t.Errorf("%s was put at %v, what was put before it at %v", id, info.Modified, last)
		}
		last = info.Modified
	}
}

// testOverwrite replaces payloads by shorter, longer and empty ones.
func testOverwrite(t *testing.T, b Backend) {
	s := open(t, b)
	uri, other := s.uri("overwritten"), s.uri("bystander")
	bystander := []byte("untouched")
	s.put(other, bystander)
	for i, body := range [][]byte{
		randomBytes(1, 70_000), []byte("short"), {}, []byte("same size A"), []byte("same size B"),
		{0xff, 0, 0xfe}, []byte("text again"), randomBytes(2, 90_000),
	} {
		for _, f := range forms {
			payload, _ := f.payload(body)
			if _, err := s.d.Put(s.ctx, uri, payload); err != nil {
				t.Fatalf("put %d %s: %v", i, f.name, err)
			}
			s.holds(uri, body)
		}
	}
	s.holds(other, bystander)
	s.noLeftovers()
}

// testMissing checks what is done with payloads that are not there.
func testMissing(t *testing.T, b Backend) {
	s := open(t, b)
	for _, name := range []string{"never put", "never/put"} {
		uri := s.uri(name)
		s.misses(uri)
		for range 2 {
			if err := s.delete(uri); err != nil {
				t.Errorf("delete of a missing payload: %v", err)
			}
		}
	}
	uri := s.uri("put")
	s.put(uri, []byte("x"))
	for range 2 {
		if err := s.delete(uri); err != nil {
			t.Errorf("delete: %v", err)
		}
		s.misses(uri)
	}
	s.put(uri, []byte("back again"))
	s.holds(uri, []byte("back again"))
}

// testMalformedURI checks that what no store of this kind can have written is
// refused by every operation, and never taken for something else.
func testMalformedURI(t *testing.T, b Backend) {
	s := open(t, b)
	kept := s.uri("kept")
	s.put(kept, []byte("kept"))
	scheme := s.d.Scheme()
	for _, uri := range []string{
		"", "nonsense", "other-scheme://admin/manifest_data/kept", strings.TrimPrefix(kept, scheme),
		"x" + kept, scheme, strings.TrimSuffix(scheme, "/"), scheme + "admin",
	} {
		kinds := []drivers.Kind{drivers.InvalidKey, drivers.NotFound, drivers.Config}
		body, _, err := s.get(uri)
		if err == nil {
			body.Close()
		}
		s.wantKind(err, uri, kinds...)
		_, err = s.stat(uri)
		s.wantKind(err, uri, kinds...)
		_, err = s.d.Put(s.ctx, uri, drivers.InMemory([]byte("x"), md5Hex([]byte("x"))))
		s.wantKind(err, uri, drivers.InvalidKey, drivers.Config)
		if err := s.delete(uri); err != nil {
			s.wantKind(err, uri, kinds...)
		} else if !strings.HasPrefix(uri, scheme) {
			t.Errorf("delete %q: claims to have deleted what is not its own", uri)
		}
	}
	s.holds(kept, []byte("kept"))
}

// testEarlyClose gives readers up before their end, more often than a driver
// has connections.
func testEarlyClose(t *testing.T, b Backend) {
	s := open(t, b)
	uri, body := s.uri("half read"), randomBytes(9, 1<<20)
	s.put(uri, body)
	s.within("early close", func() {
		for i := range 100 {
			r, info, err := s.get(uri)
			if err != nil {
				t.Errorf("get %d: %v", i, err)
				return
			}
			s.checkInfo("get", info, md5Hex(body), int64(len(body)))
			if _, err := io.ReadFull(r, make([]byte, i)); err != nil {
				t.Errorf("read %d: %v", i, err)
			}
			r.Close()
		}
	})
	s.holds(uri, body)
	if err := s.delete(uri); err != nil {
		t.Error(err)
	}
	s.misses(uri)
}

// testCorrupted checks that a payload which rotted at the backend does not pass
// for the one that was put.
func testCorrupted(t *testing.T, b Backend) {
	if b.Corrupt == nil {
		return
	}
	s := open(t, b)
	for _, body := range [][]byte{[]byte("some text that will rot"), randomBytes(4, 300_000)} {
		uri := s.uri(md5Hex(body))
		s.put(uri, body)
		b.Corrupt(t, s.d, uri)
		r, info, err := s.get(uri)
		if err != nil {
			s.checkError(err, uri)
			continue
		}
		md5, n, err := drain(r)
		if err != nil {
			continue
		}
		if md5 == md5Hex(body) {
			t.Errorf("%d bytes came back as they were put: Corrupt does nothing", n)
		}
		s.checkInfo("get", info, md5, n)
	}
}

// testSync checks that Sync returns, alone and many at once.
func testSync(t *testing.T, b Backend) {
	s := open(t, b)
	syncer, ok := s.d.(drivers.Syncer)
	if !ok {
		return
	}
	if err := syncer.Sync(s.ctx); err != nil {
		t.Fatalf("sync of an empty store: %v", err)
	}
	errs := make(chan error)
	for i := range 16 {
		uri, body := s.uri(strings.Repeat("s", i+1)), randomBytes(byte(i), 5000)
		go func() {
			_, err := s.d.Put(s.ctx, uri, drivers.InMemory(body, md5Hex(body)))
			if err == nil {
				err = syncer.Sync(s.ctx)
			}
			errs <- err
		}()
	}
	for range 16 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	for i := range 16 {
		s.holds(s.uri(strings.Repeat("s", i+1)), randomBytes(byte(i), 5000))
	}
}
