package torture

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// finding is something that must not be.
type finding struct{ kind, text string }

// Kinds of findings.
const (
	lost     = "lost"
	orphaned = "orphaned"
	wrong    = "wrong"
)

// check compares what is there with the model. Before the end of a migration
// a document may be at either place, and nothing is said of orphans.
func (r *round) check(ctx context.Context, final bool) ([]finding, error) {
	rows, err := readCatalog(ctx, r.rig.conn)
	if err != nil {
		return nil, err
	}
	c := &checking{round: r, rows: rows, final: final}
	if err := c.readPayloads(ctx); err != nil {
		return nil, err
	}
	known := make(map[rowID]bool)
	for _, d := range r.model.documents {
		for _, name := range d.names {
			known[d.rowID(name)] = true
			c.row(d, d.rowID(name))
		}
		c.payloads(d)
	}
	for id := range rows {
		if !known[id] {
			c.find(wrong, "the catalog has a row that nobody made: %v", id)
		}
	}
	if final {
		err = c.orphans(ctx)
	}
	return c.findings, err
}

type checking struct {
	*round
	rows     map[rowID]row
	final    bool
	source   map[string][]byte // by URI
	dest     map[string][]byte
	findings []finding
}

func (c *checking) find(kind, format string, args ...any) {
	c.findings = append(c.findings, finding{kind, fmt.Sprintf(format, args...)})
}

// readPayloads reads whatever documents may have, at both places.
func (c *checking) readPayloads(ctx context.Context) (err error) {
	var source, dest []string
	for _, d := range c.model.documents {
		source = append(source, c.from.uri(d.key))
		dest = append(dest, c.to.uri(d.key))
	}
	if c.source, err = c.from.store.read(ctx, source); err == nil {
		c.dest, err = c.to.store.read(ctx, dest)
	}
	return err
}

// row checks one row of a document, and what it names.
func (c *checking) row(d *document, id rowID) {
	found, ok := c.rows[id]
	before := c.before[id]
	switch {
	case d.fate == gone && !ok:
		return
	case d.fate == gone:
		c.find(wrong, "%s %v: its row was deleted and is there again", d.kind, id)
		return
	case !ok:
		c.find(lost, "%s %v: its row is gone", d.kind, id)
		return
	case d.fate != moves:
		if found.whole != before.whole {
			c.find(wrong, "%s %v: its row was changed from %s to %s", d.kind, id, before.whole, found.whole)
		}
		return
	case found.fixed != before.fixed:
		c.find(wrong, "%s %v: columns were changed that must not be: from %s to %s", d.kind, id, before.fixed, found.fixed)
	}
	if found.url == nil {
		c.find(lost, "%s %v: content_url is NULL", d.kind, id)
		return
	}
	atDestination := *found.url == c.to.uri(d.key)
	switch {
	case atDestination && (!c.model.sameURIs || c.final):
		c.document(d, id, found, c.dest)
	case *found.url != c.from.uri(d.key):
		c.find(wrong, "%s %v: its row names %s", d.kind, id, *found.url)
	case c.final:
		c.find(wrong, "%s %v: was not moved", d.kind, id)
		c.document(d, id, found, c.source)
	case c.source[*found.url] != nil:
		c.document(d, id, found, c.source)
	default:
		c.document(d, id, found, c.dest) // with the same URIs; elsewise it is not there
	}
}

// document checks that what a row says is so, and that the bytes are right.
func (c *checking) document(d *document, id rowID, found row, stored map[string][]byte) {
	payload, ok := stored[*found.url]
	if !ok {
		c.find(lost, "%s %v: there is nothing at %s", d.kind, id, *found.url)
		return
	}
	compressed := found.compressed != nil && *found.compressed
	plain := payload
	if compressed {
		var err error
		if plain, err = inflate(payload); err != nil {
			c.find(lost, "%s %v: %s: %v", d.kind, id, *found.url, err)
			return
		}
	}
	if !bytes.Equal(plain, d.plain) {
		c.find(lost, "%s %v: other bytes at %s (%d of %d)", d.kind, id, *found.url, len(plain), len(d.plain))
		return
	}
	if !c.final || *found.url != c.to.uri(d.key) {
		return
	}
	if found.digest == nil || *found.digest != hexMD5(payload) {
		c.find(wrong, "%s %v: the row's digest is not that of the payload", d.kind, id)
	}
	if found.size == nil || *found.size != int64(len(payload)) {
		c.find(wrong, "%s %v: the row's size is not that of the payload", d.kind, id)
	}
	if want := c.toRule.compresses(c.to, len(d.plain)); !c.model.sameURIs && compressed != want {
		c.find(wrong, "%s %v: is_compressed is %v", d.kind, id, compressed)
	}
}

// payloads checks that what must be left alone is still there.
func (c *checking) payloads(d *document) {
	untouched := d.payload != nil && (d.fate == stays || d.fate == stray || d.fate == away || c.keep && d.fate == moves)
	if got, ok := c.source[c.from.uri(d.key)]; untouched && (!ok || !bytes.Equal(got, d.payload)) {
		c.find(lost, "%s %v: the payload at the source was not left as it was", d.kind, d.key)
	}
	if got, ok := c.dest[c.to.uri(d.key)]; d.fate == settled && d.payload != nil && (!ok || !bytes.Equal(got, d.payload)) {
		c.find(lost, "%s %v: the payload at the destination was not left as it was", d.kind, d.key)
	}
}

// orphans lists both places for what should not be there.
func (c *checking) orphans(ctx context.Context) error {
	source, dest := make(map[string]bool), make(map[string]bool)
	var sourceUploads, destUploads []string
	for _, d := range c.model.documents {
		var atSource, atDest bool
		switch d.fate {
		case moves:
			atSource, atDest = c.keep, true
		case stays, stray, away:
			atSource, atDest = d.payload != nil, d.torn // a copy of an earlier version, for when it is mended
		case settled:
			atSource, atDest = d.torn, true // on a way back
		}
		// One key may be of two documents on a way back: one here, and what it has there.
		from, to := c.from.uri(d.key), c.to.uri(d.key)
		source[from], dest[to] = source[from] || atSource, dest[to] || atDest
		if d.large {
			sourceUploads = append(sourceUploads, c.from.uri(d.key))
			destUploads = append(destUploads, c.to.uri(d.key))
		}
	}
	look := func(p *place, name string, expected map[string]bool, uploads []string) error {
		list, err := p.store.list(ctx, uploads)
		for _, what := range list {
			folder, empty := strings.CutPrefix(what, "empty folder ")
			if !expected[what] && !(empty && c.emptied[folder]) {
				c.find(orphaned, "at the %s: %s%s", name, what, c.describe(p, what))
			}
		}
		return err
	}
	if err := look(c.from, "source", source, sourceUploads); err != nil {
		return err
	}
	return look(c.to, "destination", dest, destUploads)
}

// describe says whose payload an orphan is.
func (c *checking) describe(p *place, what string) string {
	i := slices.IndexFunc(c.model.documents, func(d *document) bool { return strings.HasSuffix(what, p.path(d.key)) })
	if i < 0 {
		return ""
	}
	d := c.model.documents[i]
	return fmt.Sprintf(" (%s, %v)", d.kind, d.key)
}

// checkTasks compares the rows of tasks with what happened. A run after the end
// of a migration begins another one with a task of its own; no other run may.
func (r *round) checkTasks(ctx context.Context) (findings []finding, err error) {
	tasks, err := readTasks(ctx, r.rig.conn)
	if err != nil {
		return nil, err
	}
	if tasks = tasks[min(len(r.over), len(tasks)):]; len(tasks) == 0 {
		return []finding{{wrong, "there is no task"}}, nil
	}
	find := func(format string, args ...any) {
		findings = append(findings, finding{wrong, fmt.Sprintf(format, args...)})
	}
	for i, t := range tasks {
		if !t.terminal() || !t.ended {
			find("task %d of %d is %+v, though its migration is over", i+1, len(tasks), t)
		}
		if t.online && !(r.cutover && len(r.over) == 0) {
			find("task %+v: nothing was copied while services were working", t)
		}
		if t.from != r.from.driver || t.to != r.to.driver {
			find("task %+v: from %s to %s", t, r.from.driver, r.to.driver)
		}
	}
	last, want := tasks[len(tasks)-1], "complete"
	if r.model.count(stays) > 0 {
		want = "failed"
	}
	if last.state != want {
		find("the last task is %+v, want it %s", last, want)
	}
	if !r.model.sameURIs || len(tasks) == 1 { // else what was moved before counts again
		r.checkCounts(tasks, find)
	}
	return findings, nil
}

// checkCounts compares what the tasks tell of documents with the model.
func (r *round) checkCounts(tasks []task, find func(format string, args ...any)) {
	var migrated int64
	moved, rotten := cmp.Or(r.migrated, r.model.count(moves)), r.model.count(stays)
	for _, t := range tasks {
		migrated += t.migrated
		if r.migrated == 0 && rotten == 0 && moved > 0 && t.migrated == moved && t.documents == moved && t.state != "complete" {
			find("task %+v moved everything and is not complete", t)
		}
	}
	if migrated != moved {
		find("the tasks tell of %d documents migrated, there are %d: %+v", migrated, moved, tasks)
	}
	if total := moved + rotten; len(tasks) == 1 && !r.meddled && tasks[0].documents != total {
		find("the task tells of %d documents, there are %d", tasks[0].documents, total)
	}
}

// checkWork compares the journal with the model: every moved row has a record of
// how it is now.
func (r *round) checkWork(ctx context.Context) (findings []finding, err error) {
	rows, err := readCatalog(ctx, r.rig.conn)
	if err != nil {
		return nil, err
	}
	for _, d := range r.model.documents {
		for _, name := range d.names {
			if d.fate != moves {
				continue
			}
			id := d.rowID(name)
			record, ok := r.work.done[id]
			if row := rows[id]; !ok || row.url == nil || record.To != *row.url || row.digest == nil || record.StoredDigest != *row.digest {
				findings = append(findings, finding{wrong, fmt.Sprintf("%s %v: the journal does not tell of it as it is (record: %v)", d.kind, id, ok)})
			}
		}
	}
	return findings, nil
}
