package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/kedge/kedge/drivers/httpstore"
)

// walk is a listing of the objects whose keys begin with a prefix, in the order of
// the server's, a request at a time. Servers that do not know ListObjectsV2 are
// asked in the older way, from a key on. Not safe for concurrent use.
type walk struct {
	store          *Store
	bucket, prefix string
	// after is the key behind which the listing begins, or goes on in the older
	// way.
	after string
	// most is how many objects a request gives at most, 0 for the server's own limit.
	most  int32
	token *string
	done  bool
	// tokens and firsts, the first keys of pages, never repeat in a listing that ends;
	// empty counts the pages since the last object.
	tokens, firsts httpstore.Circle
	empty          int
}

// mostEmpty is how many pages without an object may follow each other: where versions
// are kept, there may be some.
const mostEmpty = 1000

// listed are the objects of one request. encoding says how their keys are told.
type listed struct {
	objects  []types.Object
	encoding types.EncodingType
}

var (
	errListingStops = errors.New("the server's listing does not go on, but repeats itself")
	errUnordered    = errors.New("the server does not list in the order of keys, and has no request that could do without")
)

// next gives the next objects, until done. Its error is the SDK's.
func (w *walk) next(ctx context.Context) (listed, error) {
	if w.store.oldListing.Load() {
		return w.older(ctx)
	}
	in := &awss3.ListObjectsV2Input{
		Bucket: &w.bucket, Prefix: &w.prefix, EncodingType: types.EncodingTypeUrl, ContinuationToken: w.token, MaxKeys: w.maxKeys(),
	}
	if w.after != "" {
		in.StartAfter = &w.after
	}
	out, err := w.store.client.ListObjectsV2(ctx, in, w.store.in(w.bucket))
	if unknownRequest(err) {
		old, oldErr := w.older(ctx)
		if unknownRequest(oldErr) {
			return listed{}, err
		}
		return old, oldErr
	}
	if err != nil {
		return listed{}, err
	}
	found := listed{out.Contents, out.EncodingType}
	if w.done = !aws.ToBool(out.IsTruncated); w.done {
		return found, nil
	}
	if w.turnsInCircle(found, out.NextContinuationToken) {
		return listed{}, errListingStops
	}
	switch token := aws.ToString(out.NextContinuationToken); {
	case token == "":
		// It has taken the request for one of the older kind, and heeds no token.
		return found, w.goOn(found)
	}
	w.token = out.NextContinuationToken
	return found, nil
}

// turnsInCircle says whether a page, after which the listing is said to go on, shows
// that it never ends.
func (w *walk) turnsInCircle(found listed, token *string) bool {
	if token != nil && w.tokens.Closed(*token) {
		return true
	}
	if len(found.objects) == 0 {
		w.empty++
		return w.empty > mostEmpty
	}
	w.empty = 0
	return w.firsts.Closed(aws.ToString(found.objects[0].Key))
}

// each calls fn with every object that is left and its exact key, until fn returns
// an error, which each returns. place is what a message calls the listing's place.
func (w *walk) each(ctx context.Context, place string, fn func(key string, object types.Object) error) error {
	for !w.done {
		found, err := w.next(ctx)
		if err != nil {
			return w.store.fail("list", place, err)
		}
		for _, object := range found.objects {
			key, err := w.store.exactKey(ctx, found.encoding, object.Key)
			if err != nil {
				return w.store.fail("list", place, err)
			}
			if err := fn(key, object); err != nil {
				return err
			}
		}
	}
	return nil
}

// unknownRequest says whether a server has no such request.
func unknownRequest(err error) bool {
	code, _ := answer(err)
	return code == "NotImplemented" || status(err) == http.StatusNotImplemented || status(err) == http.StatusMethodNotAllowed
}

// older is next by the request that all servers know.
func (w *walk) older(ctx context.Context) (listed, error) {
	in := &awss3.ListObjectsInput{Bucket: &w.bucket, Prefix: &w.prefix, EncodingType: types.EncodingTypeUrl, MaxKeys: w.maxKeys()}
	if w.after != "" {
		in.Marker = &w.after
	}
	out, err := w.store.client.ListObjects(ctx, in, w.store.in(w.bucket))
	if err != nil {
		return listed{}, err
	}
	w.store.oldListing.Store(true)
	found := listed{out.Contents, out.EncodingType}
	switch w.done = !aws.ToBool(out.IsTruncated); {
	case w.done && len(found.objects) == 0:
		return found, nil
	case !w.done && w.turnsInCircle(found, nil):
		return listed{}, errListingStops
	}
	return found, w.goOn(found)
}

// goOn lets the listing go on, in the older way, behind the last object. Whatever is
// before that in another order than that of the keys would be left out.
func (w *walk) goOn(found listed) error {
	if len(found.objects) == 0 {
		return errListingStops
	}
	for _, object := range found.objects {
		key, err := listedKey(found.encoding, object.Key)
		switch {
		case err != nil:
			return err
		case key < w.after: // some servers begin with the marker itself
			return fmt.Errorf("%w: %q comes behind %q", errUnordered, key, w.after)
		}
		w.after = key
	}
	w.store.oldListing.Store(true)
	return nil
}

func (w *walk) maxKeys() *int32 {
	if w.most == 0 {
		return nil
	}
	return &w.most
}

// lists says whether the server lists an object under exactly this key.
func (s *Store) lists(ctx context.Context, loc location) (bool, error) {
	w := &walk{store: s, bucket: loc.bucket, prefix: loc.key, most: 1}
	found, err := w.next(ctx)
	if err != nil {
		return false, err
	}
	for _, object := range found.objects {
		// Keys come in the order of their bytes: the prefix itself is first.
		if key, err := listedKey(found.encoding, object.Key); err == nil && key == loc.key {
			return true, nil
		}
	}
	return false, nil
}
