package pipeline

import (
	"context"
	"crypto/md5"
	"encoding/hex"

	"github.com/kedge/kedge/drivers"
)

// hashedThere says whether the MD5 of a payload that is held may be left to the
// destination, which compares it with the catalog's digest and says with its
// receipt what it holds: computing it here as well is half of what a document of
// some 100 KB costs. Not where anything could be lost if the payload proved wrong
// and the server had taken it all the same: where other rows name the place, or
// an earlier run may have put the document there.
func (m *migration) hashedThere(it *item, told string, bytes int64) bool {
	return it.doc.Digest != "" && (told == "" || told == it.doc.Digest) &&
		!it.doc.Compressed && !it.siblings && !it.revived &&
		bytes > 0 && m.passes(it, bytes) && m.settled.known() && !m.provesNothing.Load()
}

// settleUnhashed looks at what became of the put of a payload that was not hashed
// before. Only where the destination does not say that it holds what the
// catalog says, the MD5 is computed after all, to find out what is wrong.
func (m *migration) settleUnhashed(ctx context.Context, it *item, receipt drivers.Receipt, err error) (drivers.Receipt, error) {
	switch {
	case err == nil && receipt.ProvenMD5 == it.digest:
		return receipt, nil
	case err == nil && receipt.ProvenMD5 == "":
		m.provesNothing.Store(true)
	case err != nil && drivers.KindOf(err) != drivers.Corrupt:
		return receipt, err
	}
	sum := md5.Sum(it.payload)
	wrong := checkPayload(it, hex.EncodeToString(sum[:]), "", int64(len(it.payload)))
	if wrong == nil {
		return receipt, err
	}
	if err == nil {
		wrong = m.takeBack(ctx, it, wrong)
	}
	it.fail(stageFetch, classOf(wrong, ClassFetch), wrong)
	return receipt, wrong
}
