package pipeline

import (
	"context"
	"crypto/md5"
	"encoding/hex"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/store"
)

// hashedThere says whether the MD5 of a payload that is held may be left to the
// destination, which compares it with the catalog's digest and says with its
// receipt what it holds: computing it here as well is half of what a document of
// some 100 KB costs. Not where anything could be lost if the payload proved wrong
// and the server had taken it all the same: where other rows name the place, or
// an earlier run may have put the document there. Nor while services write: they may
// have replaced the payload since its row was read, and of a run that is killed before
// the proof the record has only the row's digest, by which nobody would know the
// payload for kedge's own.
func (m *migration) hashedThere(it *item, told string, bytes int64) bool {
	if m.Job == Copy || !m.route.Passes(it.doc, bytes) && !m.readsBack(it, bytes) {
		return false
	}
	return it.doc.Digest != "" && (told == "" || told == it.doc.Digest) &&
		!it.doc.Compressed && !it.siblings && !it.revived && it.dest != it.doc.URI &&
		bytes > 0 && m.settled.Known() && !m.provesNothing.Load()
}

// readsBack says whether the payload is read back from the destination unless its
// receipt says what is there, and nothing is replaced by it unless it is what the
// catalog says: that MD5 is then compared with the catalog's digest, and once is
// enough.
func (m *migration) readsBack(it *item, bytes int64) bool {
	return m.dst.Capabilities().TakesUnhashed && m.route.StaysAsItIs(it.doc, bytes)
}

// whatIsWrong says what is wrong with a payload as it came from the source, which was not
// hashed before, and tells its MD5. nil if it is what the catalog says.
func (it *item) whatIsWrong() (digest string, err error) {
	sum := md5.Sum(it.payload)
	digest = hex.EncodeToString(sum[:])
	return digest, store.Check(it.doc, digest, "", int64(len(it.payload)))
}

// settleUnhashed looks at what became of the put of a payload that was not hashed
// before. Only where the destination does not say that it holds what the
// catalog says, the MD5 is computed after all, to find out what is wrong.
func (m *migration) settleUnhashed(ctx context.Context, it *item, receipt drivers.Receipt, err error) (drivers.Receipt, error) {
	switch {
	case err == nil && receipt.ProvenMD5 == it.digest:
		return receipt, nil
	case err == nil && receipt.ProvenMD5 == "" && m.readsBack(it, it.bytes):
		return receipt, nil
	case err == nil && receipt.ProvenMD5 == "":
		m.provesNothing.Store(true)
	case err != nil && (drivers.KindOf(err) == drivers.Temporary || context.Cause(ctx) != nil):
		return receipt, err
	}
	sum, wrong := it.whatIsWrong()
	switch {
	case wrong == nil:
		return receipt, err
	case err == nil:
		it.receipt = receipt
		wrong = m.takeBack(ctx, it, wrong)
	default:
		wrong = m.remover().TakeBackRotten(ctx, it.asPut(), sum, wrong)
	}
	it.fail(failure.StageFetch, failure.ClassOf(wrong, failure.ClassFetch), wrong)
	return receipt, wrong
}
