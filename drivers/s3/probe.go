package s3

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/httpstore"
)

// Report is what Probe found out about a server, its S3 bucket and what the
// credentials may do there.
type Report struct {
	Endpoint    string // URL that the requests go to
	Region      string // of the S3 bucket as the server tells it, else as it is signed for
	Credentials string // where they come from
	Bucket      string

	// MD5ETag: the ETag of an object put in one request is its MD5, so that no
	// payload of that kind has to be read back.
	MD5ETag bool
	// ChecksMD5 and ChecksCRC32C: the server refuses a body that is not what
	// Content-MD5, or the checksum header, says.
	ChecksMD5, ChecksCRC32C bool
	// Encryption is what the server says of a new object: "", AES256, aws:kms.
	Encryption string
	// Listing says in what way the listing is not that of S3, "" where it is, or where
	// it was not tried.
	Listing string
	// Versions says what becomes of what is deleted, "" where no versions are kept, or
	// the server does not tell.
	Versions string
	// MultiDelete: the server removes many objects in one request.
	MultiDelete bool

	// ClockSkew is how far the server's clock is ahead of this machine's, 0 for
	// less than two seconds. Amazon refuses requests beyond 15 minutes.
	ClockSkew time.Duration
	// RoundTrip is the shortest time of a small request and its answer.
	RoundTrip time.Duration

	// SignsPayloads: the server, or a policy, wants the bodies of requests signed
	// for.
	SignsPayloads bool
	// Denied are the permissions that the credentials lack, one error of kind
	// Denied for each, naming it; some of them kedge does without.
	Denied []error
}

// Probe finds out what the server can do and the credentials may do. It puts
// small objects under the key of a document that no installation has, starts
// an upload there, and removes all of it. What is denied is reported, not
// returned.
func (s *Store) Probe(ctx context.Context) (Report, error) {
	p := newProbe(s)
	if err := p.run(ctx, p.reach, p.list, p.locate, p.versions, p.upload, p.put, p.get, p.order, p.refusals, p.remove); err != nil {
		return p.report, p.leave(ctx, err)
	}
	p.report.Credentials = s.CredentialsSource()
	p.report.SignsPayloads = s.direct.signing.is(payloadsSigned)
	return p.report, nil
}

// Survey finds out what can be told without putting, changing or removing
// anything: Endpoint, Region, Credentials, Bucket, Versions, ClockSkew, RoundTrip, and
// what is denied of that.
func (s *Store) Survey(ctx context.Context) (Report, error) {
	p := newProbe(s)
	err := p.run(ctx, p.reach, p.list, p.locate, p.versions)
	p.report.Credentials = s.CredentialsSource()
	return p.report, err
}

// probe is one Probe on its way.
type probe struct {
	store      *Store
	report     Report
	uris, keys []string
	stored     bool
}

// probeNames end the names of the probe's objects. Who lists folder after folder, or
// pays no attention to case, has them in another order than this one of their bytes.
var probeNames = []string{"-b", "/a", "B", "a"}

// newProbe chooses the keys of the probe's objects.
func newProbe(s *Store) *probe {
	p := &probe{store: s, report: Report{Region: s.conn.region, Bucket: s.bucket}}
	base := s.Prefix() + "test/anchorecliconfigtest/kedge-probe-" + rand.Text()
	for _, name := range probeNames {
		p.uris = append(p.uris, base+name)
		p.keys = append(p.keys, strings.TrimPrefix(base, scheme+s.bucket+"/")+name)
	}
	return p
}

// run takes steps until one fails.
func (p *probe) run(ctx context.Context, steps ...func(context.Context) error) error {
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

var probePayload = []byte("kedge probe")

// allow returns err unless it is a permission that is lacking, which it notes.
func (p *probe) allow(op, uri string, err error) error {
	if err == nil {
		return nil
	}
	failed := p.store.fail(op, uri, err)
	if failed.Kind == drivers.Denied {
		if op == "list parts" || op == "list uploads" || op == "locate" {
			failed.Op = "check"
		}
		p.report.Denied = append(p.report.Denied, failed)
		return nil
	}
	return failed
}

// reach measures the way to the server, by questions for an object that is not
// there: whatever it answers.
func (p *probe) reach(ctx context.Context) error {
	s, loc := p.store, location{p.store.bucket, p.keys[0]}
	at, err := s.direct.endpoint(ctx, loc.bucket)
	if err != nil {
		return s.fail("open", s.Prefix(), err)
	}
	p.report.Endpoint = at.scheme + "://" + at.host
	for range 3 {
		start := time.Now()
		_, err := s.direct.head(ctx, loc)
		took := time.Since(start)
		if status(err) != http.StatusNotFound && status(err) != http.StatusForbidden {
			return s.fail("stat", p.uris[0], err)
		}
		if p.report.RoundTrip == 0 || took < p.report.RoundTrip {
			p.report.RoundTrip = took
			p.report.ClockSkew = clockSkew(responseHeader(err, "Date"), start.Add(took/2))
		}
	}
	return nil
}

// list looks for one object.
func (p *probe) list(ctx context.Context) error {
	if p.store.unlisted != nil {
		p.report.Denied = append(p.report.Denied, p.store.unlisted)
		return nil
	}
	_, err := p.store.lists(ctx, location{p.store.bucket, p.keys[0]})
	return p.allow("list", p.store.Prefix(), err)
}

// clockSkew compares the Date of an answer, which has whole seconds, with our
// time when it was written. 0 where the answer has none.
func clockSkew(told string, now time.Time) time.Duration {
	date, err := http.ParseTime(told)
	if err != nil {
		return 0
	}
	skew := date.Sub(now)
	if skew.Abs() < 2*time.Second {
		return 0 // the Date is cut to the second, and some servers make one a second
	}
	return skew.Round(time.Second)
}

// locate asks for the S3 bucket's region. A server that has no such request
// is none the worse for it.
func (p *probe) locate(ctx context.Context) error {
	out, err := p.store.client.GetBucketLocation(ctx, &awss3.GetBucketLocationInput{Bucket: &p.store.bucket})
	if status(err) == http.StatusNotImplemented {
		return nil
	}
	if err == nil {
		p.report.Region = regionOf(out.LocationConstraint)
	}
	return p.allow("locate", p.store.Prefix(), err)
}

// regionOf: the oldest regions have other names in this answer.
func regionOf(constraint types.BucketLocationConstraint) string {
	if constraint == "EU" {
		return "eu-west-1"
	}
	return cmp.Or(string(constraint), defaultRegion)
}

// versions asks what becomes of what is deleted. Nothing depends on the answer.
func (p *probe) versions(ctx context.Context) error {
	out, err := p.store.client.GetBucketVersioning(ctx, &awss3.GetBucketVersioningInput{Bucket: &p.store.bucket})
	switch {
	case denies(err):
		p.report.Versions = "not known: grant s3:GetBucketVersioning"
	case err != nil: // a server without versions
	case out.Status == types.BucketVersioningStatusEnabled:
		p.report.Versions = "kept: what is deleted stays as a version, and costs what it did, until a lifecycle rule or somebody removes it"
	case out.Status == types.BucketVersioningStatusSuspended:
		p.report.Versions = "kept from before (suspended): what was put then stays as a version when it is deleted, and costs what it did"
	}
	return nil
}

// order lists the objects one by one, as a listing of many is in its pages.
func (p *probe) order(ctx context.Context) error {
	if !p.stored || p.store.unlisted != nil {
		return nil
	}
	w := &walk{store: p.store, bucket: p.store.bucket, prefix: strings.TrimSuffix(p.keys[0], probeNames[0]), most: 1}
	var found []string
	err := w.each(ctx, p.store.Prefix(), func(key string, _ types.Object) error {
		found = append(found, key)
		return nil
	})
	switch {
	case errors.Is(err, errListingStops), errors.Is(err, errUnordered):
		p.report.Listing = err.Error()
	case err != nil:
		return p.allow("list", p.store.Prefix(), err)
	case slices.Equal(found, p.keys):
	case !slices.IsSorted(found):
		p.report.Listing = "not in the order of keys: a registry's storage cannot be moved from here or to here"
	default:
		p.report.Listing = fmt.Sprintf("of %d objects that were just put, %d were listed: verify --orphans may not see all", len(p.keys), len(found))
	}
	return nil
}

// upload starts a multipart upload, looks for it and aborts it.
func (p *probe) upload(ctx context.Context) error {
	s, loc := p.store, location{p.store.bucket, p.keys[0]}
	created, err := s.beginUpload(ctx, loc)
	if err == nil {
		_, err := s.client.ListParts(ctx, &awss3.ListPartsInput{Bucket: &loc.bucket, Key: &loc.key, UploadId: created.UploadId})
		if err := errors.Join(
			p.allow("list parts", p.uris[0], err),
			p.allow("abort", p.uris[0], s.abortUpload(ctx, loc, created.UploadId)),
		); err != nil {
			return err
		}
	}
	if err != nil {
		if failed := s.fail("put", p.uris[0], err); failed.Kind != drivers.Denied { // else put will say so
			return failed
		}
	}
	_, err = s.client.ListMultipartUploads(ctx, &awss3.ListMultipartUploadsInput{Bucket: &loc.bucket, Prefix: &loc.key})
	return p.allow("list uploads", p.uris[0], err)
}

// put stores the objects.
func (p *probe) put(ctx context.Context) error {
	sum := md5.Sum(probePayload)
	for i, uri := range p.uris {
		out, err := p.object(ctx, i, conditions{contentMD5: contentMD5(sum[:])})
		if err != nil {
			return p.allow("put", uri, err)
		}
		p.stored = true
		p.report.MD5ETag = tag(out.etag) == hex.EncodeToString(sum[:])
		p.report.Encryption = string(out.sse)
		if p.store.attributes.ignoredBy(out.sse) {
			return notEncrypted(uri)
		}
	}
	return nil
}

// object puts one of the objects, as documents are put.
func (p *probe) object(ctx context.Context, i int, c conditions) (stored, error) {
	return p.store.direct.put(ctx, location{p.store.bucket, p.keys[i]}, probePayload, c, p.store.attributes)
}

func (p *probe) get(ctx context.Context) error {
	if !p.stored {
		return nil
	}
	result := httpstore.GetWhole(ctx, p.store, drivers.GetRequest{URI: p.uris[0], MaxBytes: int64(len(probePayload))})
	if result.Err == nil && !bytes.Equal(result.Payload, probePayload) {
		return &drivers.Error{Op: "get", URI: p.uris[0], Kind: drivers.Corrupt, Err: errors.New("the server returned something else than was put")}
	}
	return p.allow("get", p.uris[0], result.Err)
}

// refusals puts what contradicts its own checksums.
func (p *probe) refusals(ctx context.Context) error {
	if !p.stored {
		return nil
	}
	sum := md5.Sum(probePayload)
	_, err := p.object(ctx, 1, conditions{contentMD5: contentMD5(make([]byte, md5.Size))})
	p.report.ChecksMD5 = status(err) == http.StatusBadRequest
	_, err = p.object(ctx, 1, conditions{contentMD5: contentMD5(sum[:]), crc32c: "AAAAAA=="})
	p.report.ChecksCRC32C = status(err) == http.StatusBadRequest
	return nil
}

// remove deletes the objects in one request, else one by one.
func (p *probe) remove(ctx context.Context) error {
	if !p.stored {
		return nil
	}
	p.stored = false
	s := p.store
	var together []deletion
	for i, key := range p.keys {
		together = append(together, deletion{i, key})
	}
	errs := make([]error, len(together))
	alone := s.deleteTogether(ctx, s.bucket, together, p.uris, errs)
	p.report.MultiDelete = len(alone) == 0
	for _, i := range alone {
		errs[i] = s.Delete(ctx, p.uris[i])
	}
	for i, err := range errs {
		if err != nil { // all for one reason
			return p.allow("delete", p.uris[i], err)
		}
	}
	return nil
}

// leave removes what a probe that failed has stored, and returns why it failed.
func (p *probe) leave(ctx context.Context, cause error) error {
	if !p.stored {
		return cause
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	return errors.Join(cause, p.remove(ctx))
}
