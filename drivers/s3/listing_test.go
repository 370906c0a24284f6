package s3

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
)

// lister answers listings in the server's place, from what the server holds.
type lister struct {
	t      *testing.T
	server *testenv.S3Server
	// less is its order.
	less func(a, b string) int
	// page tells which page comes for a token ("" for the first), and the token
	// of the one after that; "" ends the listing.
	page func(token string, pages int) (page int, next string)
	// old: it knows the older request only, and goes on from a marker.
	old      bool
	size     int // objects in a page, if the request asks for no fewer
	requests int
	held     []string
}

// keys are what the server holds when a listing begins, in the lister's order.
func (l *lister) keys(bucket, prefix string) []string {
	if l.requests > 100 {
		return l.held // it goes on for long
	}
	out, err := l.server.Client().ListObjectsV2(l.t.Context(), &awss3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix})
	if err != nil {
		l.t.Error(err)
		return nil
	}
	l.held = nil
	for _, object := range out.Contents {
		l.held = append(l.held, *object.Key)
	}
	slices.SortFunc(l.held, l.less)
	return l.held
}

const mostRequests = 3 * mostEmpty

func (l *lister) instead(w http.ResponseWriter, r *http.Request) bool {
	query := r.URL.Query()
	bucket := strings.Trim(r.URL.Path, "/")
	if r.Method != http.MethodGet || strings.Contains(bucket, "/") || query.Has("uploads") || query.Has("location") {
		return false
	}
	if l.requests++; l.requests > mostRequests {
		l.t.Error("the listing is asked for without end")
		w.WriteHeader(http.StatusForbidden)
		return true
	}
	if l.old && query.Get("list-type") == "2" {
		page{status: http.StatusNotImplemented, kind: "application/xml", text: "<Error><Code>NotImplemented</Code></Error>"}.write(w, r)
		return true
	}
	keys := l.keys(bucket, query.Get("prefix"))
	size := l.size
	if most, err := strconv.Atoi(query.Get("max-keys")); err == nil {
		size = min(size, most)
	}
	type object struct{ Key string }
	var answer struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		IsTruncated           bool
		NextContinuationToken string `xml:",omitempty"`
		Contents              []object
	}
	var next string
	if l.old {
		from := 0
		if marker := query.Get("marker"); marker != "" {
			from = slices.Index(keys, marker) + 1
		}
		keys = keys[from:]
		if len(keys) > size {
			keys, next = keys[:size], "more"
		}
	} else {
		pages := slices.Collect(slices.Chunk(keys, size))
		number := 0
		number, next = l.page(query.Get("continuation-token"), len(pages))
		if keys = nil; number < len(pages) {
			keys = pages[number]
		}
		answer.NextContinuationToken = next
	}
	answer.IsTruncated = next != ""
	for _, key := range keys {
		answer.Contents = append(answer.Contents, object{key})
	}
	text, err := xml.Marshal(answer)
	if err != nil {
		l.t.Error(err)
	}
	page{status: http.StatusOK, kind: "application/xml", text: string(text)}.write(w, r)
	return true
}

// inTurn is what a right server does with tokens.
func inTurn(token string, pages int) (int, string) {
	number, _ := strconv.Atoi(token)
	if number+1 < pages {
		return number, fmt.Sprint(number + 1)
	}
	return number, ""
}

// asFolders is the order of who lists folder after folder.
func asFolders(a, b string) int {
	return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
}

func caseless(a, b string) int {
	return cmp.Or(cmp.Compare(strings.ToLower(a), strings.ToLower(b)), cmp.Compare(a, b))
}

// TestListingsOfOtherKinds: a listing is walked to its end, or fails; never without
// end, and never with objects left out.
func TestListingsOfOtherKinds(t *testing.T) {
	serial := 0
	for name, test := range map[string]struct {
		lister
		complete, ordered bool
	}{
		"right":                       {lister{less: cmp.Compare[string], page: inTurn}, true, true},
		"right, the older request":    {lister{less: cmp.Compare[string], old: true}, true, true},
		"folder after folder":         {lister{less: asFolders, page: inTurn}, true, false},
		"without case":                {lister{less: caseless, page: inTurn}, true, false},
		"without case, older request": {lister{less: caseless, old: true}, false, false},
		"one token for ever":          {lister{less: cmp.Compare[string], page: func(string, int) (int, string) { return 0, "again" }}, false, false},
		"two tokens in turn": {lister{less: cmp.Compare[string], page: func(token string, _ int) (int, string) {
			if token == "a" {
				return 1, "b"
			}
			return 0, "a"
		}}, false, false},
		"a new token for the same": {lister{less: cmp.Compare[string], page: func(string, int) (int, string) {
			serial++
			return 0, fmt.Sprint("token ", serial)
		}}, false, false},
		"nothing, for ever": {lister{less: cmp.Compare[string], page: func(_ string, pages int) (int, string) {
			serial++
			return pages, fmt.Sprint("token ", serial)
		}}, false, false},
		"nothing, in a circle": {lister{less: cmp.Compare[string], page: func(token string, pages int) (int, string) {
			if token == "a" {
				return pages, "b"
			}
			return pages, "a"
		}}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := test.lister
			l.t, l.server, l.size = t, testenv.MinIO(t), 2
			s := behind(t, l.server, l.instead, nil)
			want := map[string]bool{}
			for _, path := range []string{"b-2", "b/1", "B", "a", "b0", "c/x"} {
				uri, err := s.PathURI(path)
				if err != nil {
					t.Fatal(err)
				}
				mustPut(t, s, uri, []byte(path))
				want[uri] = true
			}
			got := map[string]bool{}
			err := s.List(t.Context(), func(uri string, _ drivers.Info) error { got[uri] = true; return nil })
			if (err == nil) != test.complete || err == nil && len(got) != len(want) {
				t.Errorf("listed %d of %d, %v", len(got), len(want), err)
			}
			var paths []string
			err = s.ListAfter(t.Context(), "", "", func(path string, _ drivers.Info) error { paths = append(paths, path); return nil })
			if (err == nil) != test.ordered || err == nil && len(paths) != len(want) || !slices.IsSorted(paths) {
				t.Errorf("listed %q, %v", paths, err)
			}
		})
	}
}

// TestCheckLooksAtTheListing: what its listing is, check says.
func TestCheckLooksAtTheListing(t *testing.T) {
	for name, test := range map[string]struct {
		lister
		says string
	}{
		"right":                       {lister{less: cmp.Compare[string], page: inTurn}, "in the order of keys"},
		"folder after folder":         {lister{less: asFolders, page: inTurn}, "not in the order of keys"},
		"without case":                {lister{less: caseless, page: inTurn}, "not in the order of keys"},
		"without case, older request": {lister{less: caseless, old: true}, "does not list in the order of keys"},
		"one page for ever":           {lister{less: cmp.Compare[string], page: func(string, int) (int, string) { return 0, "again" }}, "does not go on"},
		"late":                        {lister{less: cmp.Compare[string], page: func(string, int) (int, string) { return 1, "" }}, "of 4 objects that were just put, 1 were listed"},
	} {
		t.Run(name, func(t *testing.T) {
			l := test.lister
			l.t, l.server, l.size = t, testenv.MinIO(t), 2
			s := behind(t, l.server, l.instead, nil)
			findings, err := s.Inspect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(findings, func(f drivers.Finding) bool { return f.Name == "listing" })
			if !strings.Contains(findings[i].Value, test.says) || findings[i].Amiss {
				t.Errorf("check says %+v", findings[i])
			}
		})
	}
}

// TestVersionsAreTold: what is deleted stays and costs, where versions are kept.
func TestVersionsAreTold(t *testing.T) {
	server := testenv.MinIO(t)
	s := fresh(t, server)
	told := func(s *Store) string {
		t.Helper()
		findings, err := s.SurveyPlace(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range findings {
			if f.Name == "older versions" {
				return f.Value
			}
		}
		return ""
	}
	if says := told(s); says != "" {
		t.Errorf("without versions: %q", says)
	}
	for status, want := range map[types.BucketVersioningStatus]string{
		types.BucketVersioningStatusEnabled: "stays as a version, and costs", types.BucketVersioningStatusSuspended: "suspended",
	} {
		if _, err := server.Client().PutBucketVersioning(t.Context(), &awss3.PutBucketVersioningInput{
			Bucket: &s.bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: status},
		}); err != nil {
			t.Fatal(err)
		}
		if says := told(s); !strings.Contains(says, want) {
			t.Errorf("%s: %q", status, says)
		}
	}
	denied := behind(t, server, func(w http.ResponseWriter, r *http.Request) bool {
		if !r.URL.Query().Has("versioning") {
			return false
		}
		page{status: http.StatusForbidden, kind: "application/xml", text: "<Error><Code>AccessDenied</Code></Error>"}.write(w, r)
		return true
	}, nil)
	if says := told(denied); !strings.Contains(says, "grant s3:GetBucketVersioning") {
		t.Errorf("denied: %q", says)
	}
}
