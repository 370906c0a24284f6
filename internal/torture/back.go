package torture

import (
	"context"
)

// goBack lets services work at the new place, or not, and takes all back to the old
// one, where the payloads still are.
func (r *round) goBack(ctx context.Context) (err error) {
	if r.before, err = readCatalog(ctx, r.rig.conn); err != nil {
		return err
	}
	if r.r.IntN(4) > 0 {
		s, err := r.serve(ctx, r.to, r.toRule, r.rate())
		if err != nil {
			return err
		}
		err = s.await(ctx, int64(50+r.r.IntN(400)))
		s.stop(false)
		r.totals.Operations += s.done()
		if err != nil {
			return err
		}
		if err := r.settle(ctx, s); err != nil {
			return err
		}
	}
	if err := r.turn(ctx); err != nil {
		return err
	}
	if err := r.through(ctx, "rollback", rollbackPoints, nil); err != nil {
		return err
	}
	if err := r.last(ctx, "rollback", nil); err != nil {
		return err
	}
	return r.judge(ctx)
}

// turn turns the round: what was the destination is the source now. No payload is
// deleted on the way back.
func (r *round) turn(ctx context.Context) (err error) {
	r.from, r.to, r.rule, r.toRule = r.to, r.from, r.toRule, r.rule
	r.sourceFile, r.destinationFile = r.destinationFile, r.sourceFile
	r.keep, r.flags, r.open, r.migrated, r.work = true, nil, 0, 0, newWork(r.file("migrate.checkpoint.rollback"))
	var there, back []string
	for _, d := range r.model.documents {
		there, back = append(there, r.from.uri(d.key)), append(back, r.to.uri(d.key))
	}
	payloads, err := r.from.store.read(ctx, there)
	if err != nil {
		return err
	}
	left, err := r.to.store.read(ctx, back)
	if err != nil {
		return err
	}
	if r.before, err = readCatalog(ctx, r.rig.conn); err != nil {
		return err
	}
	for _, d := range r.model.documents {
		switch d.fate {
		case moves, settled:
			if d.names == nil {
				d.fate, d.payload = stray, payloads[r.from.uri(d.key)]
				continue
			}
			d.fate, d.payload = moves, payloads[r.from.uri(d.key)]
			if !d.readableAt(r.to) {
				// It was there before, where Anchore could not read it. The way back reports it
				// as any migration does, and leaves it where Anchore can, and what it had there.
				d.fate = stays
				if payload, ok := left[r.to.uri(d.key)]; ok {
					r.model.documents = append(r.model.documents, &document{kind: d.kind, key: d.key, fate: settled, payload: payload})
				}
			}
		case stray:
			d.fate = settled
		case gone:
			// What it had at the old place stays there: the way back deletes nothing.
			if payload, ok := left[r.to.uri(d.key)]; ok {
				d.fate, d.names, d.payload = settled, nil, payload
				r.totals.Left++
			}
		case stays:
			if r.before[d.rowID(d.names[0])].url != nil {
				d.fate = settled
				continue
			}
			// Its row is reported again; its payload has none now.
			r.model.documents = append(r.model.documents, &document{kind: d.kind, key: d.key, fate: settled, payload: d.payload})
			d.payload = nil
		}
	}
	r.over, err = readTasks(ctx, r.rig.conn)
	return err
}
