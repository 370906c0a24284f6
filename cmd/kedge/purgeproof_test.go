package main

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/internal/testenv"
)

// destinationOf is a kind of destination of which a test can change one byte of
// a payload, and which it can make unreadable and readable again.
type destinationOf struct {
	place
	change   func(t *testing.T, r row)
	readable func(t *testing.T, so bool)
}

// One byte that differs at the destination, a row that was changed, a destination
// that cannot be read: purge deletes nothing of these, and all of the rest.
func TestPurgeDeletesOnlyWhatIsProven(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"localfs", "s3", "db2"} {
		t.Run(name, func(t *testing.T) {
			s := seedDB(t, bench.Workload{Documents: 300, Seed: 96})
			var to destinationOf
			switch name {
			case "localfs":
				to = localfsDestination(t)
			case "s3":
				to = s3Destination(t)
			default:
				to = db2Destination(s.url)
			}
			testPurgeProof(t, s, to)
		})
	}
}

func localfsDestination(t *testing.T) destinationOf {
	root := archiveRoot(t)
	return destinationOf{
		place: localfsPlace(root),
		change: func(t *testing.T, r row) {
			path := strings.TrimPrefix(*r.url, "file://")
			b, err := localfsPlace(root).raw.get(t.Context(), *r.url)
			if err != nil {
				t.Fatal(err)
			}
			b[len(b)/2] ^= 1
			write(t, path, string(b))
		},
		readable: func(t *testing.T, so bool) {
			from, to := root, root+".away"
			if so {
				from, to = to, from
			}
			rename(t, from, to)
		},
	}
}

func s3Destination(t *testing.T) destinationOf {
	minio := testenv.NewMinIO(t)
	p := s3Place(minio, minio.Bucket(t), "")
	return destinationOf{
		place: p,
		change: func(t *testing.T, r row) {
			b, err := p.raw.get(t.Context(), *r.url)
			if err != nil {
				t.Fatal(err)
			}
			b[len(b)/2] ^= 1
			bucket, key, _ := strings.Cut(strings.TrimPrefix(*r.url, "s3://"), "/")
			if _, err := minio.Client().PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String(key), Body: strings.NewReader(string(b))}); err != nil {
				t.Fatal(err)
			}
		},
		readable: func(t *testing.T, so bool) {
			if so {
				minio.Start(t)
			} else {
				minio.Stop(t)
			}
		},
	}
}

func db2Destination(url string) destinationOf {
	return destinationOf{
		place: db2Place(url),
		change: func(t *testing.T, r row) {
			execute(t, url, `UPDATE object_storage SET content = set_byte(content, length(content) / 2, get_byte(content, length(content) / 2) # 1) WHERE key = $1`, r.archiveID)
		},
		readable: func(t *testing.T, so bool) {
			if so {
				execute(t, url, `ALTER TABLE away RENAME TO object_storage`)
			} else {
				execute(t, url, `ALTER TABLE object_storage RENAME TO away`)
			}
		},
	}
}

func testPurgeProof(t *testing.T, s seeded, to destinationOf) {
	from := dbPlace(s.url)
	source, destination := from.config(t, s.url, compression{}), to.config(t, s.url, compression{true, 1})
	kedge(t, "migrate", "--dontask", "--nodelete", source, destination).want(t, exitDone)
	n := s.workload.Documents
	purge := func() outcome { return ends(t, started(t, "purge", "--dontask", source, destination)) }
	rowOf := func(number int) row {
		k := s.workload.Key(number)
		return catalogRows(t, s.url)[k.UserID+"\x00"+k.Bucket+"\x00"+k.ArchiveID+"\x00"+k.ArchiveID+".json"]
	}

	to.readable(t, false)
	if o := purge(); o.exit != exitFailed && o.exit != exitDocuments {
		t.Errorf("exit status %d with a destination that cannot be read\n%s", o.exit, o.stderr)
	}
	to.readable(t, true)
	payloads(t, from, n)

	// In turn one byte, and four changes of the row.
	changes := []string{
		"",
		`UPDATE archive_metadata SET digest = md5('other') WHERE "archiveId" = $1`,
		`UPDATE archive_metadata SET digest = NULL WHERE "archiveId" = $1`,
		`UPDATE archive_metadata SET content_url = 'db://' || "userId" || '/' || bucket || '/' || "archiveId" WHERE "archiveId" = $1`,
		`UPDATE archive_metadata SET content_url = 'file:///elsewhere/x' WHERE "archiveId" = $1`,
		`UPDATE archive_metadata SET content_url = NULL WHERE "archiveId" = $1`,
	}
	kept := make(map[string]bool)
	for i := range 5 * len(changes) {
		r := rowOf(i)
		kept[r.archiveID] = true
		if statement := changes[i%len(changes)]; statement != "" {
			execute(t, s.url, statement, r.archiveID)
		} else {
			to.change(t, r)
		}
	}
	purge().want(t, exitDocuments).says(t, "not-proven")
	for range 2 { // the second time finds nothing more to delete either
		left, err := from.raw.list(t.Context())
		if err != nil || len(left) != len(kept) {
			t.Errorf("%d payloads are left (%v), want the %d of which something was changed", len(left), err, len(kept))
		}
		for _, uri := range left {
			if id := uri[strings.LastIndexByte(uri, '/')+1:]; !kept[id] {
				t.Errorf("%s is left", uri)
			}
		}
		purge().want(t, exitDocuments)
	}
	// What purge left is whole: the rows that point at it again read as before.
	for i := range 5 * len(changes) {
		k := s.workload.Key(i)
		b, err := from.raw.get(t.Context(), "db://"+k.UserID+"/"+k.Bucket+"/"+k.ArchiveID)
		if err != nil || string(b) != string(s.workload.Plain(i)) {
			t.Errorf("document %d at the source: %v", i, err)
		}
	}
}

// A row that somebody changes while the purge is under way, after it was read
// and before the delete, keeps its source: the look at the rows comes last.
func TestPurgeLooksAtTheRowLast(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 30, Seed: 97})
	proxy, _, to := newSkewed(t, 0)
	from, k := dbPlace(s.url), s.workload.Key(3)
	source, destination := from.config(t, s.url, compression{}), to.config(t, s.url, compression{})
	kedge(t, "migrate", "--dontask", "--nodelete", source, destination).want(t, exitDone)
	// While this document is read back, its row goes back to the source.
	var once sync.Once
	hold := func(r *http.Request) {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, k.ArchiveID) {
			once.Do(func() {
				execute(t, s.url, `UPDATE archive_metadata SET content_url = 'db://' || "userId" || '/' || bucket || '/' || "archiveId" WHERE "archiveId" = $1`, k.ArchiveID)
			})
		}
	}
	proxy.hold.Store(&hold)
	ends(t, started(t, "purge", "--dontask", source, destination)).want(t, exitDocuments).says(t, "row-changed")
	left, err := from.raw.list(t.Context())
	if err != nil || len(left) != 1 || !strings.HasSuffix(left[0], k.ArchiveID) {
		t.Errorf("left at the source: %q (%v), want the document whose row was changed", left, err)
	}
}
