package journal

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

func sample(n int) Record {
	return Record{
		When: time.UnixMilli(1700000000000 + int64(n)).UTC(), Task: 7, Result: Moved,
		UserID: "admin", Bucket: "b", ArchiveID: "a\x00/ü\n", DocumentName: "x.json",
		From: "db://admin/b/a", To: "s3://bucket/admin/b/a", PlainDigest: "d41d8cd98f00b204e9800998ecf8427e",
		PlainBytes: int64(n), StoredBytes: -1, Compressed: n%2 == 0, Reason: string(bytes.Repeat([]byte("r"), n)),
	}
}

func write(t *testing.T, path string, records ...Record) {
	t.Helper()
	w, err := Open(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if err := w.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, b []byte) (records []Record, torn bool) {
	t.Helper()
	r, err := NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	for {
		record, err := r.Next()
		if err == io.EOF {
			return records, false
		}
		if errors.Is(err, ErrTorn) {
			return records, true
		}
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, record)
	}
}

func TestRecordsComeBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	write(t, path, sample(0), sample(1))
	write(t, path, sample(300))
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, torn := read(t, b)
	if want := []Record{sample(0), sample(1), sample(300)}; torn || !reflect.DeepEqual(got, want) {
		t.Errorf("torn %v, got %+v", torn, got)
	}
}

// Opened at a known offset, what lies before is not read again.
func TestOpenedAtAnOffset(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	write(t, path, sample(1))
	w, err := Open(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	good := w.Offset()
	if err := errors.Join(w.Append(sample(2)), w.Close()); err != nil {
		t.Fatal(err)
	}
	if w, err = Open(path, good); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Append(sample(3)), w.Close()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, torn := read(t, b); torn || !reflect.DeepEqual(got, []Record{sample(1), sample(2), sample(3)}) || int64(len(b)) != w.Offset() {
		t.Errorf("torn %v, %d records, %d bytes, offset %d", torn, len(got), len(b), w.Offset())
	}
}

// Cut anywhere, the journal gives all whole records, and goes on behind them.
func TestATornEndIsCutOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	write(t, path, sample(1), sample(2))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first := len(magic) + (len(whole)-len(magic))/2 - 1 // the records differ in length by one
	for n := len(magic); n < len(whole); n++ {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		write(t, path, sample(3))
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got, torn := read(t, b)
		want := []Record{sample(3)}
		if n > first {
			want = []Record{sample(1), sample(3)}
		}
		if torn || !(reflect.DeepEqual(got, want) || reflect.DeepEqual(got, []Record{sample(1), sample(3)})) {
			t.Fatalf("cut at %d of %d: torn %v, got %d records", n, len(whole), torn, len(got))
		}
	}
}

func TestAFlippedBitIsNoticed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	write(t, path, sample(1))
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(magic); i < len(b); i++ {
		flipped := bytes.Clone(b)
		flipped[i] ^= 4
		if got, torn := read(t, flipped); !torn || len(got) != 0 {
			t.Errorf("a flipped bit in byte %d was not noticed", i)
		}
	}
}

func TestWhatIsNoJournalIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	if err := os.WriteFile(path, []byte("somebody's notes"), 0o600); err != nil {
		t.Fatal(err)
	}
	if w, err := Open(path, 0); err == nil {
		w.Close()
		t.Error("somebody's notes were taken for a journal")
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "somebody's notes" {
		t.Errorf("they were changed: %q, %v", b, err)
	}
}

func FuzzReader(f *testing.F) {
	path := filepath.Join(f.TempDir(), "j")
	w, err := Open(path, 0)
	if err != nil {
		f.Fatal(err)
	}
	for n := range 3 {
		if err := w.Append(sample(n)); err != nil {
			f.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := NewReader(bytes.NewReader(b))
		if err != nil {
			return
		}
		for {
			if _, err := r.Next(); err != nil {
				return
			}
		}
	})
}
