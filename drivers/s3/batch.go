package s3

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/httpstore"
	"github.com/kedge/kedge/drivers/s3/internal/foreign"
)

// maxDeletes is how many keys S3 takes in one DeleteObjects.
const maxDeletes = 1000

// refusalsOfMany is how many refusals in a row make a store ask for single
// deletions only.
const refusalsOfMany = 3

// many is what is known of requests for many deletions: how many in a row were
// refused. Safe for concurrent use.
type many struct{ refusals atomic.Int32 }

func (m *many) given() bool { return m.refusals.Load() < refusalsOfMany }

// refused says whether a request for many was refused in such a way that single
// ones may be taken, and takes note of it. Servers without the request, and what
// stands before them, refuse it in many words.
func (m *many) refused(err error, kind drivers.Kind) bool {
	code, _ := answer(err)
	others, ofAnother := errors.AsType[*foreign.Answer](err)
	switch {
	case unknownRequest(err):
		m.refusals.Store(refusalsOfMany)
		return true
	case kind == drivers.Temporary, kind == drivers.Config, status(err) == 0 && !(ofAnother && others.Refuses()),
		kind == drivers.Denied && code != "AccessDenied" && code != "SignatureDoesNotMatch":
		return false
	}
	m.refusals.Add(1)
	return true
}

// GetBatch reads payloads with Tuning.Workers requests at once: S3 has no
// request for many.
func (s *Store) GetBatch(ctx context.Context, requests []drivers.GetRequest) []drivers.GetResult {
	return httpstore.GetBatch(ctx, s, s.tuning.Workers, requests)
}

// PutBatch stores payloads with Tuning.Workers requests at once.
func (s *Store) PutBatch(ctx context.Context, requests []drivers.PutRequest) []drivers.PutResult {
	return httpstore.PutBatch(ctx, s, s.tuning.Workers, requests)
}

// DeleteBatch removes objects, up to 1000 to a request. Those whose keys a
// request for many cannot carry, and all of them where the server has no such
// request, go one by one.
func (s *Store) DeleteBatch(ctx context.Context, uris []string) []error {
	errs := make([]error, len(uris))
	together := make(map[string][]deletion) // by S3 bucket
	var alone []int
	for i, uri := range uris {
		loc, err := s.locate("delete", uri)
		switch {
		case err != nil:
			errs[i] = err
		case !s.many.given(), !travelsInXML(loc.key), s.rewrites(loc.key), strings.HasSuffix(loc.key, "/"):
			alone = append(alone, i)
		default:
			together[loc.bucket] = append(together[loc.bucket], deletion{i, loc.key})
		}
	}
	for bucket, deletions := range together {
		for len(deletions) > 0 {
			n := min(len(deletions), maxDeletes)
			alone = append(alone, s.deleteTogether(ctx, bucket, deletions[:n], uris, errs)...)
			deletions = deletions[n:]
		}
	}
	httpstore.Each(len(alone), s.tuning.Workers, func(i int) { errs[alone[i]] = s.Delete(ctx, uris[alone[i]]) })
	return errs
}

// deletion is one key of a DeleteObjects and its place among the URIs asked
// for.
type deletion struct {
	index int
	key   string
}

// deleteTogether removes objects of one S3 bucket in one request, fills in the
// errors, and returns the places of those that must be deleted one by one
// instead.
func (s *Store) deleteTogether(ctx context.Context, bucket string, deletions []deletion, uris []string, errs []error) (alone []int) {
	all := func() []int {
		places := make([]int, len(deletions))
		for i, d := range deletions {
			places[i] = d.index
		}
		return places
	}
	if len(deletions) == 1 {
		return all()
	}
	places := make(map[string][]int, len(deletions)) // one key may be asked for twice
	objects := make([]types.ObjectIdentifier, 0, len(deletions))
	for _, d := range deletions {
		if _, twice := places[d.key]; !twice {
			objects = append(objects, types.ObjectIdentifier{Key: aws.String(d.key)})
		}
		places[d.key] = append(places[d.key], d.index)
	}
	out, err := s.client.DeleteObjects(ctx, &awss3.DeleteObjectsInput{
		Bucket: &bucket,
		Delete: &types.Delete{Objects: objects, Quiet: aws.Bool(true)},
	}, s.slow, s.in(bucket), withContentMD5)
	if err != nil {
		if s.many.refused(err, s.judge("delete", err).Kind) || aboutRegion(err, s.direct.region(bucket)) {
			return all()
		}
		for _, d := range deletions {
			errs[d.index] = s.fail("delete", uris[d.index], err)
		}
		return nil
	}
	s.many.refusals.Store(0)
	for _, refused := range out.Errors {
		asked, known := places[aws.ToString(refused.Key)]
		if !known {
			// Which object this is about is anybody's guess: ask for each.
			return all()
		}
		for _, i := range asked {
			errs[i] = s.refusedDelete(uris[i], refused)
		}
	}
	return nil
}

// refusedDelete judges what DeleteObjects reported of one key, as if Delete
// had been answered so.
func (s *Store) refusedDelete(uri string, refused types.Error) error {
	failed := s.fail("delete", uri, &smithy.GenericAPIError{
		Code: aws.ToString(refused.Code), Message: aws.ToString(refused.Message),
	})
	if absent(failed) {
		return nil
	}
	return failed
}

// withContentMD5 sends Content-MD5 in place of the checksum header that the SDK
// would choose: servers that know only the former answer BadDigest to the
// latter.
func withContentMD5(o *awss3.Options) {
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		if _, err := stack.Initialize.Remove("AWSChecksum:SetupInputContext"); err != nil {
			return err
		}
		return smithyhttp.AddContentChecksumMiddleware(stack)
	})
}

// travelsInXML says whether a key comes out of an XML document as it went in,
// with any parser: without control characters and noncharacters, and without
// white space at an end.
func travelsInXML(key string) bool {
	return strings.TrimSpace(key) == key && !strings.ContainsFunc(key, func(r rune) bool {
		return unicode.IsControl(r) || r == unicode.ReplacementChar || r >= 0xfffe && r <= 0xffff
	})
}
