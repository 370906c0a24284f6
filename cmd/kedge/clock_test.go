package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/internal/testenv"
)

// A clock that was set back: what an earlier run has left is from the future.
// Nothing that kedge decides depends on these times.
func TestAClockThatWasSetBack(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 8000, MedianBytes: 1 << 10, Seed: 98})
	from, to := dbPlace(s.url), localfsPlace(archiveRoot(t))
	checkpoint := filepath.Join(t.TempDir(), "k.checkpoint")
	args := []string{"migrate", "--dontask", "--checkpoint", checkpoint, from.config(t, s.url, compression{}), to.config(t, s.url, compression{true, 1})}
	cmd := startedSlow(t, args...)
	someMoved(t, s.url, to.prefix)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if s.check(t, from, to)[0] == 0 {
		t.Fatal("it was done before it was killed: make it larger")
	}
	future := time.Now().AddDate(5, 0, 0)
	execute(t, s.url, `UPDATE tasks SET created_at = $1, started_at = $1, last_updated = $1`, future)
	execute(t, s.url, `UPDATE archive_metadata SET last_updated = $1, created_at = $1`, future.Unix())
	files, err := filepath.Glob(checkpoint + "*")
	if err != nil || len(files) != 2 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, path := range files {
		if err := os.Chtimes(path, future, future); err != nil {
			t.Fatal(err)
		}
	}
	s.finishes(t, from, to, args...)
	// Rows without times, and with ones from before there was time.
	execute(t, s.url, `UPDATE archive_metadata SET last_updated = NULL, created_at = -1`)
	kedge(t, "migrate", "--dontask", to.config(t, s.url, compression{}), from.config(t, s.url, compression{})).want(t, exitDone)
	s.check(t, from)
}

// skewed stands before a MinIO as if the server's clock were ahead of kedge's:
// as S3 does, it refuses what was signed more than 15 minutes before, and tells
// its own time. What it takes it signs again.
type skewed struct {
	ahead   time.Duration
	proxy   *httputil.ReverseProxy
	refused atomic.Int64
	// hold, once it is set, is called before a request is passed on. The server
	// may be at work already when a test sets it.
	hold atomic.Pointer[func(*http.Request)]
}

func (p *skewed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := time.Now().Add(p.ahead)
	signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || now.Sub(signed).Abs() > 15*time.Minute {
		p.refused.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and the current time is too large.</Message></Error>`)
		return
	}
	if hold := p.hold.Load(); hold != nil {
		(*hold)(r)
	}
	p.proxy.ServeHTTP(w, r)
}

// newSkewed gives the place of an S3 bucket behind such a server.
func newSkewed(t *testing.T, ahead time.Duration) (*skewed, place, place) {
	t.Helper()
	minio := testenv.MinIO(t)
	target, err := url.Parse(minio.URL)
	if err != nil {
		t.Fatal(err)
	}
	p := &skewed{ahead: ahead}
	p.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = target.Scheme, target.Host, target.Host
			r.Out.Header.Del("Authorization")
			r.Out.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
			signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
			keys := aws.Credentials{AccessKeyID: minio.AccessKey, SecretAccessKey: minio.SecretKey}
			if err := signer.SignHTTP(r.In.Context(), keys, r.Out, "UNSIGNED-PAYLOAD", "s3", minio.Region, time.Now()); err != nil {
				t.Error(err)
			}
		},
		ModifyResponse: func(r *http.Response) error {
			r.Header.Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
			return nil
		},
	}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	direct := s3Place(minio, minio.Bucket(t), "")
	through := direct
	through.options = replaced(direct.options, minio.URL, server.URL)
	return p, direct, through
}

// A server whose clock is hours away takes nothing: the run says why before it
// begins. One whose clock is a little away is no trouble.
func TestClocksThatDiffer(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{5 * time.Minute, 3 * time.Hour, -3 * time.Hour} {
		t.Run(ahead.String(), func(t *testing.T) {
			p, direct, through := newSkewed(t, ahead)
			s := seedDB(t, bench.Workload{Documents: 200, Seed: 99})
			db := dbPlace(s.url)
			there, back := db.config(t, s.url, compression{}), through.config(t, s.url, compression{})
			for _, args := range [][]string{{"migrate", "--dontask", there, back}, {"migrate", "--dontask", back, there}} {
				o := ends(t, started(t, args...))
				s.check(t, db, direct)
				if ahead < 15*time.Minute && ahead > -15*time.Minute {
					o.want(t, exitDone)
					continue
				}
				if o.want(t, exitFailed).says(t, "clock"); p.refused.Load() == 0 {
					t.Error("no request was refused")
				}
			}
		})
	}
}
