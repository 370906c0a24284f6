package s3

import (
	"context"
	"net/http"
	"strings"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/httpstore"
)

// maxDeletes is how many keys S3 takes in one DeleteObjects.
const maxDeletes = 1000

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
		case !travelsInXML(loc.key) || s.rewrites(loc.key) || strings.HasSuffix(loc.key, "/"):
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
	}, s.slow, withContentMD5)
	if err != nil {
		if code, _ := answer(err); code == "NotImplemented" || status(err) == http.StatusNotImplemented {
			return all()
		}
		for _, d := range deletions {
			errs[d.index] = s.fail("delete", uris[d.index], err)
		}
		return nil
	}
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
