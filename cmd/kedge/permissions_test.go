package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/internal/testenv"
	"github.com/kedge/kedge/internal/testenv/faults"
)

// What the registry's documentation grants: on the S3 bucket, and on its objects.
var (
	bucketPermissions = []string{"s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"}
	objectPermissions = []string{"s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"}
)

// limitedPlace is a place reached with exactly that policy, less one permission.
func limitedPlace(t *testing.T, s *testenv.S3Server, bucket, lacking string) place {
	t.Helper()
	grant := func(actions []string, resource string) map[string]any {
		actions = slices.DeleteFunc(slices.Clone(actions), func(a string) bool { return a == lacking })
		return map[string]any{"Effect": "Allow", "Action": actions, "Resource": resource}
	}
	policy, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": []any{
		grant(bucketPermissions, "arn:aws:s3:::"+bucket), grant(objectPermissions, "arn:aws:s3:::"+bucket+"/*"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	session := s.Session(t, string(policy))
	p := s3Place(s, bucket, "")
	p.options = append(replaced(replaced(p.options, s.AccessKey, session.AccessKey), s.SecretKey, session.SecretKey), "sessiontoken: "+session.SessionToken)
	return p
}

// Migration in both directions and check run under exactly the policy of the
// registry's documentation; check names each permission that is missing, and fails
// for those that a migration cannot do without.
func TestTheDocumentedPolicySuffices(t *testing.T) {
	t.Parallel()
	minio := testenv.MinIO(t)
	bucket := minio.Bucket(t)
	s := seedDB(t, bench.Workload{Documents: 40, MedianBytes: 300 << 10, MaxBytes: 12 << 20, Sigma: 2, Seed: 60})
	db, limited := dbPlace(s.url), limitedPlace(t, minio, bucket, "")
	source, destination := db.config(t, s.url, compression{}), limited.config(t, s.url, compression{})
	if o := kedge(t, "check", destination).want(t, exitDone); !strings.Contains(o.stdout, "the ETag is the MD5") || !strings.Contains(o.stdout, "round trip") {
		t.Errorf("check does not tell what it found:\n%s", o.stdout)
	}
	kedge(t, "migrate", "--dontask", source, destination).want(t, exitDone)
	s.check(t, limited)
	kedge(t, "migrate", "--dontask", destination, source).want(t, exitDone)
	s.check(t, db)
	needed := []string{"s3:PutObject", "s3:GetObject", "s3:DeleteObject"}
	for _, lacking := range slices.Concat(bucketPermissions, objectPermissions) {
		t.Run("without "+lacking, func(t *testing.T) {
			o := kedge(t, "check", limitedPlace(t, minio, bucket, lacking).config(t, s.url, compression{}))
			exit := exitDone
			if slices.Contains(needed, lacking) {
				exit = exitFailed
			}
			if o.exit != exit || !strings.Contains(o.stdout+o.stderr, lacking) {
				t.Errorf("exit status %d, and the permission is not named:\n%s\n%s", o.exit, o.stdout, o.stderr)
			}
		})
	}
	// Without s3:DeleteObject the test document cannot be taken away.
	left, err := limited.raw.list(t.Context())
	if err != nil || slices.ContainsFunc(left, func(uri string) bool { return !strings.Contains(uri, "/test/"+checkBucket+"/") }) {
		t.Errorf("left behind: %q (%v)", left, err)
	}
}

// With no permission but for objects below one prefix, from a server that does not
// tell a missing document from a forbidden one: check, plan, migrate to and fro, and
// verify all work.
func TestAPolicyForOnePrefix(t *testing.T) {
	t.Parallel()
	minio := testenv.MinIO(t)
	bucket := minio.Bucket(t)
	proxy, err := faults.NewHTTP(minio.URL, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() }) // nothing is left to be said
	untold := &faults.Fault{Do: faults.Untold, On: func(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }}
	proxy.Inject(untold)
	limited := func(prefix string) place {
		session := minio.Session(t, fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow",`+
			`"Action":["s3:GetObject","s3:PutObject","s3:DeleteObject"],"Resource":["arn:aws:s3:::%s/%s*"]}]}`, bucket, prefix))
		p := s3Place(minio, bucket, prefix)
		p.options = replaced(replaced(replaced(p.options, minio.AccessKey, session.AccessKey), minio.SecretKey, session.SecretKey), minio.URL, proxy.URL())
		p.options = append(p.options, "sessiontoken: "+session.SessionToken)
		return p
	}
	s := seedDB(t, bench.Workload{Documents: 40, MedianBytes: 300 << 10, MaxBytes: 12 << 20, Sigma: 2, Seed: 60})
	from := dbPlace(s.url)
	for _, to := range []place{limited("one/"), limited("two/"), dbPlace(s.url)} {
		source, destination := from.config(t, s.url, compression{}), to.config(t, s.url, compression{})
		if to.driver == "s3" {
			if o := kedge(t, "check", destination).want(t, exitDone); !strings.Contains(o.stdout, "done without") {
				t.Errorf("check does not tell what it does without:\n%s", o.stdout)
			}
		}
		kedge(t, "plan", source, destination).want(t, exitDone)
		checkpoint := filepath.Join(t.TempDir(), "checkpoint")
		if to.driver == "s3" {
			// Killed while it streams, it would look for unfinished uploads.
			long := &faults.Fault{Do: faults.Swallowed, On: func(r *http.Request) bool { return r.Method == http.MethodPut && r.ContentLength > 4<<20 }}
			proxy.Inject(long)
			killed := command(t, "migrate", "--dontask", "--checkpoint="+checkpoint, source, destination)
			if err := killed.Start(); err != nil {
				t.Fatal(err)
			}
			for deadline := time.Now().Add(time.Minute); long.Hits() == 0; time.Sleep(10 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("nothing is streamed: the test proves nothing")
				}
			}
			_ = killed.Process.Kill() // it waits for an answer
			_ = killed.Wait()         // for the kill
			proxy.Lift()
			proxy.Inject(untold)
		}
		kedge(t, "migrate", "--dontask", "--checkpoint="+checkpoint, source, destination).want(t, exitDone)
		s.check(t, to)
		kedge(t, "verify", destination).want(t, exitDone)
		from = to
	}
	if untold.Hits() == 0 {
		t.Error("the test proves nothing")
	}
	if left, err := s3Place(minio, bucket, "").raw.list(t.Context()); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// The same place under two addresses is found out without a listing, too.
func TestOnePlaceThatTellsNothing(t *testing.T) {
	t.Parallel()
	minio := testenv.MinIO(t)
	bucket := minio.Bucket(t)
	proxy, err := faults.NewHTTP(minio.URL, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() }) // nothing is left to be said
	denied := faults.Answer(http.StatusForbidden, "AccessDenied", "")
	listing := func(r *http.Request) bool { return r.URL.Query().Has("prefix") }
	forbidden := &faults.Fault{Do: denied, Rule: faults.Rule{Most: 1}, On: func(r *http.Request) bool { return r.Method == http.MethodGet && !listing(r) }}
	proxy.Inject(&faults.Fault{Do: denied, On: listing}, forbidden)
	s := seedInto(t, emptyInstallation(t), bench.Workload{Documents: 1, MedianBytes: 1 << 10, MaxBytes: 1 << 10, Seed: 60})
	one, two := s3Place(minio, bucket, ""), s3Place(minio, bucket, "")
	one.options = replaced(one.options, minio.URL, proxy.URL())
	o := kedge(t, "migrate", "--dontask", one.config(t, s.url, compression{}), two.config(t, s.url, compression{})).want(t, exitRefused)
	if !strings.Contains(o.stderr, "same place under two names") {
		t.Errorf("%s", o.stderr)
	}
	if forbidden.Hits() == 0 {
		t.Error("the test proves nothing")
	}
}

// A document of three times the budget goes through the drivers that cut it
// into pieces, and leaves none of them behind.
func TestAVeryLargeDocument(t *testing.T) {
	testenv.Alone(t, "it measures a peak of memory")
	const most = 160 << 20 // of memory, with a budget of 64 MiB
	minio, swift := testenv.MinIO(t), testenv.Swift(t)
	s := seedDB(t, bench.Workload{Documents: 1, MedianBytes: 200 << 20, MaxBytes: 200 << 20, Sigma: 0.001, Seed: 61})
	container := swift.Container(t)
	swift.RemoveContainerAfter(t, container+"_segments")
	from := dbPlace(s.url)
	for _, to := range []place{s3Place(minio, minio.Bucket(t), ""), swiftPlace(swift, container, ""), localfsPlace(archiveRoot(t))} {
		peak := peakBytes(t, "migrate", "--dontask", "--quiet", "--memory=64", from.config(t, s.url, compression{}), to.config(t, s.url, compression{}))
		s.check(t, to)
		empty(t, from.raw)
		t.Logf("%s -> %s: peak %d MiB", from.name, to.name, peak>>20)
		if peak > most {
			t.Errorf("%s -> %s: peak of %d MiB", from.name, to.name, peak>>20)
		}
		from = to
	}
	if left := swift.Objects(t, container+"_segments"); len(left) > 0 {
		t.Errorf("%d segments are left", len(left))
	}
}
