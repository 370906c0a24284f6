package s3

import (
	"strings"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
)

func TestURI(t *testing.T) {
	stores := map[string]*Store{
		"amazon": newStore("arch", "pre", connection{region: "eu-west-1"}, Tuning{}),
		"other":  newStore("arch", "pre", connection{endpoint: "http://localhost", region: defaultRegion}, Tuning{}),
	}
	fits := strings.Repeat("i", maxKeyBytes-len("preu/b/"))
	tests := []struct {
		user, bucket, id string
		want             string // behind s3://arch/, "" where it is refused
		amazonOnly       bool
	}{
		{"u", "b", "k", "preu/b/k", false},
		{"u", "b", "a/b/c", "preu/b/a/b/c", false},
		{"u", "b", " e%41?#&+\t\\\"é😀 ", "preu/b/ e%41?#&+\t\\\"é😀 ", false},
		{"u", "b", "trailing/", "preu/b/trailing/", false},
		{"u", "b", fits, "preu/b/" + fits, false},
		{"u", "b", fits + "i", "", false},
		{"u", "b", "..x/...", "preu/b/..x/...", false},
		{"u", "b", "/leading", "preu/b//leading", true},
		{"u", "b", "double//slash", "preu/b/double//slash", true},
		{"u", "b", "two//", "preu/b/two//", true},
		{"u", "b", "./d", "preu/b/./d", true},
		{"u", "b", "q/../r", "preu/b/q/../r", true},
		{"u", "b", "..", "preu/b/..", true},
		{"u", "b", "/", "preu/b//", true},
		{"u", "..", "k", "preu/../k", true},
		{"", "b", "k", "", false},
		{"u", "", "k", "", false},
		{"u", "b", "", "", false},
		{"u/v", "b", "k", "", false},
		{"u", "b/c", "k", "", false},
		{"u", "b", "nul\x00", "", false},
		{"u", "b", "latin\xe9", "", false},
	}
	for name, s := range stores {
		for _, tt := range tests {
			uri, err := s.URI(drivers.Key{UserID: tt.user, Bucket: tt.bucket, ArchiveID: tt.id})
			if tt.want == "" || (tt.amazonOnly && name != "amazon") {
				wantKind(t, err, drivers.InvalidKey)
				continue
			}
			if err != nil || uri != "s3://arch/"+tt.want {
				t.Errorf("%s: %q/%q/%q: %q, %v", name, tt.user, tt.bucket, tt.id, uri, err)
			}
			if loc, err := split(uri); err != nil || loc.bucket != "arch" || loc.key != tt.want {
				t.Errorf("split(%q) = %q, %v", uri, loc, err)
			}
		}
	}
}

func TestForeignURIs(t *testing.T) {
	s := fresh(t, testenv.MinIO(t))
	for _, uri := range []string{"", "s3:", "s3://", "s3://bucket", "s3://bucket/", "s3:///key", "db://u/b/k", "S3://bucket/k", "s3://arn:aws:s3:::b/k", "s3://b?x=/k", "s3://../k"} {
		_, _, err := s.Get(t.Context(), uri)
		wantKind(t, err, drivers.InvalidKey)
		_, err = s.Stat(t.Context(), uri)
		wantKind(t, err, drivers.InvalidKey)
		_, err = s.Put(t.Context(), uri, drivers.InMemory(nil, md5Hex(nil)))
		wantKind(t, err, drivers.InvalidKey)
		wantKind(t, s.Delete(t.Context(), uri), drivers.InvalidKey)
		wantKind(t, s.DeleteBatch(t.Context(), []string{uri})[0], drivers.InvalidKey)
	}
}

// FuzzSplit checks that a URI comes apart into what it was made of.
func FuzzSplit(f *testing.F) {
	f.Add("s3://bucket/u/b/k")
	f.Add("s3://bucket//u?#%2F")
	f.Fuzz(func(t *testing.T, uri string) {
		loc, err := split(uri)
		if err != nil {
			return
		}
		if got := scheme + loc.bucket + "/" + loc.key; got != uri {
			t.Errorf("split(%q) = %q", uri, loc)
		}
		if loc.key == "" || loc.bucket == "" || strings.Contains(loc.bucket, "/") {
			t.Errorf("split(%q) = %q", uri, loc)
		}
	})
}

// TestAwkwardKeys stores what a server can hold, and demands of the rest that
// the operator is told why.
func TestAwkwardKeys(t *testing.T) {
	refused := map[string]map[string]string{
		"minio": {
			strings.Repeat("k", 300): "more than 255 bytes between slashes",
		},
		"versitygw": {
			strings.Repeat("k", 300): "more than 255 bytes between slashes",
			"trailing-slash/":        "ends in a slash",
		},
	}
	onEach(t, func(t *testing.T, server *testenv.S3Server) {
		s := fresh(t, server)
		var stored, ids []string
		for _, id := range awkward {
			uri := uriOf(t, s, id)
			_, err := s.Put(t.Context(), uri, drivers.InMemory([]byte(id), md5Hex([]byte(id))))
			if why, ok := refused[server.Name][id]; ok {
				wantKind(t, err, drivers.InvalidKey, why)
				mustMiss(t, s, uri)
				_, _, err := s.Get(t.Context(), uri)
				wantKind(t, err, drivers.NotFound)
				if err := s.Delete(t.Context(), uri); err != nil {
					t.Errorf("delete what cannot be there: %v", err)
				}
				continue
			}
			if err != nil {
				t.Error(err)
				continue
			}
			stored, ids = append(stored, uri), append(ids, id)
		}
		for i, uri := range stored {
			mustHold(t, s, uri, []byte(ids[i]))
		}
		for i, err := range s.DeleteBatch(t.Context(), stored) {
			if err != nil {
				t.Errorf("delete %q: %v", stored[i], err)
			}
		}
		for _, uri := range stored {
			mustMiss(t, s, uri)
		}
		if len(stored)+len(refused[server.Name]) != len(awkward) {
			t.Errorf("%d of %d keys stored", len(stored), len(awkward))
		}
	})
}

var awkward = []string{
	"a/b/c", "trailing-slash/", "with space", " edge space ", "pct%41%2Fz%zz", "plus+and&amp=eq", "plus and&amp=eq",
	"é", "e\u0301", "日本語", "🐎", `quotes"'`, `back\slash`, "tab\tkey", "nl\nkey", "cr\rkey", "esc\x1bkey", "del\x7f", "\u0085", "\ufffe",
	"?q#f", "?q", "#f", "[x]{y}", "a:b|c*", "sha256:0123", strings.Repeat("k", 300), strings.Repeat("k", 255), "...", "x.", "Case", "case",
}

// TestSlashNeighbours stores a key and one that goes on from it after a slash:
// both are there, or the second is refused.
func TestSlashNeighbours(t *testing.T) {
	onEach(t, func(t *testing.T, server *testenv.S3Server) {
		s := fresh(t, server)
		for _, ids := range [][2]string{{"up", "up/down"}, {"over/under", "over"}} {
			first, second := uriOf(t, s, ids[0]), uriOf(t, s, ids[1])
			mustPut(t, s, first, []byte("first"))
			_, err := s.Put(t.Context(), second, drivers.InMemory([]byte("second"), md5Hex([]byte("second"))))
			switch {
			case err == nil:
				mustHold(t, s, second, []byte("second"))
			case server.Name == "minio":
				t.Error(err)
			default:
				wantKind(t, err, drivers.InvalidKey, "beginning up to a slash")
				mustMiss(t, s, second)
			}
			mustHold(t, s, first, []byte("first"))
			if err := s.Delete(t.Context(), second); err != nil {
				t.Error(err)
			}
			mustHold(t, s, first, []byte("first"))
		}
	})
}

// TestDeleteOfRewrittenKey: versitygw keeps "x//y" as "x/y". A row of an earlier
// time may name the former; deleting it must not take the latter.
func TestDeleteOfRewrittenKey(t *testing.T) {
	onEach(t, func(t *testing.T, server *testenv.S3Server) {
		s := fresh(t, server)
		mustPut(t, s, uriOf(t, s, "x/y"), []byte("the document x/y"))
		for _, id := range []string{"x//y", "x/./y", "x/z/../y"} {
			uri := "s3://" + s.bucket + "/admin/manifest_data/" + id
			for _, err := range append(s.DeleteBatch(t.Context(), []string{uri}), s.Delete(t.Context(), uri)) {
				if server.Name == "minio" && err != nil {
					t.Errorf("delete what cannot be there: %v", err)
				}
				if server.Name == "versitygw" {
					wantKind(t, err, drivers.InvalidKey, "under another name")
				}
			}
		}
		gone := "s3://" + s.bucket + "/admin/manifest_data/no//where"
		if err := s.Delete(t.Context(), gone); err != nil {
			t.Errorf("delete what is not there: %v", err)
		}
		mustHold(t, s, uriOf(t, s, "x/y"), []byte("the document x/y"))
	})
}

// TestTrailingSlash: versitygw keeps such an object as a folder, which may be
// there without it.
func TestTrailingSlash(t *testing.T) {
	onEach(t, func(t *testing.T, server *testenv.S3Server) {
		s := fresh(t, server)
		folder, inside := uriOf(t, s, "d/"), uriOf(t, s, "d/x")
		mustPut(t, s, inside, []byte("inside"))
		for _, err := range append(s.DeleteBatch(t.Context(), []string{folder, folder}), s.Delete(t.Context(), folder)) {
			if err != nil {
				t.Errorf("delete what is not there: %v", err)
			}
		}
		mustPut(t, s, folder, nil) // an empty payload, which both can hold
		mustHold(t, s, folder, nil)
		if err := s.Delete(t.Context(), folder); err != nil {
			t.Error(err)
		}
		mustMiss(t, s, folder)
		mustHold(t, s, inside, []byte("inside"))
	})
}
