package pipeline

import (
	"fmt"
	"slices"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/copies"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/store"
)

// state is how far a document has come. docs/architecture.md draws the whole
// ("The life of a document"). A state changes in this file and nowhere else; a
// test looks for that.
//
// A Copy ends with copied: the record of copies says, durably, what the destination
// holds. A later migration comes from found to copied by that record, and goes on to
// proved, from where everything is as in any migration. So does a document that the
// destination holds though its row names the source (heldThere).
type state uint8

const (
	// The row names the source.
	stateFound  state = iota // nothing is done yet, or the payload has to be streamed
	stateHeld                // the payload is in memory, in the form that it came in or is to be put in
	statePut                 // the destination took the payload
	stateCopied              // the record of copies, or what was read there, proves what the destination holds
	stateProved              // the destination holds it, by its own MD5, read back, or by the record

	// The row names the destination.
	stateMovedBefore // as this run found it; what the destination holds is not proved yet
	stateCommitted   // and the destination has proved what it holds: now the source may go
	stateSourceGone
	stateNothingLeft // purge: there is no payload of this document's own at the source
	stateSourceLeft  // the source stays, for the reason in failure

	// The row names the source, or what somebody else has written there, and the
	// document stays where it was, for the reason in failure.
	stateStays

	stateCount
)

var stateNames = [stateCount]string{"found", "held", "put", "copied", "proved", "moved before", "committed", "source gone", "nothing left", "source left", "stays"}

// String names the state.
func (s state) String() string { return stateNames[s] }

// followers are the states that may follow each. A document that has one may also
// fail, which ends it; one that has none has ended.
var followers = [stateCount][]state{
	stateFound:       {stateHeld, statePut, stateCopied, stateMovedBefore},
	stateHeld:        {stateFound, statePut},
	statePut:         {stateProved},
	stateCopied:      {stateProved},
	stateProved:      {stateCopied, stateCommitted},
	stateMovedBefore: {stateCommitted, stateNothingLeft},
	stateCommitted:   {stateSourceGone, stateNothingLeft},
}

// life is what has become of a document so far.
type life struct {
	state state
	// failure is why it stays, or its source does; nil in all other states.
	failure *checkpoint.Failure
}

// pending says whether the document is still to be moved.
func (l *life) pending() bool { return l.state <= stateProved }

// carries says whether its payload is still to be brought to the destination.
func (l *life) carries() bool { return l.state <= statePut }

// moved says whether its row names the destination.
func (l *life) moved() bool { return l.state >= stateMovedBefore && l.state <= stateSourceLeft }

// leftForGood says that its source is not kedge's to delete.
func (l *life) leftForGood() bool {
	return l.state == stateSourceLeft && l.failure.Class == failure.ClassLeft
}

// ended says that nothing can happen to it any more.
func (l *life) ended() bool { return len(followers[l.state]) == 0 }

// ready says whether a document may come to a state next. If not, the document
// fails: the fault is kedge's, and nothing is lost while row, payload and source stay
// as they are.
func (it *item) ready(next state) bool {
	legal := slices.Contains(followers[it.state], next)
	if it.state == stateFound && (next == stateHeld || next == statePut) {
		legal = it.carriage.streamed() == (next == statePut) // what is not streamed is held before it is put
	}
	if legal {
		return true
	}
	err := fmt.Errorf("a fault of kedge's own: a document that is %q cannot come to be %q", it.state, next)
	if it.moved() {
		it.fail(failure.StageDelete, failure.ClassDelete, err)
	} else {
		it.fail(failure.StageVerify, failure.ClassVerify, err)
	}
	return false
}

func (it *item) enter(next state) bool {
	if !it.ready(next) {
		return false
	}
	it.state = next
	return true
}

// fail ends a document for the first reason that is given: it stays, or, where
// its row names the destination already, its source does.
func (it *item) fail(stage, class string, err error) {
	if it.ended() {
		return
	}
	if it.moved() {
		it.state = stateSourceLeft
	} else {
		it.state = stateStays
	}
	it.payload = nil
	it.failure = &checkpoint.Failure{
		Entry: it.entry(), Stage: stage, Class: class,
		Reason: failure.Reason(err),
	}
}

// hold takes the payload of a document that is found. Its digest was computed from
// these bytes, or is the catalog's, with which the destination will compare them.
func (it *item) hold(payload []byte, digest string, how carriage) bool {
	if !it.enter(stateHeld) {
		return false
	}
	it.payload, it.digest, it.bytes, it.carriage = payload, digest, int64(len(payload)), how
	it.fetchedBytes = it.bytes
	return true
}

// letGo gives up a payload that is held and has to be streamed after all.
func (it *item) letGo() {
	if it.enter(stateFound) {
		it.payload, it.carriage = nil, streamed
	}
}

// foundMoved notes that the row, or where that cannot tell, the destination, shows
// that an earlier run has moved the document.
func (it *item) foundMoved(by mover) {
	if it.enter(stateMovedBefore) {
		it.mover = by
		it.compressed, it.digest, it.bytes = it.doc.Compressed, it.doc.Digest, it.doc.Bytes
	}
}

// copiedBefore notes that the record proves what the destination holds of the document.
func (it *item) copiedBefore(c copies.Copy) bool {
	if !it.enter(stateCopied) {
		return false
	}
	it.copy = c
	it.digest, it.bytes, it.compressed = c.Destination.Digest, c.Destination.Bytes, c.Destination.Compressed
	return true
}

// adopt notes that the destination holds what a row tells that names the source, where
// nothing is: an earlier run has moved the document, and the catalog fell back behind it.
func (it *item) adopt(held store.Held) bool {
	if !it.enter(stateCopied) {
		return false
	}
	it.mover = forgottenRun
	it.digest, it.bytes, it.compressed = held.Digest, held.Bytes, held.Compressed
	return true
}

// recorded notes that the record of copies says so, durably.
func (it *item) recorded() bool { return it.enter(stateCopied) }

// taken notes that the destination took the payload, which was held or streamed.
func (it *item) taken(receipt drivers.Receipt) bool {
	it.receipt = receipt
	return it.enter(statePut)
}

// prove notes that the destination holds a payload with this MD5. It says whether
// that is the one that was put, or of which the row tells.
func (it *item) prove(md5 string) bool {
	if md5 == "" || md5 != it.digest {
		return false
	}
	if it.state == stateMovedBefore {
		return it.enter(stateCommitted)
	}
	return it.enter(stateProved)
}

// conclude lets no document end on its way: what was neither moved nor failed until
// now does so, and so does one whose source was to go and was not looked at. A Copy
// ends with copied.
func (it *item) conclude(copying, keepSource bool) {
	switch {
	case copying && it.state == stateCopied:
	case it.pending(), it.state == stateMovedBefore && !keepSource:
		it.ready(stateSourceGone)
	}
}

// commit notes that the row was changed, durably, to name the destination.
func (it *item) commit() bool { return it.enter(stateCommitted) }

// sourceGone notes that the source was deleted, durably.
func (it *item) sourceGone() bool { return it.enter(stateSourceGone) }

// nothingLeft notes that no payload of the document's own is at the source.
func (it *item) nothingLeft() bool { return it.enter(stateNothingLeft) }
