package pipeline

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/failure"
)

// PlanOptions say what is planned: a migration with these Options.
type PlanOptions struct {
	Options
	// Missing says that the destination's place is not there yet, so that
	// nothing can be asked of it.
	Missing bool
	// SampleTime is how long documents are read at the source for the estimates;
	// 0 reads none.
	SampleTime time.Duration
	// Looked, if set, is called now and then with how many rows were looked at.
	Looked func(rows int64)
}

// Plan is what a migration would do, as the rows of the catalog tell it, and
// what was measured for it. Nothing was changed to find that out.
type Plan struct {
	// Move is what would be moved, but for payloads that prove to be missing or
	// broken when they are read.
	Move Amount
	// UnknownLength counts the documents in Move whose length neither the row
	// tells nor the source was asked for; they count as no bytes.
	UnknownLength int64
	// Stay groups the documents that would stay where they are, most frequent
	// first, and Staying counts them.
	Stay    []FailureGroup
	Staying int64
	// UncheckedNames says that too many documents have unusual names for all of
	// them to be looked at for places that they would have to share.
	UncheckedNames bool
	// Buckets and Users share out all of these documents; at most so many by name
	// as maxPlanBuckets and PlanUsers say, the rest in one more Share of no name.
	Buckets, Users []Share
	// UserCount counts the users; at least so many, where UsersUncounted.
	UserCount      int64
	UsersUncounted bool
	// Sizes shares out Move by the length of the payloads.
	Sizes []SizeClass
	// NoDigest counts the documents in Move whose row has no digest.
	NoDigest int64
	Forms    Forms
	// Elsewhere names the places of rows that the migration would not touch.
	Elsewhere []Place
	// Resume is how far an interrupted migration of this kind has come; nil
	// without one.
	Resume *PlanResume
	// Held is who holds the migration lock, nil if nobody does. CheckpointInUse
	// says that a run has the checkpoint open, so that Resume is not known.
	Held            *catalog.HeldError
	CheckpointInUse bool
	Sample          Sample
	// Interrupted says that the plan was stopped before it was complete.
	Interrupted bool
}

// Forms says what would become of payloads on the way.
type Forms struct {
	// Compress: stored plain, and compressed at the destination.
	Compress Amount
	// Decompress: stored compressed, and plain at the destination.
	Decompress Amount
	// Pass: the same bytes at the destination.
	Pass Amount
	// Undecided: stored compressed, and the destination's rule depends on the
	// length of the plain document, which only the payload tells; or the length
	// is not known.
	Undecided Amount
}

// PlanResume is what a checkpoint says of the migration that it belongs to.
type PlanResume struct {
	TaskID int64
	// Documents is what that migration was about, Moved how many of them it has
	// moved, InFlight how many of the others it had begun.
	Documents, Moved, InFlight int64
	// Failed counts what had failed, by class.
	Failed map[string]int64
	// Finished says that it had come to its end: the next run tries the failed
	// documents again, in a new task.
	Finished bool
	// Forgotten says that the database does not know its task any more, so that
	// the next run begins anew.
	Forgotten bool
}

// planner makes a Plan.
type planner struct {
	*migration
	options PlanOptions
	plan    Plan
	stay    failure.Groups[checkpoint.Failure]
	buckets map[string]*Share
	users   map[string]*Share
	// renamed are the keys that several rows may have.
	renamed map[drivers.Key]bool
	// asked counts the documents whose lengths the source was asked for.
	asked, looked int64
	sample        sampler
}

// MakePlan finds out what Run would do with the same Options, from the same rows
// by the same rules, and changes nothing: it takes no lock, writes no task, no
// checkpoint and no probe. It fails where Run would refuse to begin, but for the
// lock, of which the Plan tells, and for what only a probe finds out. When stop
// is closed it ends early, with Plan.Interrupted.
//
// Memory does not depend on the number of documents.
func MakePlan(ctx context.Context, stop <-chan struct{}, o PlanOptions) (Plan, error) {
	p := newPlanner(o, stop)
	err := p.lookThrough(ctx)
	p.conclude()
	return p.plan, err
}

func newPlanner(o PlanOptions, stop <-chan struct{}) *planner {
	p := &planner{
		migration: newMigration(o.Options, stop), options: o, stay: make(failure.Groups[checkpoint.Failure]),
		buckets: make(map[string]*Share), users: make(map[string]*Share), sample: newSampler(),
	}
	// Nothing is put: what a sample reads is hashed here.
	p.provesNothing.Store(true)
	p.plan.Sizes = make([]SizeClass, len(sizeBounds))
	for i, bound := range sizeBounds {
		p.plan.Sizes[i].MaxBytes = bound
	}
	return p
}

func (p *planner) lookThrough(ctx context.Context) (err error) {
	if err := p.lookAtAll(ctx); err != nil {
		return err
	}
	if err := p.lookAtRun(ctx); err != nil {
		return err
	}
	if err := p.findRenamed(ctx); err != nil {
		return err
	}
	err = p.walk(ctx, catalog.Position{}, nil, func(items []*item) error { return p.take(ctx, items) })
	if err != nil {
		return err
	}
	if p.plan.Interrupted = p.stopped; p.stopped {
		return nil
	}
	return p.measure(ctx)
}

// lookAtAll finds the reasons not to begin, odd places, and places elsewhere.
func (p *planner) lookAtAll(ctx context.Context) (err error) {
	if err := p.refuseUntried(ctx); err != nil {
		return err
	}
	defer p.snapshot.Close()
	if err := p.survey(ctx); err != nil {
		return err
	}
	p.selectRows()
	_, _, p.plan.Elsewhere, err = p.toMove(ctx)
	return err
}

// lookAtRun finds out who holds the lock, and what an earlier run has left.
func (p *planner) lookAtRun(ctx context.Context) (err error) {
	if p.plan.Held, err = p.cat.Holder(ctx); err != nil {
		return err
	}
	s, err := checkpoint.Look(p.Checkpoint, p.identity())
	var inUse *checkpoint.InUseError
	if errors.As(err, &inUse) {
		p.plan.CheckpointInUse = true
		return nil
	}
	if err != nil || s == nil || s.TaskID == 0 {
		return err
	}
	tasks, err := p.cat.Tasks(ctx)
	if err != nil {
		return err
	}
	p.plan.Resume = &PlanResume{
		TaskID: s.TaskID, Documents: s.Documents, Moved: s.Counts.Moved, InFlight: s.InFlight, Failed: s.Failed, Finished: s.Finished,
		Forgotten: !slices.ContainsFunc(tasks, func(t catalog.Task) bool { return t.ID == s.TaskID }),
	}
	return nil
}

// maxRenamed bounds how many keys are kept in mind.
const maxRenamed = 10000

// findRenamed looks for documents that may have to share a place.
func (p *planner) findRenamed(ctx context.Context) error {
	keys, err := p.cat.Renamed(ctx, maxRenamed+1)
	if err != nil {
		return err
	}
	p.plan.UncheckedNames = len(keys) > maxRenamed
	p.renamed = make(map[drivers.Key]bool, len(keys))
	for _, key := range keys {
		p.renamed[key] = true
	}
	return nil
}

// take looks at the items of a batch.
func (p *planner) take(ctx context.Context, items []*item) error {
	b := &batch{items: items}
	asking := p.asked < maxAsked
	if asking {
		p.asked += int64(len(b.filter(func(it *item) bool { return it.pending() && it.doc.Bytes < 0 })))
		if err := p.askLengths(ctx, b); err != nil {
			return err
		}
	}
	if err := p.guard(ctx, b); err != nil {
		return err
	}
	if err := p.settleShared(ctx, b); err != nil {
		return err
	}
	for _, it := range items {
		p.count(it, it.doc.Bytes >= 0 || asking)
	}
	p.sample.offer(b.pending())
	p.looked += int64(len(items))
	if p.options.Looked != nil {
		p.options.Looked(p.looked)
	}
	return nil
}

// maxAsked bounds for how many documents, more or less, the source is asked how
// long they are.
const maxAsked = 2000

// settleShared finds out which of the documents that may share a place would
// have to stay. That depends on their payloads, so that these few are read, as
// the migration would read them.
func (p *planner) settleShared(ctx context.Context, b *batch) error {
	shared := &batch{items: b.filter(func(it *item) bool { return it.pending() && p.renamed[it.doc.Key] })}
	if len(shared.items) == 0 {
		return nil
	}
	for _, stage := range []func(context.Context, *batch) error{p.prepare, p.fetch, p.recompress} {
		if err := stage(ctx, shared); err != nil {
			return err
		}
	}
	_, err := p.shareDestinations(ctx, shared)
	p.budget.Release(shared.reserved)
	for _, it := range shared.items {
		it.payload = nil
	}
	return err
}

// count adds an item to everything that it is a part of.
func (p *planner) count(it *item, known bool) {
	bucket := shareOf(p.buckets, it.doc.Bucket, maxPlanBuckets)
	user := shareOf(p.users, it.doc.UserID, maxPlanUsers)
	if it.failure != nil {
		p.plan.Staying++
		bucket.Staying++
		user.Staying++
		p.stay.Add(it.failure.Class, *it.failure)
		return
	}
	bytes := max(it.doc.Bytes, it.fetchedBytes, 0)
	for _, a := range []*Amount{&p.plan.Move, &bucket.Move, &user.Move, p.sizeClass(bytes, known), p.plan.Forms.of(p.formOf(it, bytes, known))} {
		a.Add(Amount{1, bytes})
	}
	if !known {
		p.plan.UnknownLength++
	}
	if it.doc.Digest == "" {
		p.plan.NoDigest++
	}
}

// conclude puts what was counted in order.
func (p *planner) conclude() {
	p.plan.Stay = p.stay.Sorted()
	p.plan.Buckets = inOrder(p.buckets, maxPlanBuckets, func(a, b Share) int { return cmp.Compare(a.Name, b.Name) })
	p.plan.UserCount = int64(len(p.users))
	p.plan.UsersUncounted = len(p.users) > maxPlanUsers
	p.plan.Users = inOrder(p.users, PlanUsers, func(a, b Share) int {
		return cmp.Or(cmp.Compare(b.Move.Bytes, a.Move.Bytes), cmp.Compare(b.Move.Documents, a.Move.Documents), cmp.Compare(a.Name, b.Name))
	})
	p.plan.Sizes = slices.DeleteFunc(p.plan.Sizes, func(c SizeClass) bool { return c.Documents == 0 })
}
