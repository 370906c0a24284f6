package forms

import (
	"bytes"
	stdzlib "compress/zlib"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
)

func stdDeflate(t testing.TB, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := stdzlib.NewWriter(&b)
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func stdInflate(t testing.TB, payload []byte) []byte {
	t.Helper()
	r, err := stdzlib.NewReader(bytes.NewReader(payload))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

func noise(n int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.IntN(7)) // compresses, but not to nothing
	}
	return b
}

func TestZlibRoundTrips(t *testing.T) {
	for _, n := range []int{0, 1, 100, ChunkBytes - 1, ChunkBytes, ChunkBytes + 1, 3*ChunkBytes + 17} {
		plain := noise(n)
		payload, err := Deflate(plain)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(stdInflate(t, payload), plain) {
			t.Errorf("%d bytes: the standard library reads other bytes", n)
		}
		got, _, bytesHeld, err := Inflate(stdDeflate(t, plain), int64(n))
		if err != nil || bytesHeld != int64(n) || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: inflate gave %d bytes, %v", n, bytesHeld, err)
		}
		if n > 0 {
			got, _, bytesHeld, err = Inflate(payload, int64(n)-1)
			if err != nil || bytesHeld != int64(n) || got != nil {
				t.Errorf("%d bytes: beyond the limit inflate must only count: %d held, %d, %v", n, len(got), bytesHeld, err)
			}
		}
		streamed, err := io.ReadAll(NewInflateReader(io.NopCloser(iotest.HalfReader(bytes.NewReader(payload)))))
		if err != nil || !bytes.Equal(streamed, plain) {
			t.Errorf("%d bytes: InflateReader: %v", n, err)
		}
		d := NewDeflateReader(io.NopCloser(iotest.HalfReader(bytes.NewReader(plain))))
		streamed, err = io.ReadAll(d)
		if err != nil || !bytes.Equal(stdInflate(t, streamed), plain) {
			t.Errorf("%d bytes: DeflateReader: %v", n, err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestUnsoundZlibIsNamed(t *testing.T) {
	sound := stdDeflate(t, noise(10000))
	flipped := bytes.Clone(sound)
	flipped[len(flipped)/2] ^= 0xff
	for name, payload := range map[string][]byte{
		"nothing": nil, "one byte": sound[:1], "no checksum": sound[:len(sound)-4], "half": sound[:len(sound)/2],
		"a flipped byte": flipped, "plain text": []byte(`{"document": {}}`), "a wrong checksum": append(bytes.Clone(sound[:len(sound)-1]), ^sound[len(sound)-1]),
	} {
		if _, _, _, err := Inflate(payload, 1<<20); !errors.Is(err, ErrZlib) {
			t.Errorf("%s: inflate: %v", name, err)
		}
		if _, err := io.Copy(io.Discard, NewInflateReader(io.NopCloser(bytes.NewReader(payload)))); !errors.Is(err, ErrZlib) {
			t.Errorf("%s: InflateReader: %v", name, err)
		}
	}
}

// What the source itself fails with is not the payload's fault.
func TestTheSourcesErrorIsPassedOn(t *testing.T) {
	broken := errors.New("connection reset")
	for _, n := range []int{0, 1, 20, 5000} {
		source := io.MultiReader(bytes.NewReader(stdDeflate(t, noise(100000))[:n]), iotest.ErrReader(broken))
		if _, err := io.Copy(io.Discard, NewInflateReader(io.NopCloser(source))); !errors.Is(err, broken) || errors.Is(err, ErrZlib) {
			t.Errorf("inflateReader after %d bytes: %v", n, err)
		}
		source = io.MultiReader(strings.NewReader("some text"), iotest.ErrReader(broken))
		if _, err := io.Copy(io.Discard, NewDeflateReader(io.NopCloser(source))); !errors.Is(err, broken) {
			t.Errorf("deflateReader: %v", err)
		}
	}
}

// A checksum behind the end of the zlib stream must still be looked at.
func TestTheSourceIsReadToItsEnd(t *testing.T) {
	late := errors.New("the digest is wrong")
	source := io.MultiReader(bytes.NewReader(stdDeflate(t, noise(1000))), iotest.ErrReader(late))
	if _, err := io.Copy(io.Discard, NewInflateReader(io.NopCloser(source))); !errors.Is(err, late) {
		t.Errorf("got %v", err)
	}
}

func FuzzInflate(f *testing.F) {
	sound := stdDeflate(f, noise(300))
	f.Add(sound, int64(1000))
	f.Add(sound[:20], int64(10))
	f.Add([]byte{0x78, 0x5e, 1, 0, 0, 0xff, 0xff}, int64(0))
	f.Fuzz(func(t *testing.T, payload []byte, limit int64) {
		if len(payload) > 1<<16 {
			return
		}
		limit = max(0, min(limit, 1<<20))
		plain, _, n, err := Inflate(payload, limit)
		streamed, serr := io.Copy(io.Discard, NewInflateReader(io.NopCloser(bytes.NewReader(payload))))
		if (err == nil) != (serr == nil) || err == nil && n != streamed {
			t.Errorf("inflate: %d bytes, %v; InflateReader: %d bytes, %v", n, err, streamed, serr)
		}
		if err == nil && n <= limit && int64(len(plain)) != n || n > limit && plain != nil {
			t.Errorf("%d bytes held of %d with a limit of %d", len(plain), n, limit)
		}
	})
}
