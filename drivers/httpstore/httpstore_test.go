package httpstore

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/kedge/kedge/drivers"
)

func TestVerdicts(t *testing.T) {
	failed := Verdict{drivers.Denied, "no\nentry for  hush", "ask"}.Error("get", "s3://b/k", io.EOF, []string{"", "hush"})
	if failed.Error() != "get s3://b/k: no entry for *** (ask)" || !errors.Is(failed, io.EOF) || failed.Kind != drivers.Denied {
		t.Errorf("%v, kind %d", failed, failed.Kind)
	}
	if longer := Adding(failed, "; left"); longer.Err.Error() != "no entry for ***; left" || longer.Mend != "ask" || failed.Err.Error() != "no entry for ***" {
		t.Errorf("%v, %v", longer, failed)
	}
	if other := InPlaceOf("stat", failed); other.Error() != "stat s3://b/k: no entry for *** (ask)" || failed.Op != "get" {
		t.Errorf("%v, %v", other, failed)
	}
}

// What may pass is tried again, and nothing else.
func TestKindsOfStatus(t *testing.T) {
	for status, want := range map[int]drivers.Kind{
		408: drivers.Temporary, 429: drivers.Temporary, 499: drivers.Temporary, 500: drivers.Temporary, 502: drivers.Temporary, 503: drivers.Temporary,
		301: drivers.Config, 307: drivers.Config, 413: drivers.TooLarge, 507: drivers.Full,
		400: drivers.Other, 403: drivers.Other, 404: drivers.Other, 501: drivers.Other,
	} {
		if got := JudgeStatus(status, "look there"); got.Kind != want {
			t.Errorf("%d: %+v, want kind %d", status, got, want)
		}
	}
}

func TestKindsOfConnections(t *testing.T) {
	reach := Reach{Cannot: "cannot reach X", Authority: "trust it", Plain: "leave out TLS"}
	for _, test := range []struct {
		err  error
		kind drivers.Kind
		text string
	}{
		{io.EOF, drivers.Temporary, "cannot reach X: the server closed the connection"},
		{io.ErrUnexpectedEOF, drivers.Temporary, "unexpected EOF"},
		{&net.DNSError{Err: "no such host", Name: "x"}, drivers.Temporary, "cannot reach X: lookup x: no such host"},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, drivers.Temporary, "cannot reach X: dial: refused"},
		{context.DeadlineExceeded, drivers.Temporary, "cannot reach X: no answer in time"},
		{&url.Error{Op: "Get", URL: "https://hush@x", Err: errors.New("broken")}, drivers.Temporary, "cannot reach X: broken"},
		{errors.New("http: server gave HTTP response to HTTPS client"), drivers.Config, "cannot reach X: the server does not speak TLS"},
		{errors.New("odd"), drivers.Other, "odd"},
	} {
		if got := JudgeConnection(test.err, reach); got.Kind != test.kind || got.Text != test.text {
			t.Errorf("%v: %+v", test.err, got)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "soon": 0, "-1": 0, "7": 7 * time.Second, "100000": time.Hour,
		now.Add(time.Minute).Format(http.TimeFormat): time.Minute, now.Add(-time.Minute).Format(http.TimeFormat): 0,
	} {
		if got := RetryAfter(value, now); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

// silent answers nothing until its request ends.
type silent struct{ ctx context.Context }

func (s silent) Read([]byte) (int, error) { <-s.ctx.Done(); return 0, s.ctx.Err() }
func (s silent) Close() error             { return nil }

func TestOpenDeliversAllOrFails(t *testing.T) {
	fail := func(err error) *drivers.Error { return &drivers.Error{Op: "get", URI: "u", Err: err} }
	read := func(body func(context.Context) io.ReadCloser, length int64) (string, error) {
		r, _, err := Opening{Silence: 20 * time.Millisecond, Fail: fail, Request: func(ctx context.Context) (io.ReadCloser, drivers.Info, error) {
			return body(ctx), drivers.Info{Bytes: length}, nil
		}}.Get(t.Context())
		if err != nil {
			return "", err
		}
		defer r.Close()
		text, err := io.ReadAll(r)
		return string(text), err
	}
	plain := func(context.Context) io.ReadCloser { return io.NopCloser(strings.NewReader("payload")) }
	if got, err := read(plain, 7); got != "payload" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := read(plain, 3); got != "pay" || err != nil {
		t.Errorf("more than announced: %q, %v", got, err)
	}
	if _, err := read(plain, 8); !errors.Is(err, io.ErrUnexpectedEOF) || drivers.KindOf(err) != drivers.Temporary {
		t.Errorf("a body that ends early: %v", err)
	}
	if _, err := read(func(ctx context.Context) io.ReadCloser { return silent{ctx} }, 8); !errors.Is(err, ErrStalled) || drivers.KindOf(err) != drivers.Temporary {
		t.Errorf("a silent server: %v", err)
	}
	if _, err := read(plain, Unmarked); !errors.Is(err, ErrNoLength) {
		t.Errorf("without a length: %v", err)
	}
	if got, err := read(plain, Chunked); got != "payload" || err != nil {
		t.Errorf("without a length, to a marked end: %q, %v", got, err)
	}
}

// What an answer does not tell is asked for, or counted; what is delivered then is
// that and no more.
func TestOpenFindsOutTheLength(t *testing.T) {
	type answer struct {
		body  io.Reader
		bytes int64
		md5   string
	}
	broken := func() io.Reader {
		return io.MultiReader(strings.NewReader("pay"), iotest.ErrReader(io.ErrUnexpectedEOF))
	}
	text := func(s string) io.Reader { return strings.NewReader(s) }
	for name, test := range map[string]struct {
		answers []answer
		asked   *drivers.Info
		want    string
		fails   error
	}{
		"asked":                    {[]answer{{text("payload"), Chunked, "x"}}, &drivers.Info{Bytes: 7, MD5: "x"}, "payload", nil},
		"asked, end not marked":    {[]answer{{text("payload"), Unmarked, "x"}}, &drivers.Info{Bytes: 7, MD5: "x"}, "payload", nil},
		"asked, shorter":           {[]answer{{text("payload"), Unmarked, "x"}}, &drivers.Info{Bytes: 8, MD5: "x"}, "payload", io.ErrUnexpectedEOF},
		"asked, longer":            {[]answer{{text("payloads"), Unmarked, "x"}}, &drivers.Info{Bytes: 7, MD5: "x"}, "payload", errLonger},
		"asked, broken at its end": {[]answer{{broken(), Chunked, "x"}}, &drivers.Info{Bytes: 3, MD5: "x"}, "pay", io.ErrUnexpectedEOF},
		"asked of another":         {[]answer{{text("payload"), Unmarked, "x"}}, &drivers.Info{Bytes: 7, MD5: "y"}, "", ErrNoLength},
		"nobody tells":             {[]answer{{text("payload"), Chunked, "x"}, {text("payload"), Chunked, "x"}}, &drivers.Info{Bytes: Unmarked}, "payload", nil},
		"an empty one":             {[]answer{{text(""), Chunked, "x"}, {text(""), Chunked, "x"}}, nil, "", nil},
		"told the second time":     {[]answer{{text("payload"), Chunked, "x"}, {text("payload"), 7, "x"}}, nil, "payload", nil},
		"counted, then replaced":   {[]answer{{text("payload"), Chunked, "x"}, {text("payload"), Chunked, "y"}}, nil, "", errReplaced},
		"counted, then shorter":    {[]answer{{text("payload"), Chunked, ""}, {text("pay"), Chunked, ""}}, nil, "pay", io.ErrUnexpectedEOF},
		"counted, then longer":     {[]answer{{text("payload"), Chunked, ""}, {text("payloads"), Chunked, ""}}, nil, "payload", errLonger},
		"broken while counted":     {[]answer{{broken(), Chunked, "x"}}, nil, "", io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			left := test.answers
			o := Opening{
				Silence: time.Minute,
				Request: func(context.Context) (io.ReadCloser, drivers.Info, error) {
					a := left[0]
					left = left[1:]
					return io.NopCloser(a.body), drivers.Info{Bytes: a.bytes, MD5: a.md5}, nil
				},
				Fail: func(err error) *drivers.Error { return &drivers.Error{Op: "get", URI: "u", Err: err} },
			}
			if test.asked != nil {
				o.Ask = func(context.Context) (drivers.Info, error) { return *test.asked, nil }
			}
			r, info, err := o.Get(t.Context())
			var got []byte
			if err == nil {
				got, err = io.ReadAll(r)
				r.Close()
			}
			if string(got) != test.want || !errors.Is(err, test.fails) || (err == nil) != (test.fails == nil) {
				t.Errorf("%q, %v", got, err)
			}
			if err == nil && info.Bytes != int64(len(got)) {
				t.Errorf("%d bytes were announced, %d delivered", info.Bytes, len(got))
			}
			if err != nil && test.fails != ErrNoLength && drivers.KindOf(err) != drivers.Temporary {
				t.Errorf("kind %d", drivers.KindOf(err))
			}
		})
	}
}

func TestPartBytesKeepToTheMostParts(t *testing.T) {
	const mebibyte = 1 << 20
	for _, test := range []struct{ length, want int64 }{
		{-1, 8 * mebibyte}, {0, 1}, {1, 1}, {8 * mebibyte, 8 * mebibyte}, {80 * mebibyte, 8 * mebibyte}, {80*mebibyte + 1, 9 * mebibyte},
	} {
		if got := PartBytes(test.length, 8*mebibyte, 10); got != test.want || got*10 < test.length {
			t.Errorf("%d bytes: %d, want %d", test.length, got, test.want)
		}
	}
}

// collector keeps the parts of a stream.
type collector struct {
	mu    sync.Mutex
	parts map[int]string
	fails int // the number of the part that fails, 0 for none
}

var errPart = errors.New("this part fails")

func (c *collector) part(_ context.Context, number int, part []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if number == c.fails {
		return errPart
	}
	c.parts[number] = string(part)
	return nil
}

func put(t *testing.T, source io.Reader, a Announced, atOnce, most, fails int) (whole string, c *collector, err error) {
	t.Helper()
	c = &collector{parts: map[int]string{}, fails: fails}
	_, err = Stream{
		Announced: a, Buffers: NewBuffers(4), PartBytes: 4,
		Whole: func(_ context.Context, payload []byte) (drivers.Receipt, error) {
			whole = string(payload)
			return drivers.Receipt{}, nil
		},
		Large: func(ctx context.Context, parts *Parts) (drivers.Receipt, error) {
			_, _, err := parts.Send(ctx, Sending{AtOnce: atOnce, Most: most, Called: "parts", Mend: "none", Part: c.part})
			return drivers.Receipt{}, err
		},
	}.Put(t.Context(), drivers.Payload{Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(source), nil }})
	return whole, c, err
}

func TestStreamsAreCutIntoParts(t *testing.T) {
	sum := md5.Sum([]byte("ninebytes"))
	a := Announced{URI: "u", Length: 9, MD5: hex.EncodeToString(sum[:])}
	for atOnce := range 3 {
		whole, c, err := put(t, iotest.OneByteReader(strings.NewReader("ninebytes")), a, atOnce, 3, 0)
		if err != nil || whole != "" || len(c.parts) != 3 || c.parts[1]+"|"+c.parts[2]+"|"+c.parts[3] != "nine|byte|s" {
			t.Errorf("%d at once: %q, %v, %v", atOnce, whole, c.parts, err)
		}
		if _, _, err := put(t, strings.NewReader("ninebytes"), Announced{Length: -1}, atOnce, 2, 0); drivers.KindOf(err) != drivers.TooLarge {
			t.Errorf("%d at once, too many parts: %v", atOnce, err)
		}
		if _, _, err := put(t, strings.NewReader("ninebytes"), a, atOnce, 3, 2); !errors.Is(err, errPart) {
			t.Errorf("%d at once, a part that fails: %v", atOnce, err)
		}
		rotten := io.MultiReader(strings.NewReader("ninebyt"), iotest.ErrReader(&drivers.Error{Op: "get", Kind: drivers.Temporary, RetryAfter: 7, Err: io.ErrUnexpectedEOF}))
		_, _, err = put(t, rotten, a, atOnce, 3, 0)
		var failed *drivers.Error
		if !errors.As(err, &failed) || failed.Kind != drivers.Temporary || failed.RetryAfter != 7 || failed.Op != "put" {
			t.Errorf("%d at once, a rotten source: %v", atOnce, err)
		}
		if _, _, err := put(t, strings.NewReader("ninebitez"), a, atOnce, 3, 0); drivers.KindOf(err) != drivers.Corrupt {
			t.Errorf("%d at once, another payload: %v", atOnce, err)
		}
		if _, _, err := put(t, strings.NewReader("ninebytes and more"), a, atOnce, 9, 0); drivers.KindOf(err) != drivers.Corrupt {
			t.Errorf("%d at once, longer than announced: %v", atOnce, err)
		}
	}
	if whole, c, err := put(t, strings.NewReader("four"), Announced{Length: -1}, 2, 3, 0); err != nil || whole != "four" || len(c.parts) != 0 {
		t.Errorf("one part: %q, %v, %v", whole, c.parts, err)
	}
	if _, _, err := put(t, strings.NewReader("fours"), Announced{Length: 4}, 2, 3, 0); drivers.KindOf(err) != drivers.Corrupt {
		t.Errorf("longer than one part that was announced: %v", err)
	}
}

// The last bytes are handed over only when the source has ended without an error.
func TestPassageHoldsTheEndBack(t *testing.T) {
	pass := func(source io.Reader, length int64) (string, error) {
		p := NewPassage(Announced{URI: "u", Length: length}, io.NopCloser(source))
		var sent bytes.Buffer
		_, err := Copy(&sent, p)
		if again := p.Close(); again != nil {
			t.Error(again)
		}
		p.Wait()
		if reason := p.Reason(); !errors.Is(err, reason) {
			t.Errorf("the reason %v, read %v", reason, err)
		}
		return sent.String(), err
	}
	if sent, err := pass(strings.NewReader("payload"), 7); sent != "payload" || err != nil {
		t.Errorf("%q, %v", sent, err)
	}
	for name, source := range map[string]io.Reader{
		"shorter": strings.NewReader("paylo"), "longer": strings.NewReader("payloads"),
		"rotten": io.MultiReader(strings.NewReader("payload"), iotest.ErrReader(&drivers.Error{Kind: drivers.Corrupt, Err: io.ErrNoProgress})),
	} {
		if sent, err := pass(source, 7); len(sent) >= 7 || drivers.KindOf(err) != drivers.Corrupt {
			t.Errorf("%s: %q, %v", name, sent, err)
		}
	}
}

func TestEachIsBounded(t *testing.T) {
	var mu sync.Mutex
	now, most, done := 0, 0, 0
	Each(40, 3, func(int) {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		time.Sleep(time.Millisecond)
		mu.Lock()
		now--
		done++
		mu.Unlock()
	})
	if most > 3 || done != 40 {
		t.Errorf("%d at once, %d done", most, done)
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"good": "", "toolong": "the key has 7 bytes; S3 holds keys of at most 5", "\xff": "the key is not UTF-8", "a\x00": "the key holds a NUL",
	} {
		err := CheckName(name, "S3", "key", 5)
		if (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%q: %v", name, err)
		}
	}
	for etag, want := range map[string]bool{
		"d41d8cd98f00b204e9800998ecf8427e": true, "D41D8CD98F00B204E9800998ECF8427E": false, "d41d8cd98f00b204e9800998ecf8427e-2": false, "": false,
	} {
		if IsMD5(etag) != want {
			t.Errorf("%q is an MD5: %v", etag, !want)
		}
	}
}
