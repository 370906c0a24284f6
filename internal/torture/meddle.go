package torture

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A meddling is a change of one document by somebody else while a migration
// runs or lies interrupted: its row is given another place, the document is
// written again with other bytes, or it is deleted. (Anchore should be stopped
// during a migration, and an operator forgets.)
type meddling struct {
	round *round
	d     *document
	id    rowID
}

// meddle changes a document that is still at the source. Between two runs that
// is done at once. During a run the change is made in a transaction that holds
// the row until the run wants to commit the document, so that the change comes
// between enumeration and commit. The result, if not nil, is to be finished
// beside that run.
func (r *round) meddle(ctx context.Context, interrupted bool) (*meddling, error) {
	candidates, err := r.meddleable(ctx)
	if err != nil || len(candidates) == 0 {
		return nil, err
	}
	d := candidates[r.r.IntN(len(candidates))]
	m := &meddling{round: r, d: d, id: d.rowID(d.names[0])}
	kind := r.r.IntN(3)
	between := interrupted && r.r.IntN(2) == 0
	if _, err := r.rig.conn.Exec(ctx, "BEGIN"); err != nil {
		return nil, err
	}
	if changed, err := m.change(ctx, kind); err != nil {
		return nil, err
	} else if !changed {
		_, err := r.rig.conn.Exec(ctx, "ROLLBACK")
		return nil, err
	}
	r.meddled = true
	r.story = append(r.story, fmt.Sprintf("%s %v is %s by somebody else (between two runs: %v)", d.kind, d.key,
		[]string{"given another place", "written again", "deleted"}[kind], between))
	if between {
		return nil, m.commit(ctx)
	}
	return m, nil
}

// meddleable are documents that are still at the source, mostly those that were
// in flight when the last run ended: these the next one commits first.
func (r *round) meddleable(ctx context.Context) (all []*document, err error) {
	rows, err := readCatalog(ctx, r.rig.conn)
	if err != nil {
		return nil, err
	}
	var inFlight []*document
	for _, d := range r.model.documents {
		if d.fate != moves || len(d.names) != 1 || d.large {
			continue
		}
		if row, ok := rows[d.rowID(d.names[0])]; ok && row.url != nil && *row.url == r.from.uri(d.key) {
			all = append(all, d)
			if r.work.last[row.id] {
				inFlight = append(inFlight, d)
			}
		}
	}
	if len(inFlight) > 0 && r.r.IntN(4) > 0 {
		return inFlight, nil
	}
	return all, nil
}

// change changes row and model, if the row still names the source: the server may
// have gone on with the commit of a run that was killed, and made it after the
// rows were read.
func (m *meddling) change(ctx context.Context, kind int) (changed bool, err error) {
	const where = ` WHERE bucket = $1 AND "archiveId" = $2 AND "userId" = $3 AND "documentName" = $4 AND content_url = $5`
	args := []any{m.id.bucket, m.id.archiveID, m.id.userID, m.id.name, m.round.from.uri(m.d.key)}
	var plain []byte
	statement := `DELETE FROM archive_metadata` + where
	switch kind {
	case 0:
		statement = `UPDATE archive_metadata SET content_url = $6` + where
		args = append(args, "tape://elsewhere/"+m.d.key.ArchiveID)
	case 1:
		plain = fmt.Appendf(nil, `{"document": "written again %d"}`, m.round.r.Uint64())
		statement = `UPDATE archive_metadata SET digest = $6, size = $7, is_compressed = false, last_updated = 1700000000` + where
		args = append(args, hexMD5(plain), int64(len(plain)))
	}
	done, err := m.round.rig.conn.Exec(ctx, statement, args...)
	if err != nil || done.RowsAffected() == 0 {
		return false, err
	}
	switch kind {
	case 0:
		m.d.fate = away
	case 1:
		m.d.plain, m.d.payload = plain, plain
	default:
		m.d.fate, m.d.payload = gone, nil
	}
	return true, nil
}

// commit changes the payload at the source and ends the transaction.
func (m *meddling) commit(ctx context.Context) error {
	r, uri := m.round, m.round.from.uri(m.d.key)
	if m.d.fate != away {
		if err := r.from.store.remove(ctx, []string{uri}); err != nil {
			return err
		}
	}
	if m.d.fate == moves {
		if err := r.from.store.fill(ctx, map[string][]byte{uri: m.d.payload}); err != nil {
			return err
		}
	}
	if _, err := r.rig.conn.Exec(ctx, "COMMIT"); err != nil {
		return err
	}
	rows, err := readCatalog(ctx, r.rig.conn)
	r.before[m.id] = rows[m.id]
	return err
}

// finish waits until the run wants the row, or has ended, and then lets it see
// the change.
func (m *meddling) finish(ctx context.Context, c *child) error {
	const wanted = `SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND transactionid = pg_current_xact_id()::xid)`
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		var waits bool
		if err := m.round.rig.conn.QueryRow(ctx, wanted).Scan(&waits); err != nil {
			return errors.Join(errors.New("watch for the run's commit"), err)
		}
		if waits {
			break
		}
		select {
		case <-c.ended:
			return m.commit(ctx)
		case <-time.After(5 * time.Millisecond):
		}
	}
	return m.commit(ctx)
}
