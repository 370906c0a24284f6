package checkpoint

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Who looks at a checkpoint finds what a run has left, and changes nothing.
func TestLook(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "k.checkpoint")
	if s, err := Look(path, identity); s != nil || err != nil {
		t.Errorf("%+v, %v where there is none", s, err)
	}
	if _, err := os.Stat(filepath.Dir(path)); !os.IsNotExist(err) {
		t.Errorf("the folder was made: %v", err)
	}
	c := open(t, path)
	wait(t, c.Begin(7, 100, 0, time.Time{}))
	first, _ := c.Intend([]Entry{entry(1), entry(2)}, position(2))
	c.Intend([]Entry{entry(3), entry(4), entry(5)}, position(5))
	wait(t, c.Done(first, Outcome{Counts: Counts{Moved: 1}, Failed: []Failure{{Entry: entry(2), Class: "wrong-digest"}}}))
	var inUse *InUseError
	if s, err := Look(path, identity); !errors.As(err, &inUse) {
		t.Errorf("%+v, %v while a run has it", s, err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Look(path, identity)
	if err != nil || s.TaskID != 7 || s.Documents != 100 || s.Counts.Moved != 1 || s.InFlight != 3 || !maps.Equal(s.Failed, map[string]int64{"wrong-digest": 1}) {
		t.Errorf("%+v, %v", s, err)
	}
	var mismatch *MismatchError
	if s, err := Look(path, Identity{Fingerprint: "another"}); !errors.As(err, &mismatch) {
		t.Errorf("%+v, %v for another migration", s, err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file was changed (%v)", err)
	}
}

// What is no checkpoint is said to be none.
func TestLookAtAnotherFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, content := range []string{"", "not a checkpoint", string(make([]byte, 64<<10))} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := Look(path, identity); s != nil || (err == nil) != (content == "") {
			t.Errorf("%d bytes: %+v, %v", len(content), s, err)
		}
		if after, err := os.ReadFile(path); err != nil || string(after) != content {
			t.Errorf("%d bytes: the file was changed (%v)", len(content), err)
		}
	}
}
