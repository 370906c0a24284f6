package copies

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
)

var opening = Opening{Identity: checkpoint.Identify("db:// -> s3://bucket/"), Source: sourceURI, Destination: destinationURI}

var turned = Opening{Identity: opening.Identity, Source: destinationURI, Destination: sourceURI, Turned: true}

func open(t testing.TB, path string, o Opening) *Record {
	t.Helper()
	r, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.db.Close() })
	return r
}

func closeRecord(t testing.TB, r *Record) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

func wait(t testing.TB, ticket *checkpoint.Ticket) {
	t.Helper()
	if err := ticket.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// sample is the n-th copy of a catalog.
func sample(n int, s State) Copy {
	k := drivers.Key{UserID: "admin", Bucket: fmt.Sprintf("bucket%d", n%3), ArchiveID: fmt.Sprintf("%064x", n)}
	source, _ := sourceURI(k)
	destination, _ := destinationURI(k)
	return Copy{Key: k, Name: k.ArchiveID + ".json", State: s, When: time.Unix(1.8e9, 0).UTC(),
		Source:      Side{URI: source, Digest: digest, Bytes: int64(n)},
		Destination: Side{URI: destination, Digest: digest2, Bytes: int64(n) / 2, Compressed: true, Version: "v" + fmt.Sprint(n)}}
}

func documents(copies ...Copy) (list []catalog.Document) {
	for _, c := range copies {
		list = append(list, catalog.Document{Key: c.Key, Name: c.Name})
	}
	return list
}

func find(t testing.TB, r *Record, c Copy) Copy {
	t.Helper()
	found, err := r.Find(documents(c))
	if err != nil || len(found) != 1 {
		t.Fatalf("%d found, %v", len(found), err)
	}
	return found[0]
}

func keptCopy(c Copy) Copy {
	c.Source, c.Destination = kept(c.Source), kept(c.Destination)
	return c
}

func each(t testing.TB, r *Record, limit int, wanted ...State) (all []Copy) {
	t.Helper()
	var cursor Cursor
	for {
		page, next, err := r.Each(cursor, limit, wanted...)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) > limit {
			t.Fatalf("a page of %d", len(page))
		}
		if len(page) == 0 {
			return all
		}
		all, cursor = append(all, page...), next
	}
}

func TestANewRecordIsEmpty(t *testing.T) {
	t.Parallel()
	path := Path(filepath.Join(t.TempDir(), "sub", "k.checkpoint"))
	if there, err := Exists(path); there || err != nil {
		t.Errorf("there %v, %v", there, err)
	}
	r := open(t, path, opening)
	if h := r.Header(); h.Fingerprint != opening.Identity.Fingerprint || h.Rounds != 0 || h.Created.IsZero() {
		t.Errorf("header %+v", h)
	}
	if c := find(t, r, sample(1, None)); c.State != None || c.Key != sample(1, None).Key {
		t.Errorf("found %+v", c)
	}
	if all := each(t, r, 10); len(all) != 0 || len(r.Counts()) != 0 {
		t.Errorf("%d entries, counts %v", len(all), r.Counts())
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() != r.Bytes() {
		t.Errorf("%v, %v", info, err)
	}
	closeRecord(t, r)
	if there, err := Exists(path); !there || err != nil {
		t.Errorf("there %v, %v", there, err)
	}
	for range 2 {
		if err := Remove(path); err != nil {
			t.Error(err)
		}
	}
	if there, err := Exists(path); there || err != nil {
		t.Errorf("there %v, %v", there, err)
	}
}

// Whatever is done in whatever order, the record says what a map would say, before and
// after it is opened again.
func TestTheRecordIsAMap(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "k.copies")
	r := open(t, path, opening)
	model := map[int]Copy{}
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 150 {
		numbers := random.Perm(sampled)[:random.IntN(20)]
		var batch []Copy
		what := random.IntN(5)
		for _, n := range numbers {
			c := sample(n, Copied+State(random.IntN(2)))
			batch = append(batch, c)
			switch was := model[n].State; {
			case what == 0:
				c.State = Intended
				model[n] = keptCopy(c)
			case what == 1 && was != None && was != Intended:
				c.State = c.State.doubted()
				model[n] = keptCopy(c)
			case what == 2:
				delete(model, n)
			case what > 2:
				model[n] = keptCopy(c)
			}
		}
		wait(t, []func([]Copy) *checkpoint.Ticket{r.Intend, r.Doubt, r.Drop, r.Put, r.Put}[what](batch))
		if round%50 == 0 {
			closeRecord(t, r)
			r = open(t, path, opening)
		}
		compareToModel(t, r, model)
	}
	closeRecord(t, r)
}

// sampled is how many documents the model has at most.
const sampled = 80

func compareToModel(t *testing.T, r *Record, model map[int]Copy) {
	t.Helper()
	counts := map[State]int64{}
	byKey := map[drivers.Key]Copy{}
	for _, c := range model {
		counts[c.State]++
		byKey[c.Key] = c
	}
	if got := r.Counts(); !maps.Equal(got, counts) {
		t.Fatalf("counts %v, want %v", got, counts)
	}
	all := each(t, r, 7)
	if len(all) != len(model) {
		t.Fatalf("%d entries, want %d", len(all), len(model))
	}
	for _, c := range all {
		if c != byKey[c.Key] {
			t.Fatalf("got  %+v\nwant %+v", c, byKey[c.Key])
		}
	}
	for s := Intended; s <= CommittedDoubted; s++ {
		if n := len(each(t, r, 3, s)); int64(n) != counts[s] {
			t.Fatalf("%d entries %v, want %d", n, s, counts[s])
		}
	}
	for n := range sampled {
		want := model[n]
		if got := find(t, r, sample(n, None)); want.State == None && got.State != None || want.State != None && got != want {
			t.Fatalf("found %+v\nwant %+v", got, want)
		}
	}
}

// Entries with keys of every sort are found, and more logical buckets than have numbers.
func TestAnyKeyIsFound(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "k.copies")
	r := open(t, path, opening)
	var all []Copy
	for i, text := range awkward {
		for j, bucket := range awkward {
			all = append(all, Copy{Key: drivers.Key{UserID: awkward[(i+j)%len(awkward)], Bucket: bucket, ArchiveID: text}, Name: awkward[(2*i+j)%len(awkward)], State: Copied, When: time.Unix(0, 0).UTC()})
		}
	}
	for n := range 300 {
		all = append(all, Copy{Key: drivers.Key{Bucket: fmt.Sprint("many", n)}, State: Copied, When: time.Unix(0, 0).UTC()})
	}
	wait(t, r.Put(all))
	for range 2 {
		found, err := r.Find(documents(all...))
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range found {
			if c != all[i] {
				t.Fatalf("found %+v\nwant  %+v", c, all[i])
			}
		}
		if n := len(each(t, r, 100)); n != len(all) {
			t.Fatalf("%d entries, want %d", n, len(all))
		}
		closeRecord(t, r)
		r = open(t, path, opening)
	}
	wait(t, r.Drop(all))
	if n := len(each(t, r, 100)); n != 0 || len(r.Counts()) != 0 {
		t.Errorf("%d entries are left, counts %v", n, r.Counts())
	}
}

func TestATurnedRecordIsSeenFromTheOtherSide(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "k.copies")
	r := open(t, path, opening)
	wait(t, r.Put([]Copy{sample(1, Copied), sample(2, Committed), sample(3, Committed), sample(4, Doubted)}))
	closeRecord(t, r)

	r = open(t, path, turned)
	if got, want := r.Counts(), (map[State]int64{Copied: 2, Committed: 1, CommittedDoubted: 1}); !maps.Equal(got, want) {
		t.Errorf("counts %v, want %v", got, want)
	}
	if c := find(t, r, sample(2, None)); c.State != Copied || c.Source != kept(sample(2, None).Destination) || c.Destination != kept(sample(2, None).Source) {
		t.Errorf("found %+v", c)
	}
	copied := each(t, r, 1, Copied)
	if len(copied) != 2 {
		t.Fatalf("%d are copied", len(copied))
	}
	for i := range copied {
		copied[i].State = Committed
	}
	wait(t, r.Put(copied[:1]))
	wait(t, r.Intend(copied[1:]))
	closeRecord(t, r)

	r = open(t, path, opening)
	if got, want := r.Counts(), (map[State]int64{Intended: 1, Copied: 2, Doubted: 1}); !maps.Equal(got, want) {
		t.Errorf("counts %v, want %v", got, want)
	}
	if c := find(t, r, copied[0]); c != keptCopy(sample(int(c.Source.Bytes), Copied)) {
		t.Errorf("found %+v", c)
	}
}

func TestTheHeaderIsKept(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "k.copies")
	r := open(t, path, opening)
	wait(t, r.Update(func(h *Header) { h.TaskID, h.Since, h.Pulse = 7, 99, "pulse" }))
	want := r.Header()
	closeRecord(t, r)
	r = open(t, path, opening)
	if got := r.Header(); got != want || got.TaskID != 7 {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestAnotherMigrationsRecordIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "k.copies")
	closeRecord(t, open(t, path, opening))
	for name, o := range map[string]Opening{
		"another identity":     {Identity: checkpoint.Identify("db:// -> swift://"), Source: sourceURI, Destination: destinationURI},
		"other places":         {Identity: opening.Identity, Source: sourceURI, Destination: sourceURI},
		"the wrong way round":  {Identity: opening.Identity, Source: sourceURI, Destination: destinationURI, Turned: true},
		"the way not returned": {Identity: opening.Identity, Source: destinationURI, Destination: sourceURI},
	} {
		_, err := Open(path, o)
		var mismatch *checkpoint.MismatchError
		if !errors.As(err, &mismatch) || !strings.Contains(err.Error(), "record of copies "+path+" belongs to another migration (db:// -> s3://bucket/") {
			t.Errorf("%s: %v", name, err)
		}
	}
	r := open(t, path, turned)
	_, err := Open(path, turned)
	var inUse *checkpoint.InUseError
	if !errors.As(err, &inUse) || err.Error() != "record of copies "+path+" is in use by another kedge" {
		t.Errorf("%v", err)
	}
	closeRecord(t, r)
}

func TestADamagedRecordSaysWhatItsLossCosts(t *testing.T) {
	t.Parallel()
	check := func(where string, err error, path string) {
		t.Helper()
		var damaged *DamagedError
		if !errors.As(err, &damaged) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "nothing else is lost") {
			t.Errorf("%s: %v", where, err)
		}
	}
	path := filepath.Join(t.TempDir(), "k.copies")
	r := open(t, path, opening)
	wait(t, r.Put([]Copy{sample(1, Copied)}))
	if err := r.db.Update(func(tx *bolt.Tx) error {
		k, _ := tx.Bucket(bucketCopies).Cursor().First()
		return tx.Bucket(bucketCopies).Put(append([]byte(nil), k...), []byte{1, 2, 3})
	}); err != nil {
		t.Fatal(err)
	}
	_, err := r.Find(documents(sample(1, None)))
	check("Find", err, path)
	_, _, err = r.Each(Cursor{}, 1)
	check("Each", err, path)
	closeRecord(t, r)

	if err := os.WriteFile(path, []byte(strings.Repeat("no database ", 4096)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Open(path, opening)
	check("Open", err, path)
}

func TestAFailedWriteFailsEveryLaterTicket(t *testing.T) {
	t.Parallel()
	r := open(t, filepath.Join(t.TempDir(), "k.copies"), opening)
	if err := r.db.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.Intend([]Copy{sample(1, Intended)}).Wait(t.Context()); err == nil || !strings.Contains(err.Error(), "record of copies") {
			t.Errorf("a write to a closed file: %v", err)
		}
	}
	if err := r.Close(); err == nil {
		t.Error("Close hides the failed write")
	}
}

// Many ask at once, more than wait in a row, while others read.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	r := open(t, filepath.Join(t.TempDir(), "k.copies"), opening)
	done := make(chan error)
	const workers, batches = 16, 30
	for w := range workers {
		go func() {
			var err error
			for i := range batches {
				c := sample(w*batches+i, Copied)
				r.Intend([]Copy{c})
				r.Update(func(h *Header) { h.Rounds++ })
				err = errors.Join(err, r.Put([]Copy{c}).Wait(t.Context()))
				found, ferr := r.Find(documents(c))
				if err = errors.Join(err, ferr); err == nil && found[0] != keptCopy(c) {
					err = fmt.Errorf("found %+v", found[0])
				}
			}
			done <- err
		}()
	}
	for range workers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if got := r.Counts()[Copied]; got != workers*batches || r.Header().Rounds != workers*batches {
		t.Errorf("%d copied, %d rounds; want %d", got, r.Header().Rounds, workers*batches)
	}
	closeRecord(t, r)
}
