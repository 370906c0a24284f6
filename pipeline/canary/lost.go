package canary

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// LostError says that the destination did not hold a document any more after its source
// was deleted. Nothing more is deleted.
type LostError struct {
	Document Document
	// Removed is how many sources the run had deleted until then, this one included; 0
	// where an earlier run had.
	Removed int64
	// Others says that other documents may be gone too.
	Others bool
	// Kept is the file with the document's payload, "" where there is none.
	Kept string
	// Err is why it could not be put back from there; nil where it was.
	Err error
	// Before is what an earlier run has said, and nobody has seen to: in the file Noted.
	Before, Noted string
}

// Error says in one line what happened, and what is to be done.
func (e *LostError) Error() string {
	if e.Before != "" {
		return fmt.Sprintf("an earlier run has ended for this reason, and documents may be gone: %s. Remove %s when kedge verify has found all documents, or those that it names are restored or given up", e.Before, e.Noted)
	}
	what := fmt.Sprintf("deleting at the source deletes at the destination: after the source of %s was deleted, the destination did not hold it any more at %s", e.Document.Name, e.Document.Destination)
	switch {
	case e.Kept == "":
	case e.Err != nil:
		what += fmt.Sprintf("; it could not be put back (%v), and is kept in %s, behind the first line", e.Err, e.Kept)
	default:
		what += fmt.Sprintf("; it was put back, and is kept in %s, too", e.Kept)
	}
	switch {
	case e.Others && e.Removed > 1:
		what += fmt.Sprintf("; of the %d documents whose sources this run has deleted others may be gone too: kedge verify names them", e.Removed)
	case e.Others:
		what += "; others whose sources were deleted may be gone too: kedge verify names them"
	}
	return what + ". Nothing more is deleted. Either the two are one place that is reached in two ways, or something carries deletions on (a replication of the bucket, a mirror, rsync --delete): end that before the next run, or keep the sources with --nodelete"
}

// Unwrap gives why the document could not be put back.
func (e *LostError) Unwrap() error { return e.Err }

// noted is the file in which a run notes that documents may be gone.
func (w *Watch) noted() string { return w.File + notedEnding }

const notedEnding = ".lost"

// note writes that down, durably, for later runs.
func (w *Watch) note(lost *LostError) error {
	f, err := os.OpenFile(w.noted(), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(lost.Error() + "\n")
	return errors.Join(err, f.Sync(), f.Close())
}

// before is what an earlier run has noted there.
func before(path string) (*LostError, error) {
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read what an earlier run has noted: %w", err)
	}
	return &LostError{Before: strings.TrimRight(strings.TrimSpace(string(text)), "."), Noted: path}, nil
}
