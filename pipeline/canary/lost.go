package canary

import "fmt"

// LostError says that the destination did not hold a document any more after its source
// was deleted. Nothing more is deleted.
type LostError struct {
	Document Document
	// Removed is how many sources the run had deleted until then, this one included.
	Removed int64
	// Kept is the file with the document's payload, "" where there is none: then Gone
	// documents of the sample were found missing, and others may be.
	Kept string
	Gone int
	// Err is why it could not be put back; nil where it was, or nothing could be.
	Err error
}

// Error says in one line what happened, and what is to be done.
func (e *LostError) Error() string {
	what := fmt.Sprintf("deleting at the source deletes at the destination: after the source of %s was deleted, the destination did not hold it any more at %s", e.Document.Name, e.Document.Destination)
	switch {
	case e.Kept == "":
		what += fmt.Sprintf("; it was not the first one, and of the %d documents whose sources this run has deleted others may be gone too: kedge verify names them", e.Removed)
	case e.Err != nil:
		what += fmt.Sprintf("; it could not be put back (%v), and is kept in %s, behind the first line", e.Err, e.Kept)
	default:
		what += fmt.Sprintf("; it was put back, and is kept in %s, too", e.Kept)
	}
	return what + ". Nothing more is deleted. Either the two are one place that is reached in two ways, or something carries deletions on (a replication of the bucket, a mirror, rsync --delete): end that before the next run, or keep the sources with --nodelete"
}

// Unwrap gives why the document could not be put back.
func (e *LostError) Unwrap() error { return e.Err }
