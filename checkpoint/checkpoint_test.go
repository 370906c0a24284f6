package checkpoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var identity = Identity{Fingerprint: "f1", Description: "db:// -> s3://bucket/"}

func open(t *testing.T, path string) *Checkpoint {
	t.Helper()
	c, err := Open(path, identity)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func wait(t *testing.T, ticket *Ticket) {
	t.Helper()
	if err := ticket.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func entry(n int) Entry {
	return Entry{UserID: "admin", Bucket: "b", ArchiveID: fmt.Sprintf("id\x00/%04d", n), Name: fmt.Sprintf("%04d.json", n), URI: fmt.Sprintf("db://admin/b/%04d", n)}
}

func position(n int) Position {
	e := entry(n)
	return Position{Bucket: e.Bucket, ArchiveID: e.ArchiveID, UserID: e.UserID, Name: e.Name}
}

func failures(t *testing.T, c *Checkpoint) []Failure {
	t.Helper()
	var list []Failure
	if _, err := c.Failures(nil, func(f Failure) bool { list = append(list, f); return true }); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestANewCheckpointStartsAtTheBeginning(t *testing.T) {
	c := open(t, filepath.Join(t.TempDir(), "sub", "k.checkpoint"))
	defer c.Close()
	if c.Resumed() {
		t.Error("a new file says that it was there")
	}
	if h := c.Header(); h.Position != (Position{}) || h.Fingerprint != "f1" || h.TaskID != 0 {
		t.Errorf("header of a new file: %+v", h)
	}
	info, err := os.Stat(c.Path())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v; want 0600", info.Mode(), err)
	}
}

func TestWhatWasInFlightIsThereAfterReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k.checkpoint")
	c := open(t, path)
	wait(t, c.Begin(7, 100, 5000, time.Time{}))
	first, _ := c.Intend([]Entry{entry(0), entry(1)}, position(1))
	second, ticket := c.Intend([]Entry{entry(2)}, position(2))
	wait(t, ticket)
	failed := Failure{Entry: entry(1), Stage: "fetch", Class: "wrong-digest", Reason: "the catalog's digest is …"}
	wait(t, c.Done(first, Outcome{Counts: Counts{Moved: 1, BytesRead: 10, BytesWritten: 5}, Failed: []Failure{failed}}))
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}

	c = open(t, path)
	defer c.Close()
	h := c.Header()
	if !c.Resumed() || h.TaskID != 7 || h.Documents != 100 || h.Position != position(2) || h.Counts.Moved != 1 || h.Finished {
		t.Errorf("reopened: resumed %v, %+v", c.Resumed(), h)
	}
	var numbers []uint64
	err := c.InFlight(func(number uint64, entries []Entry) error {
		numbers = append(numbers, number)
		if len(entries) != 1 || entries[0] != entry(2) {
			t.Errorf("batch %d holds %+v", number, entries)
		}
		return nil
	})
	if err != nil || len(numbers) != 1 || numbers[0] != second {
		t.Errorf("in flight: %v, %v; want only %d", numbers, err, second)
	}
	if got := failures(t, c); len(got) != 1 || got[0] != failed {
		t.Errorf("failures: %+v", got)
	}
	if next, _ := c.Intend(nil, position(2)); next != second+1 {
		t.Errorf("the next batch is %d, want %d", next, second+1)
	}
}

func TestAFailureIsClearedWhenTheDocumentMoves(t *testing.T) {
	c := open(t, filepath.Join(t.TempDir(), "k.checkpoint"))
	defer c.Close()
	n, _ := c.Intend([]Entry{entry(1)}, position(1))
	wait(t, c.Done(n, Outcome{Failed: []Failure{{Entry: entry(1), Stage: "put"}}}))
	n, _ = c.Intend([]Entry{entry(1)}, position(1))
	wait(t, c.Done(n, Outcome{Cleared: []Entry{entry(1)}}))
	if got := failures(t, c); len(got) != 0 {
		t.Errorf("still failed: %+v", got)
	}
}

func TestFailuresAreReadInPieces(t *testing.T) {
	c := open(t, filepath.Join(t.TempDir(), "k.checkpoint"))
	defer c.Close()
	const n = 1000
	var o Outcome
	for i := range n {
		o.Failed = append(o.Failed, Failure{Entry: entry(i), Stage: map[bool]string{true: "delete", false: "fetch"}[i%3 == 0]})
	}
	wait(t, c.Done(1, o))
	seen := make(map[Entry]int)
	var after []byte
	for {
		count := 0
		last, err := c.Failures(after, func(f Failure) bool { seen[f.Entry]++; count++; return count < 64 })
		if err != nil {
			t.Fatal(err)
		}
		if count == 0 {
			break
		}
		after = last
	}
	if len(seen) != n {
		t.Errorf("%d of %d failures seen", len(seen), n)
	}
	for e, times := range seen {
		if times != 1 {
			t.Errorf("%v seen %d times", e, times)
		}
	}
	if err := c.ClearFailures(func(f Failure) bool { return f.Stage != "delete" }); err != nil {
		t.Fatal(err)
	}
	left := failures(t, c)
	if len(left) != 334 {
		t.Errorf("%d failures left, want the 334 of stage delete", len(left))
	}
	for _, f := range left {
		if f.Stage != "delete" {
			t.Errorf("%+v was not cleared", f)
		}
	}
}

func TestAnotherMigrationsCheckpointIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k.checkpoint")
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	_, err := Open(path, Identity{Fingerprint: "f2", Description: "db:// -> file:///a/"})
	var mismatch *MismatchError
	if !errors.As(err, &mismatch) || mismatch.Is != identity.Description {
		t.Errorf("got %v, want a MismatchError that names both migrations", err)
	}
}

func TestACheckpointInUseIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k.checkpoint")
	c := open(t, path)
	defer c.Close()
	_, err := Open(path, identity)
	var inUse *InUseError
	if !errors.As(err, &inUse) {
		t.Errorf("got %v, want an InUseError", err)
	}
}

func TestWhatIsNoCheckpointIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k.checkpoint")
	if err := os.WriteFile(path, make([]byte, 64<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := Open(path, identity); err == nil {
		c.Close()
		t.Error("a file of zeros was taken for a checkpoint")
	}
}

// The file must not grow with the number of batches that have passed through.
func TestTheFileStaysSmall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k.checkpoint")
	c := open(t, path)
	var last *Ticket
	for i := range 300 {
		entries := make([]Entry, 256)
		for j := range entries {
			entries[j] = entry(i*256 + j)
		}
		n, _ := c.Intend(entries, position(i*256+255))
		last = c.Done(n, Outcome{Counts: Counts{Moved: 256}, Cleared: entries})
	}
	wait(t, last)
	if got := c.Header().Counts.Moved; got != 300*256 {
		t.Errorf("moved %d", got)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() > 8<<20 {
		t.Errorf("%d bytes after 300 batches, %v; want at most 8 MiB", info.Size(), err)
	}
}

func TestAFailedWriteFailsEveryLaterTicket(t *testing.T) {
	c := open(t, filepath.Join(t.TempDir(), "k.checkpoint"))
	if err := c.db.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, ticket := c.Intend([]Entry{entry(1)}, position(1))
		if err := ticket.Wait(t.Context()); err == nil {
			t.Error("a write to a closed file was called durable")
		}
	}
	if err := c.Close(); err == nil {
		t.Error("Close hides the failed write")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encodeEntries([]Entry{entry(1), entry(2)}))
	f.Add(Failure{Entry: entry(1), Stage: "put", Class: "put-failed", Reason: "why"}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if entries, err := decodeEntries(b); err == nil {
			again, err := decodeEntries(encodeEntries(entries))
			if err != nil || len(again) != len(entries) {
				t.Errorf("%v does not survive a round trip: %v", entries, err)
			}
		}
		if failure, err := decodeFailure(b); err == nil {
			if again, err := decodeFailure(failure.encode()); err != nil || again != failure {
				t.Errorf("%+v does not survive a round trip: %v", failure, err)
			}
		}
	})
}

// A position keeps bytes that are no text.
func TestPositionsKeepEveryByte(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.checkpoint")
	want := Position{Bucket: "b", ArchiveID: "a\xff", UserID: "\xfe\x00é", Name: "\ufffd"}
	c := open(t, path)
	_, ticket := c.Intend(nil, want)
	if err := ticket.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = open(t, path)
	defer c.Close()
	if got := c.Header().Position; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
