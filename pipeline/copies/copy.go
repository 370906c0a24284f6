package copies

import (
	"crypto/sha256"
	"time"

	"github.com/kedge/kedge/drivers"
)

// State is what is known of a copy.
type State uint8

// The states of a copy.
const (
	// None: there is no entry.
	None State = iota
	// Intended: something may have been put at the destination; nothing is proved.
	Intended
	// Copied: the row names the source, and the destination is proved.
	Copied
	// Committed: the row names the destination, and the source still stands.
	Committed
	// Doubted: it was copied, but the destination did not show it any more.
	Doubted
	// CommittedDoubted: it was committed, but the destination did not show it any more, or
	// nothing has proved what is there.
	CommittedDoubted

	states = iota
)

// String names the state.
func (s State) String() string {
	switch s {
	case None:
		return "none"
	case Intended:
		return "intended"
	case Copied:
		return "copied"
	case Committed:
		return "committed"
	case Doubted:
		return "doubted"
	case CommittedDoubted:
		return "committed, doubted"
	default:
		return "unknown"
	}
}

// turned is the state as it is seen from the other side.
func (s State) turned() State {
	switch s {
	case Copied:
		return Committed
	case Committed:
		return Copied
	case Doubted:
		return CommittedDoubted
	case CommittedDoubted:
		return Doubted
	default:
		return s
	}
}

// doubted is the state of an entry that the destination does not show, shown that of one
// that it shows.
func (s State) doubted() State {
	switch s {
	case Copied:
		return Doubted
	case Committed:
		return CommittedDoubted
	default:
		return s
	}
}

func (s State) shown() State {
	switch s {
	case Doubted:
		return Copied
	case CommittedDoubted:
		return Committed
	default:
		return s
	}
}

// Side is a payload at one of the two stores.
type Side struct {
	URI string
	// Digest is the MD5 of the payload as stored, in lower-case hex; "" where it is not
	// known.
	Digest string
	// Bytes is the payload's length as stored; -1 where it is not known.
	Bytes      int64
	Compressed bool
	// Version is the store's drivers.Info.Version, "" where it was not told. The record
	// keeps 8 bytes of a sum of it, and never gives it back: see SameVersion.
	Version string

	// sum is what the record has kept of the version; versioned says that there is one.
	sum       [8]byte
	versioned bool
}

// SameVersion compares the version that the payload had with the one that it has now.
// It is not known where either was not told.
func (s Side) SameVersion(version string) (same, known bool) {
	sum, ok := s.versionSum()
	if !ok || version == "" {
		return false, false
	}
	return sum == sumOfVersion(version), true
}

// versionSum is what the record keeps of the version.
func (s Side) versionSum() (sum [8]byte, ok bool) {
	if s.Version != "" {
		return sumOfVersion(s.Version), true
	}
	return s.sum, s.versioned
}

func sumOfVersion(version string) [8]byte {
	sum := sha256.Sum256([]byte(version))
	return [8]byte(sum[:8])
}

// Copy is the entry of one document: a row of the catalog.
type Copy struct {
	Key  drivers.Key
	Name string // documentName
	// Source is the payload as the row tells it, or told it before the commit.
	Source, Destination Side
	State               State
	// Put is what may have been put at the destination, where the state is Intended.
	Put Traces
	// Kept says that the source stays on purpose: a migration with --nodelete has committed
	// it. It means nothing where the entry is not committed.
	Kept bool
	// When is when the entry came to its state; the record keeps whole seconds.
	When time.Time
}

// turned is the copy as it is seen from the other side. What may have been put at the one
// store says nothing of the other.
func (c Copy) turned() Copy {
	c.Put = Traces{}
	c.Source, c.Destination = c.Destination, c.Source
	c.State = c.State.turned()
	return c
}
