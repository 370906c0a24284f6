package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/internal/testenv"
)

// blindProxy stands before a server and answers for the probe that it is not there, as a
// proxy or a mount does that has remembered so from before.
func blindProxy(t *testing.T, server string) string {
	t.Helper()
	target, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // it is signed
	}}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodDelete && strings.Contains(r.URL.Path, "kedge-probe") {
			http.Error(w, `<Error><Code>NoSuchKey</Code></Error>`, http.StatusNotFound)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL
}

// Source and destination are one S3 bucket, and a cache hides that from the probe. The first
// document whose source is deleted shows it, and is not lost; no other one is deleted, in
// this run or in the next.
func TestOnePlaceBehindACache(t *testing.T) {
	t.Parallel()
	minio := testenv.MinIO(t)
	s := seedDB(t, bench.Workload{Documents: 60, Seed: 90})
	direct := s3Place(minio, minio.Bucket(t), "")
	through := direct
	through.options = append([]string{}, direct.options...)
	for i, option := range through.options {
		if strings.HasPrefix(option, "url: ") {
			through.options[i] = "url: " + blindProxy(t, minio.URL)
		}
	}
	first, second := through.config(t, s.url, compression{}), direct.config(t, s.url, compression{})
	kedge(t, "migrate", "--dontask", dbPlace(s.url).config(t, s.url, compression{}), second).want(t, exitDone)
	for range 2 {
		o := kedge(t, "migrate", "--dontask", first, second).want(t, exitDocuments)
		if !strings.Contains(o.stderr, "deleting at the source deletes at the destination") || !strings.Contains(o.stderr, "it was put back") {
			t.Errorf("%s", o.stderr)
		}
		s.check(t, direct)
	}
}

// mirrored carries what is deleted in one S3 bucket on to another, after a time, as mc mirror
// --watch --remove does and rsync --delete in a loop.
func mirrored(t *testing.T, server *testenv.S3Server, from, to string, after time.Duration) {
	t.Helper()
	client := server.Client()
	keys := func(ctx context.Context) map[string]bool {
		found := make(map[string]bool)
		pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: &from})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil
			}
			for _, o := range page.Contents {
				found[aws.ToString(o.Key)] = true
			}
		}
		return found
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	t.Cleanup(func() { stop(); running.Wait() })
	running.Go(func() {
		before := keys(ctx)
		gone := make(map[string]time.Time)
		for ctx.Err() == nil {
			now := keys(ctx)
			for key := range before {
				if now != nil && !now[key] {
					gone[key] = time.Now()
				}
			}
			if now != nil {
				before = now
			}
			for key, since := range gone {
				if time.Since(since) >= after {
					_, _ = client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &to, Key: &key})
					delete(gone, key)
				}
			}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	})
}

// A mirror carries deletions on from the source to the destination. It costs no document
// where it is quick, and the run says so in any case, however sources come to be deleted.
func TestAMirrorCarriesDeletionsOn(t *testing.T) {
	t.Parallel()
	minio := testenv.MinIO(t)
	for _, test := range []struct {
		name   string
		before []string // a command that goes before
		delete string   // the one that deletes
	}{
		{name: "migrate", delete: "migrate"},
		{name: "cutover", before: []string{"copy"}, delete: "migrate"},
		{name: "purge", before: []string{"migrate", "--dontask", "--nodelete"}, delete: "purge"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := seedDB(t, bench.Workload{Documents: 60, Seed: 91})
			from, to := s3Place(minio, minio.Bucket(t), "a/"), s3Place(minio, minio.Bucket(t), "a/")
			first, second := from.config(t, s.url, compression{}), to.config(t, s.url, compression{})
			kedge(t, "migrate", "--dontask", dbPlace(s.url).config(t, s.url, compression{}), first).want(t, exitDone)
			if test.before != nil {
				kedge(t, append(test.before, first, second)...).want(t, exitDone)
			}
			mirrored(t, minio, bucketOfPlace(from), bucketOfPlace(to), 0)
			o := kedge(t, test.delete, "--dontask", "--watch-deletes=10s", first, second).want(t, exitDocuments)
			if !strings.Contains(o.stderr, "deleting at the source deletes at the destination") || !strings.Contains(o.stderr, "it was put back") {
				t.Errorf("%s", o.stderr)
			}
			s.check(t, from, to)
			if left, err := from.raw.list(t.Context()); err != nil || len(left) < 59 {
				t.Errorf("%d of 60 sources are left, %v", len(left), err)
			}
		})
	}
}

// A slow mirror is found when the run ends, and told; by later runs, too.
func TestASlowMirrorIsFoundAtTheEnd(t *testing.T) {
	t.Parallel()
	minio := testenv.MinIO(t)
	s := seedDB(t, bench.Workload{Documents: 60, Seed: 92})
	from, to := s3Place(minio, minio.Bucket(t), "a/"), s3Place(minio, minio.Bucket(t), "a/")
	first, second := from.config(t, s.url, compression{}), to.config(t, s.url, compression{})
	kedge(t, "migrate", "--dontask", dbPlace(s.url).config(t, s.url, compression{}), first).want(t, exitDone)
	mirrored(t, minio, bucketOfPlace(from), bucketOfPlace(to), 4*time.Second)
	o := kedge(t, "migrate", "--dontask", "--watch-deletes=15s", first, second).want(t, exitDocuments)
	if !strings.Contains(o.stderr, "deleting at the source deletes at the destination") {
		t.Errorf("%s", o.stderr)
	}
	if kept, _ := filepath.Glob(filepath.Join(home(t), ".local/state/kedge/*.canary")); len(kept) != 1 {
		t.Errorf("kept: %v", kept)
	} else if info, err := os.Stat(kept[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	// Nothing is left to do, and no run says that all is well.
	o = kedge(t, "migrate", "--dontask", first, second).want(t, exitDocuments)
	if !strings.Contains(o.stderr, "an earlier run has ended for this reason") || !strings.Contains(o.stderr, ".canary.lost") {
		t.Errorf("%s", o.stderr)
	}
}

func bucketOfPlace(p place) string {
	bucket, _, _ := strings.Cut(strings.TrimPrefix(p.prefix, "s3://"), "/")
	return bucket
}

// A replication of delete markers from the source to the destination is read where the
// server tells, and then no source is deleted. (MinIO makes no such rule without a second
// server that it knows: here something before it answers for it.)
func TestAReplicationOfDeletionsIsRefused(t *testing.T) {
	t.Parallel()
	minio := testenv.MinIO(t)
	s := seedDB(t, bench.Workload{Documents: 20, Seed: 93})
	from, to := s3Place(minio, minio.Bucket(t), "a/"), s3Place(minio, minio.Bucket(t), "a/")
	seeding, second := from.config(t, s.url, compression{}), to.config(t, s.url, compression{})
	kedge(t, "migrate", "--dontask", dbPlace(s.url).config(t, s.url, compression{}), seeding).want(t, exitDone)
	rule := `<ReplicationConfiguration><Role>r</Role><Rule><ID>x</ID><Priority>1</Priority><Status>Enabled</Status><Filter><Prefix></Prefix></Filter>
		<DeleteMarkerReplication><Status>%s</Status></DeleteMarkerReplication><Destination><Bucket>arn:aws:s3:::` + bucketOfPlace(to) + `</Bucket></Destination></Rule></ReplicationConfiguration>`
	for _, test := range []struct {
		status string
		exit   int
	}{{"Enabled", exitRefused}, {"Disabled", exitDone}} {
		through := from
		through.options = append([]string{}, from.options...)
		for i, option := range through.options {
			if strings.HasPrefix(option, "url: ") {
				through.options[i] = "url: " + answering(t, minio.URL, "replication", fmt.Sprintf(rule, test.status))
			}
		}
		first := through.config(t, s.url, compression{})
		o := kedge(t, "migrate", "--dontask", first, second).want(t, test.exit)
		if refused := strings.Contains(o.stderr, "a replication of the source carries deletions on"); refused != (test.exit == exitRefused) {
			t.Errorf("%s", o.stderr)
		}
	}
	s.check(t, to)
}

// answering stands before a server and answers GETs with this parameter itself.
func answering(t *testing.T, server, parameter, answer string) string {
	t.Helper()
	target, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // it is signed
	}}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Query().Has(parameter) {
			w.Header().Set("Content-Type", "application/xml")
			_, _ = w.Write([]byte(answer))
			return
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL
}
