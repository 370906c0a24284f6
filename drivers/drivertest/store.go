package drivertest

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kedge/kedge/drivers"
)

// patience is how long anything in the suite may hang before that is a failure.
const patience = 6 * time.Minute

// store is one opened store in one test.
type store struct {
	*testing.T
	b   Backend
	d   drivers.Driver
	ctx context.Context
}

// open opens a fresh store for a test and closes it at its end.
func open(t *testing.T, b Backend) *store {
	t.Helper()
	return use(t, b, b.Open(t))
}

func use(t *testing.T, b Backend, d drivers.Driver) *store {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(func() {
		cancel()
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return &store{T: t, b: b, d: d, ctx: ctx}
}

// key is an ordinary key with this archive id.
func key(archiveID string) drivers.Key {
	return drivers.Key{UserID: "admin", Bucket: "manifest_data", ArchiveID: archiveID}
}

// uri is the URI of an ordinary key.
func (s *store) uri(archiveID string) string {
	s.Helper()
	uri, err := s.d.URI(key(archiveID))
	if err != nil {
		s.Fatalf("URI(%q): %v", archiveID, err)
	}
	return uri
}

// put stores body from memory.
func (s *store) put(uri string, body []byte) {
	s.Helper()
	var receipt drivers.Receipt
	err := settled(s.ctx, func() (err error) {
		receipt, err = s.d.Put(s.ctx, uri, drivers.InMemory(body, md5Hex(body)))
		return err
	})
	if err != nil {
		s.checkError(err, uri)
		s.Fatalf("put %q: %v", uri, err)
	}
	s.checkReceipt(receipt, md5Hex(body), int64(len(body)))
}

// checkReceipt demands a receipt for what was sent.
func (s *store) checkReceipt(r drivers.Receipt, md5 string, length int64) {
	s.Helper()
	if r.Bytes != length {
		s.Errorf("Receipt.Bytes is %d, sent were %d", r.Bytes, length)
	}
	if r.MD5 != md5 {
		s.Errorf("Receipt.MD5 is %q, that of what was sent is %q", r.MD5, md5)
	}
	if r.ProvenMD5 != "" && r.ProvenMD5 != md5 {
		s.Errorf("Receipt.ProvenMD5 is %q, that of what was sent is %q", r.ProvenMD5, md5)
	}
}

// checkInfo demands a true Info.
func (s *store) checkInfo(op string, info drivers.Info, md5 string, length int64) {
	s.Helper()
	if info.Bytes != length {
		s.Errorf("%s: Info.Bytes is %d, want %d", op, info.Bytes, length)
	}
	if info.MD5 != "" && info.MD5 != md5 {
		s.Errorf("%s: Info.MD5 is %q, want %q or none", op, info.MD5, md5)
	}
}

// read reads a payload to its end and gives its MD5 and length, having checked
// that they agree with Info.
func (s *store) read(uri string) (string, int64, error) {
	s.Helper()
	info, md5, n, err := s.readAll(uri)
	if err == nil {
		s.checkInfo("get", info, md5, n)
	}
	return md5, n, err
}

// readAll reads a payload to its end and gives what was told of it, its MD5 and
// its length.
func (s *store) readAll(uri string) (drivers.Info, string, int64, error) {
	s.Helper()
	body, info, err := s.get(uri)
	if err != nil {
		return info, "", 0, err
	}
	md5, n, err := digest(body)
	if cerr := body.Close(); cerr != nil {
		s.Errorf("get %q: close: %v", uri, cerr)
	}
	return info, md5, n, err
}

// holds demands that exactly this payload is stored under uri.
func (s *store) holds(uri string, body []byte) {
	s.Helper()
	s.holdsDigest(uri, md5Hex(body), int64(len(body)))
}

func (s *store) holdsDigest(uri, md5 string, length int64) {
	s.Helper()
	got, n, err := s.read(uri)
	switch {
	case err != nil:
		s.Errorf("get %q: %v", uri, err)
	case got != md5 || n != length:
		s.Errorf("get %q: %d bytes with MD5 %s, want %d with %s", uri, n, got, length, md5)
	}
	info, err := s.stat(uri)
	if err != nil {
		s.Errorf("stat %q: %v", uri, err)
		return
	}
	s.checkInfo("stat", info, md5, length)
}

// get opens a payload.
func (s *store) get(uri string) (body io.ReadCloser, info drivers.Info, err error) {
	err = settled(s.ctx, func() error {
		body, info, err = s.d.Get(s.ctx, uri)
		return err
	})
	return body, info, err
}

// stat tells a payload's length.
func (s *store) stat(uri string) (info drivers.Info, err error) {
	err = settled(s.ctx, func() error {
		info, err = s.d.Stat(s.ctx, uri)
		return err
	})
	return info, err
}

// delete removes a payload.
func (s *store) delete(uri string) error {
	return settled(s.ctx, func() error { return s.d.Delete(s.ctx, uri) })
}

// remove deletes payloads in one batch.
func (s *store) remove(batcher drivers.Batcher, uris []string) (errs []error) {
	_ = settled(s.ctx, func() error {
		errs = batcher.DeleteBatch(s.ctx, uris)
		return temporary(errs)
	})
	return errs
}

// temporary is the first error of this kind.
func temporary(errs []error) error {
	for _, err := range errs {
		if drivers.KindOf(err) == drivers.Temporary {
			return err
		}
	}
	return nil
}

// misses demands that nothing is stored under uri.
func (s *store) misses(uri string) {
	s.Helper()
	body, _, err := s.get(uri)
	if err == nil {
		_, n, rerr := digest(body)
		body.Close()
		s.Errorf("get %q: found %d bytes (%v) where nothing should be", uri, n, rerr)
	} else {
		s.wantKind(err, uri, drivers.NotFound)
	}
	if _, err = s.stat(uri); err == nil {
		s.Errorf("stat %q: found where nothing should be", uri)
	} else {
		s.wantKind(err, uri, drivers.NotFound)
	}
}

// wantKind demands a well-made error of one of these kinds.
func (s *store) wantKind(err error, uri string, kinds ...drivers.Kind) {
	s.Helper()
	if err == nil {
		s.Errorf("%q: no error, want kind %v", uri, kinds)
		return
	}
	s.checkError(err, uri)
	got := drivers.KindOf(err)
	for _, kind := range kinds {
		if got == kind {
			return
		}
	}
	s.Errorf("%q: error of kind %d, want %d: %v", uri, got, kinds, err)
}

// checkError demands what holds for every error: a *drivers.Error, one line
// apart from the URI itself, that names the URI and no secret.
func (s *store) checkError(err error, uri string) {
	s.Helper()
	var typed *drivers.Error
	if !errors.As(err, &typed) {
		s.Errorf("%q: not a *drivers.Error: %v (%T)", uri, err, err)
		return
	}
	if typed.Op == "" || typed.Err == nil {
		s.Errorf("%q: an error without Op or Err: %#v", uri, typed)
		return
	}
	text := err.Error()
	quoted := strconv.Quote(uri)
	if uri != "" && !strings.Contains(text, uri) && !strings.Contains(text, quoted[1:len(quoted)-1]) {
		s.Errorf("an error that does not name %q: %s", uri, text)
	}
	if rest := strings.ReplaceAll(text, uri, ""); uri != "" && strings.ContainsAny(rest, "\r\n") {
		s.Errorf("an error of several lines: %q", text)
	}
	s.checkSecrets("an error", text)
}

// checkSecrets demands that no secret stands in text.
func (s *store) checkSecrets(what, text string) {
	s.Helper()
	for _, secret := range s.b.Secrets {
		if secret != "" && strings.Contains(text, secret) {
			s.Errorf("%s holds a secret: %s", what, strings.ReplaceAll(text, secret, "(SECRET)"))
		}
	}
}

// noLeftovers demands that a failed Put has left nothing at the backend.
func (s *store) noLeftovers() {
	s.Helper()
	if s.b.Leftovers == nil {
		return
	}
	if left := s.b.Leftovers(s.T, s.d); len(left) > 0 {
		s.Errorf("left behind at the backend: %q", left)
	}
}

// allClosed demands that every reader opened by Put has been closed.
func (s *store) allClosed(src *source) {
	s.Helper()
	if src == nil {
		return
	}
	if opened, closed := src.opened.Load(), src.closed.Load(); opened != closed {
		s.Errorf("Put opened the payload %d times and closed it %d times", opened, closed)
	}
}

// settled calls op until it returns something else than a Temporary error, at
// most 6 times, because a driver does only one attempt: where many operations
// meet on one key, a server may turn some away, and it may close a connection
// just when the next request is on its way.
func settled(ctx context.Context, op func() error) error {
	var err error
	for attempt := range 6 {
		if err = op(); drivers.KindOf(err) != drivers.Temporary {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond << attempt):
		}
	}
	return err
}

// within fails the test when op does not return in time.
func (s *store) within(what string, op func()) {
	s.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		op()
	}()
	select {
	case <-done:
	case <-time.After(patience):
		s.Fatalf("%s: hangs", what)
	}
}

// drain reads r to its end and closes it.
func drain(r io.ReadCloser) (string, int64, error) {
	md5, n, err := digest(r)
	if cerr := r.Close(); err == nil {
		err = cerr
	}
	return md5, n, err
}
