package takeback

import (
	"context"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/copies"
	"github.com/kedge/kedge/pipeline/store"
)

// putSince says whether what the destination tells of was put since this pass over the
// catalog began.
func (r Remover) putSince(there drivers.Info) bool {
	if r.Since.IsZero() || there.Modified.IsZero() {
		return false
	}
	return !there.Modified.Before(r.Since)
}

// putBefore says why what is at the place of an entry that is Intended was not certainly put
// by an earlier run of this record: by its MD5, or where that was not known by its time.
func (r Remover) putBefore(ctx context.Context, p Put, there drivers.Info) (err error) {
	if !p.Copy.Put.Known() {
		return r.ours(there)
	}
	held := there.MD5
	if held == "" {
		if held, err = store.Digest(ctx, r.Destination, p.Place); err != nil {
			return err
		}
	}
	if !p.Copy.Put.Has(held) {
		return errReplaced
	}
	return nil
}

// ours says why what is at a place was not certainly put by an earlier run of this record:
// since it was begun, and before this run. What this run has put it takes back itself.
func (r Remover) ours(there drivers.Info) error {
	began := r.Record.Header().Began
	switch at := there.Modified; {
	case began.IsZero() || r.Since.IsZero() || at.IsZero() || at.Before(began):
		return errOlder
	case !at.Before(r.Since):
		return errYoung
	}
	return nil
}

// mayBeServices says whether what is at the place of a copy may have been put there by
// Anchore's services, which were started when all rows had been changed.
func (r Remover) mayBeServices(p Put, there drivers.Info) bool {
	if r.Record == nil || p.Copy.State == copies.None || !r.Record.Header().Deleting {
		return false
	}
	return r.Since.IsZero() || there.Modified.IsZero() || !there.Modified.Before(r.Since)
}
