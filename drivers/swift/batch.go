package swift

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	ncw "github.com/ncw/swift/v2"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/httpstore"
)

// GetBatch reads payloads with Tuning.Workers requests at once: Swift has no
// request for many.
func (s *Store) GetBatch(ctx context.Context, requests []drivers.GetRequest) []drivers.GetResult {
	return httpstore.GetBatch(ctx, s, s.tuning.Workers, requests)
}

// PutBatch stores payloads with Tuning.Workers requests at once.
func (s *Store) PutBatch(ctx context.Context, requests []drivers.PutRequest) []drivers.PutResult {
	return httpstore.PutBatch(ctx, s, s.tuning.Workers, requests)
}

const (
	// maxDeletes is how many objects go in one bulk delete; servers allow 10,000
	// and answer after all of them.
	maxDeletes = 1000
	// fewDeletes are not worth a request for many and the listing before it.
	fewDeletes = 4
	// maxLineBytes is the longest line of a bulk delete: Swift takes somewhat
	// more than two names' length.
	maxLineBytes = 2048
)

// DeleteBatch removes objects, up to 1000 to a request where the server has
// bulk deletes. A bulk delete would leave the segments of a large object, so the
// container's listing is asked first which are none; those of which it tells
// nothing, and all of them where the server has no bulk deletes, go one by one.
func (s *Store) DeleteBatch(ctx context.Context, uris []string) []error {
	errs := make([]error, len(uris))
	together := map[string]map[string][]int{} // container, name, places in uris
	var alone []int
	for i, uri := range uris {
		loc, err := s.locate("delete", uri)
		switch {
		case err != nil:
			errs[i] = err
		case len(s.places(uri, loc)) > 1 || s.server.bulkDeletes == 0 || len(bulkLine(loc)) > maxLineBytes:
			alone = append(alone, i)
		default:
			if together[loc.container] == nil {
				together[loc.container] = map[string][]int{}
			}
			together[loc.container][loc.name] = append(together[loc.container][loc.name], i)
		}
	}
	for container, places := range together {
		if _, may := s.mayComeBack(ctx, container); may {
			for _, of := range places {
				alone = append(alone, of...)
			}
			continue
		}
		alone = append(alone, s.deleteTogether(ctx, container, places)...)
	}
	httpstore.Each(len(alone), s.tuning.Workers, func(i int) { errs[alone[i]] = s.Delete(ctx, uris[alone[i]]) })
	return errs
}

// deleteTogether removes objects of one container in requests for many. It
// returns the places of those that must be deleted one by one instead, because
// they need more than that or failed: then their own answer tells why.
func (s *Store) deleteTogether(ctx context.Context, container string, places map[string][]int) (alone []int) {
	names := make([]string, 0, len(places))
	for name := range places {
		names = append(names, name)
	}
	slices.Sort(names)
	plain := s.plainObjects(ctx, container, names)
	var doomed []string
	for _, name := range names {
		if plain[name] {
			doomed = append(doomed, name)
		} else {
			alone = append(alone, places[name]...)
		}
	}
	for chunk := range slices.Chunk(doomed, s.server.bulkDeletes) {
		for _, name := range s.bulkDelete(ctx, container, chunk) {
			alone = append(alone, places[name]...)
		}
	}
	return alone
}

// plainObjects tells which of some objects (their names sorted) are surely not
// large ones: by the container's listing, which tells all that lies between
// them, if that is not much more than they are, and else by their headers.
func (s *Store) plainObjects(ctx context.Context, container string, names []string) map[string]bool {
	plain := map[string]bool{}
	if len(names) < fewDeletes || ctx.Err() != nil {
		return plain
	}
	var unknown []string
	if s.server.listsLarge {
		inside := names[1 : len(names)-1]
		items, err := s.page(ctx, container, url.Values{
			"marker": {names[0]}, "end_marker": {names[len(names)-1]}, "limit": {strconv.Itoa(min(4*len(inside), 10_000))},
		})
		if err != nil {
			return plain // each object's own request will tell why
		}
		for _, one := range items {
			plain[one.Name] = one.SLOETag == "" && !one.mayBeManifest()
		}
	}
	for _, name := range names {
		if _, told := plain[name]; !told {
			unknown = append(unknown, name)
		}
	}
	known := make([]bool, len(unknown))
	httpstore.Each(len(unknown), s.tuning.Workers, func(i int) {
		h, err := s.head(ctx, location{container, unknown[i]})
		known[i] = err == nil && !isLarge(h) || isMissing(err)
	})
	for i, name := range unknown {
		plain[name] = known[i]
	}
	return plain
}

// bulkLine names an object in the body of a bulk delete.
func bulkLine(loc location) string {
	return (&url.URL{Path: "/" + loc.container + "/" + loc.name}).EscapedPath()
}

// bulkDelete removes plain objects in one request and returns the names of those
// of which it does not say that they are gone.
func (s *Store) bulkDelete(ctx context.Context, container string, names []string) (left []string) {
	var lines strings.Builder
	for _, name := range names {
		lines.WriteString(bulkLine(location{container, name}))
		lines.WriteByte('\n')
	}
	_, text, err := s.do(ctx, request{
		method: http.MethodPost, query: url.Values{"bulk-delete": {"true"}}, slow: true,
		headers: ncw.Headers{"Accept": "application/json", "Content-Type": "text/plain"},
		payload: []byte(lines.String()),
	})
	if err != nil {
		return names
	}
	result, err := readBulk(text)
	if err != nil || result.Deleted+result.NotFound+len(result.Errors) != len(names) {
		return names
	}
	for _, failed := range result.Errors {
		path, err := url.PathUnescape(failed[0])
		name, ours := strings.CutPrefix(path, "/"+container+"/")
		if err != nil || !ours {
			return names // which object this is about is anybody's guess
		}
		left = append(left, name)
	}
	return left
}

// bulkResult is Swift's answer to a deletion of many objects: its HTTP status is
// sent before the work begins, and says nothing.
type bulkResult struct {
	Status   string      `json:"Response Status"`
	Body     string      `json:"Response Body"`
	Deleted  int         `json:"Number Deleted"`
	NotFound int         `json:"Number Not Found"`
	Errors   [][2]string `json:"Errors"` // escaped path, status
}

func readBulk(text []byte) (*bulkResult, error) {
	result := new(bulkResult)
	if err := json.Unmarshal(text, result); err != nil {
		return nil, fmt.Errorf("the server's answer to a deletion is not JSON: %w", err)
	}
	return result, nil
}

// failure is the answer's own status, if that is no success.
func (r *bulkResult) failure() error {
	if strings.HasPrefix(r.Status, "2") || strings.HasPrefix(r.Status, "404") {
		return nil
	}
	failed := bulkError(r.Status)
	failed.text = plainText(r.Body)
	return failed
}

// bulkError makes an answer of a status line such as "403 Forbidden".
func bulkError(line string) *answerError {
	code, text, _ := strings.Cut(line, " ")
	status, err := strconv.Atoi(code)
	if err != nil {
		return &answerError{status: http.StatusBadGateway, text: httpstore.OneLine(line)}
	}
	return &answerError{status: status, text: httpstore.OneLine(text)}
}
