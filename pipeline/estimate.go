package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/copies"
	"github.com/kedge/kedge/pipeline/plan"
)

// How long a cutover would take is measured by what copies, and by what plans: how fast
// rows are read while they are gone through, the rest afterwards in a few seconds.

// measurePace measures what no stage shows: how many rows can be changed a second, and how
// fast the destination lists. What cannot be measured stays unknown. A Copy that has gone
// through changed rows only knows all of that from the rounds before.
func (m *migration) measurePace(ctx context.Context) error {
	walked := m.walked.PerSecond()
	if walked == 0 {
		return nil
	}
	m.pace.Walked = walked
	trust := m.Trust
	if trust == "" {
		trust = copies.Best(m.dst)
	}
	m.pace.Lists, m.pace.Reads = trust == copies.TrustList, trust == copies.TrustVerify
	var err, lerr error
	m.pace.Committed, err = m.cat.CommitRate(ctx, copiedDocuments)
	if m.pace.Lists {
		m.pace.Listed, lerr = copies.ListingRate(ctx, m.dst)
	}
	if err = errors.Join(err, lerr); err != nil && ctx.Err() == nil {
		m.Log.WarnContext(ctx, "how long a cutover takes could not be measured", "reason", err.Error())
	}
	return context.Cause(ctx)
}

// measureRound measures at the end of a round of copying. How fast documents are moved,
// the round shows that has moved most of them; the record knows it.
func (m *migration) measureRound(ctx context.Context) error {
	took, counts := time.Since(m.round.from), copies.Moved{}
	moved, _ := m.progress.Tally()
	counts.Documents, counts.Bytes, counts.Took = moved.Moved, moved.BytesRead, took
	if counts.Documents > m.record.Header().Moved.Documents {
		m.record.Update(func(h *copies.Header) { h.Moved = counts })
	}
	if m.walked.PerSecond() > 0 {
		m.pace.Begin = m.round.from.Sub(m.round.Began)
		m.rest = Amount{}
	}
	m.rest.Add(Amount{Documents: m.round.left.Load(), Bytes: m.round.leftBytes.Load()})
	m.pace.Moved = movedRates(m.record.Header().Moved)
	return m.measurePace(ctx)
}

func movedRates(moved copies.Moved) Rates {
	return Rates{DocumentsPerSecond: plan.Rate(moved.Documents, moved.Took), BytesPerSecond: plan.Rate(moved.Bytes, moved.Took)}
}

// lookAtCopies begins to count what the record of copies proves, if there is one that this
// migration would use.
func (p *planner) lookAtCopies() error {
	if p.Record == "" || p.purging() || p.route.SamePrefix() {
		return nil
	}
	there, err := copies.Exists(p.Record)
	if err != nil || !there {
		return err
	}
	p.plan.Cutover = &plan.Cutover{Took: -1}
	_, err = p.copiesOf(nil)
	return err
}

// copiesOf finds the copies of documents. Where somebody writes the record, or it is
// another migration's, there is no cutover to tell of.
func (p *planner) copiesOf(docs []catalog.Document) ([]copies.Copy, error) {
	found, header, err := copies.Glance(p.Record, p.recordOpening(), docs)
	var inUse *checkpoint.InUseError
	var mismatch *checkpoint.MismatchError
	if errors.As(err, &inUse) || errors.As(err, &mismatch) {
		p.plan.Cutover, err = nil, nil
	}
	p.pace.Moved = movedRates(header.Moved)
	return found, err
}

// countCopies shares out the items of a batch among those that the record proves, and the
// rest that would be moved.
func (p *planner) countCopies(items []*item) error {
	if p.plan.Cutover == nil {
		return nil
	}
	began := time.Now()
	docs := make([]catalog.Document, len(items))
	for i, it := range items {
		docs[i] = it.doc
	}
	found, err := p.copiesOf(docs)
	if err != nil || p.plan.Cutover == nil {
		return err
	}
	p.walked.Add(0, time.Since(began))
	for i, it := range items {
		switch {
		case it.failure != nil:
		case holds(found[i], it.doc) && found[i].Destination.URI == it.dest:
			p.plan.Cutover.Copied++
		default:
			p.plan.Cutover.Rest.Add(Amount{Documents: 1, Bytes: max(it.doc.Bytes, it.fetchedBytes, 0)})
		}
	}
	return nil
}

// measureCutover says how long the cutover would take that was counted.
func (p *planner) measureCutover(ctx context.Context) error {
	c := p.plan.Cutover
	if c == nil || p.options.Missing {
		return nil
	}
	err := p.measurePace(ctx)
	c.RowsPerSecond, c.Took = p.pace.RowsPerSecond(), p.pace.Cutover(c.Copied, c.Rest)
	return err
}
