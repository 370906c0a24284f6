package checkpoint

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// Identity tells one migration from another.
type Identity struct {
	// Fingerprint is equal for two runs exactly when the one may go on with
	// what the other left.
	Fingerprint string
	// Description says in one line what the migration does, without secrets,
	// for the message when a checkpoint of another migration is refused.
	Description string
}

// Identify gives the identity of the migration that is described so.
func Identify(description string) Identity {
	sum := sha256.Sum256([]byte(description))
	return Identity{Fingerprint: hex.EncodeToString(sum[:16]), Description: description}
}

// Counts are what a migration has done so far, over all its runs. Bytes are
// payload bytes as stored.
type Counts struct {
	Moved        int64 `json:"moved"`         // documents whose row names the destination now
	BytesRead    int64 `json:"bytes_read"`    // at the source
	BytesWritten int64 `json:"bytes_written"` // at the destination
	NoDigest     int64 `json:"no_digest"`     // moved documents whose row had no digest to check
	AlreadyThere int64 `json:"already_there"` // found done by an earlier, interrupted run
	// CopiedBefore are moved documents whose payloads stood at the destination already, by
	// the record of copies.
	CopiedBefore int64 `json:"copied_before,omitempty"`
	// Adopted are moved documents that were at the destination already, though their rows
	// named the source, where nothing was: the catalog had fallen back.
	Adopted int64 `json:"adopted,omitempty"`
	// Skipped are documents that nothing had to be done for.
	Skipped int64 `json:"skipped,omitempty"`
	// BytesCounted are the bytes of the moved and the skipped documents as they
	// were counted at the start: what their rows say, whatever was read.
	BytesCounted int64 `json:"bytes_counted,omitempty"`
}

// Add adds other to c.
func (c *Counts) Add(other Counts) {
	c.Moved += other.Moved
	c.BytesRead += other.BytesRead
	c.BytesWritten += other.BytesWritten
	c.NoDigest += other.NoDigest
	c.AlreadyThere += other.AlreadyThere
	c.CopiedBefore += other.CopiedBefore
	c.Adopted += other.Adopted
	c.Skipped += other.Skipped
	c.BytesCounted += other.BytesCounted
}

// Header is the checkpoint's state beside batches and failures.
type Header struct {
	Version     int       `json:"version"`
	Fingerprint string    `json:"fingerprint"`
	Description string    `json:"description"`
	Created     time.Time `json:"created"`
	// Since is when this pass over the catalog began, by the destination's clock: what
	// it says is older was put by somebody else. Zero where that is not known.
	Since time.Time `json:"since,omitzero"`
	// TaskID is the migration's row in the table tasks, 0 before there is one.
	TaskID int64 `json:"task_id"`
	// Documents is the number of documents to migrate, counted at the start.
	Documents int64 `json:"documents"`
	// Bytes is how many they have, as counted at the start; 0 in a file that an
	// older kedge began.
	Bytes int64 `json:"bytes,omitempty"`
	// Recorded says that what is committed is to be deleted by a record of copies.
	Recorded bool `json:"recorded,omitempty"`
	// Position is where enumeration goes on: behind the last batch intended.
	Position Position `json:"position"`
	// NextBatch is the number of the next batch.
	NextBatch uint64 `json:"next_batch"`
	// Finished says that enumeration reached its end and every batch is done:
	// what is left are failures.
	Finished bool `json:"finished"`
	// JournalBytes is the length of the journal when the last batch was done.
	JournalBytes int64  `json:"journal_bytes,omitempty"`
	Counts       Counts `json:"counts"`
}
