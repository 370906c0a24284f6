package torture

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
)

// settle takes into the round's model what services that have stopped have made
// of its documents: from now on that is what must be there. It compares the rows
// with what was put, so that it notices whoever else has changed any.
func (r *round) settle(ctx context.Context, s *services) error {
	for _, f := range s.failures {
		r.found(finding{wrong, "while the services were working: " + f})
	}
	r.story = append(r.story, "the services have stopped: "+s.String())
	rows, err := readCatalog(ctx, r.rig.conn)
	if err != nil {
		return err
	}
	at := s.manager.place
	touched := make(map[*document]bool)
	for _, one := range s.served {
		if one.touched.Load() == 0 {
			continue
		}
		d := one.document
		if d == nil {
			d = &document{kind: "new", key: one.key, names: []string{one.key.ArchiveID + ".json"}}
		}
		touched[d] = true
		if file, ok := strings.CutPrefix(at.uri(d.key), "file://"); ok {
			r.emptied[filepath.Dir(file)] = true
		}
		if one.unfinished {
			if last := one.plain.Load(); last != nil {
				d.plain = *last
			}
			err = r.observe(ctx, d, at, rows)
		} else {
			r.finished(d, one, s.manager, rows)
		}
		if err != nil {
			return err
		}
		if one.document == nil && (d.fate != gone || one.large.Load()) {
			r.model.documents = append(r.model.documents, d)
		}
	}
	for _, d := range r.model.documents {
		for _, name := range d.names {
			if id := d.rowID(name); !touched[d] && rows[id].whole != r.before[id].whole {
				r.found(finding{wrong, fmt.Sprintf("%s %v: its row was changed from %s to %s, and not by the services", d.kind, id, r.before[id].whole, rows[id].whole)})
			}
		}
	}
	r.before = rows
	return nil
}

// finished sets what a document is whose last write was finished.
func (r *round) finished(d *document, one *served, m *manager, rows map[rowID]row) {
	id := d.rowID(d.names[0])
	found, ok := rows[id]
	plain := one.plain.Load()
	if plain == nil {
		d.fate, d.plain, d.payload, d.large = gone, nil, nil, d.large || one.large.Load()
		return
	}
	d.fate, d.plain, d.payload, d.compressed = moves, *plain, *plain, m.rule.compresses(m.place, len(*plain))
	if d.compressed {
		d.payload = deflate(d.plain)
	}
	d.large = d.large || one.large.Load()
	digest := hexMD5(d.payload)
	d.digest = &digest
	uri := m.place.uri(d.key)
	if !ok || text(found.url) != uri || text(found.digest) != digest || found.size == nil || *found.size != int64(len(d.payload)) || found.compressed == nil || *found.compressed != d.compressed {
		r.found(finding{wrong, fmt.Sprintf("%s %v: its row is not as the services wrote it (%s, %s), but %s", d.kind, id, uri, digest, found.whole)})
	}
}

// observe sets what a document is whose last write was cut off: what row and
// payload say together.
func (r *round) observe(ctx context.Context, d *document, at *place, rows map[rowID]row) error {
	uri := at.uri(d.key)
	payloads, err := at.store.read(ctx, []string{uri})
	if err != nil {
		return err
	}
	payload, stored := payloads[uri]
	found, ok := rows[d.rowID(d.names[0])]
	was := d.plain
	d.large = d.large || len(payload) > streamed
	switch {
	case !ok && !stored:
		d.fate, d.plain, d.payload = gone, nil, nil
	case !ok: // put without its row, or its row deleted without it
		d.fate, d.names, d.plain, d.payload = stray, nil, nil, payload
	case stored && text(found.digest) == hexMD5(payload):
		d.fate, d.payload, d.plain = moves, payload, payload
		if d.compressed = found.compressed != nil && *found.compressed; d.compressed {
			d.plain, err = inflate(payload)
		}
	default:
		d.fate, d.payload, d.plain, d.torn = stays, payload, was, true
	}
	r.story = append(r.story, fmt.Sprintf("a write of %v was cut off: %s", d.key, map[fate]string{
		gone: "it is not there", stray: "its payload has no row", moves: "it is whole", stays: "its row and payload do not belong together"}[d.fate]))
	return err
}
