package s3

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/iotest"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
)

// unproven is a payload whose MD5, which may be another one, the caller compares.
func unproven(body []byte, digest string) drivers.Payload {
	return drivers.Payload{Bytes: body, Length: int64(len(body)), MD5: digest, ReadBack: true}
}

// asked puts what a migration's probe puts.
func asked(t *testing.T, s *Store) {
	t.Helper()
	probe := []byte("probe")
	if _, err := s.Put(t.Context(), uriOf(t, s, "probe"), unproven(probe, md5Hex(probe))); err != nil {
		t.Fatal(err)
	}
	mustHold(t, s, uriOf(t, s, "probe"), probe)
}

// What the caller compares is stored without being compared by the server, but
// only where nothing is; what is there is replaced only by what is right.
func TestPutWhereNothingIs(t *testing.T) {
	body, other := noise(1, 100_000), noise(2, 100_000)
	onEach(t, func(t *testing.T, server *testenv.S3Server) {
		s := fresh(t, server)
		asked(t, s)
		if s.heed.state.Load() != heedPaid {
			t.Fatal("the server was not found to heed If-None-Match and the checksum")
		}
		uri := uriOf(t, s, "doc")
		receipt, err := s.Put(t.Context(), uri, unproven(body, md5Hex(other)))
		if want := (drivers.Receipt{Bytes: 100_000, MD5: md5Hex(other), ProvenMD5: md5Hex(body), Version: receipt.Version}); err != nil || receipt != want {
			t.Fatalf("where nothing is: %+v, %v, want %+v", receipt, err, want)
		}
		mustHold(t, s, uri, body)
		if _, err := s.Put(t.Context(), uri, unproven(noise(3, 100_000), md5Hex(other))); drivers.KindOf(err) != drivers.Corrupt {
			t.Errorf("what is wrong, where something is: %v", err)
		}
		mustHold(t, s, uri, body)
		if receipt, err := s.Put(t.Context(), uri, unproven(other, md5Hex(other))); err != nil || receipt.ProvenMD5 != md5Hex(other) {
			t.Errorf("what is right, where something is: %+v, %v", receipt, err)
		}
		mustHold(t, s, uri, other)
		if _, err := s.Put(t.Context(), uriOf(t, s, "short"), unproven([]byte("short"), md5Hex(other))); drivers.KindOf(err) != drivers.Corrupt {
			t.Errorf("a short one: %v", err)
		}
	})
}

// A connection that breaks in the middle of a body leaves nothing.
func TestABodyThatBreaksOff(t *testing.T) {
	body := noise(1, 2_000_000)
	onEach(t, func(t *testing.T, server *testenv.S3Server) {
		s := fresh(t, server)
		uri := uriOf(t, s, "doc")
		loc, _ := split(uri)
		c := conditions{crc32c: crc32c(body), vacant: true}
		broken := io.NopCloser(io.MultiReader(bytes.NewReader(body[:1_500_000]), iotest.ErrReader(errors.New("broken off"))))
		if _, err := s.direct.putStream(t.Context(), loc, broken, int64(len(body)), "", c, s.attributes); err == nil {
			t.Error("no error")
		}
		for range 20 {
			if _, err := s.Stat(t.Context(), uri); drivers.KindOf(err) != drivers.NotFound {
				t.Fatalf("something is left: %v", err)
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
}

// A server that passes over the condition, or refuses what comes without a
// Content-MD5, gets one with every payload.
func TestServersThatHeedNothing(t *testing.T) {
	body := noise(1, 100_000)
	server := testenv.MinIO(t)
	for name, c := range map[string]struct {
		instead func(w http.ResponseWriter, r *http.Request) bool
		without int // puts without a Content-MD5
	}{
		"it replaces": {func(w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("If-None-Match") == "" {
				return false
			}
			w.Header().Set("ETag", `"0123456789abcdef0123456789abcdef"`)
			return true
		}, 0},
		"it does not know such a header": {func(w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("If-None-Match") == "" {
				return false
			}
			w.WriteHeader(http.StatusNotImplemented)
			return true
		}, 0},
		"it does not know of the checksum": {func(w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("X-Amz-Checksum-Crc32c") == "" {
				return false
			}
			w.Header().Set("ETag", `"0123456789abcdef0123456789abcdef"`)
			return true
		}, 0},
		"it wants a Content-MD5": {func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPut || r.Header.Get("Content-MD5") != "" {
				return false
			}
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `<Error><Code>InvalidRequest</Code><Message>Content-MD5 is required</Message></Error>`)
			return true
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFront(t, server)
			o := optionsFor(server, server.Bucket(t))
			o.URL = f.plain.URL
			s := opened(t, o)
			f.answer(c.instead)
			asked(t, s)
			for _, id := range []string{"one", "two", "three"} {
				uri := uriOf(t, s, id)
				receipt, err := s.Put(t.Context(), uri, unproven(body, md5Hex(body)))
				if err != nil || receipt.ProvenMD5 != md5Hex(body) {
					t.Errorf("%+v, %v", receipt, err)
				}
				mustHold(t, s, uri, body)
			}
			bare := f.requests(func(r request) bool { return r.Method == http.MethodPut && r.Header.Get("Content-MD5") == "" })
			if len(bare) != c.without {
				t.Errorf("%d puts without a Content-MD5, want %d", len(bare), c.without)
			}
		})
	}
}

// Without the MD5 the CRC32C goes with what is in memory: the server refuses what
// was damaged on its way.
func TestTheChecksumThatTravels(t *testing.T) {
	onEach(t, func(t *testing.T, server *testenv.S3Server) {
		s := fresh(t, server)
		body := noise(1, 100_000)
		loc, _ := split(uriOf(t, s, "doc"))
		_, err := s.direct.put(t.Context(), loc, body, conditions{crc32c: crc32c(body[1:]), vacant: true}, s.attributes)
		if drivers.KindOf(s.fail("put", "", err)) != drivers.Corrupt {
			t.Errorf("another checksum: %v", err)
		}
		if _, err := s.direct.put(t.Context(), loc, body, conditions{crc32c: crc32c(body), vacant: true}, s.attributes); err != nil {
			t.Errorf("its own: %v", err)
		}
	})
}
