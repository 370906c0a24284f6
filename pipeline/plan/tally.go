package plan

import (
	"cmp"
	"slices"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/forms"
	"github.com/kedge/kedge/pipeline/progress"
)

// Tally counts documents into a Plan. Make it with NewTally. Not safe for concurrent
// use; memory does not depend on the number of documents.
type Tally struct {
	plan    *Plan
	stay    failure.Groups[checkpoint.Failure]
	buckets map[string]*Share
	users   map[string]*Share
}

// NewTally counts into p.
func NewTally(p *Plan) *Tally {
	p.Sizes = make([]SizeClass, len(sizeBounds))
	for i, bound := range sizeBounds {
		p.Sizes[i].MaxBytes = bound
	}
	return &Tally{
		plan: p, stay: make(failure.Groups[checkpoint.Failure]),
		buckets: make(map[string]*Share), users: make(map[string]*Share),
	}
}

// Document is what is known of a document that would be moved.
type Document struct {
	Bucket, User string
	Bytes        int64 // of its payload
	Known        bool  // Bytes is known
	Digest       bool  // its row has one
	Change       forms.Change
}

// Moves counts a document that would be moved.
func (t *Tally) Moves(d Document) {
	bucket, user := t.shares(d.Bucket, d.User)
	for _, a := range []*progress.Amount{&t.plan.Move, &bucket.Move, &user.Move, t.plan.sizeClass(d.Bytes, d.Known), t.plan.Forms.of(d.Change)} {
		a.Add(progress.Amount{Documents: 1, Bytes: d.Bytes})
	}
	if !d.Known {
		t.plan.UnknownLength++
	}
	if !d.Digest {
		t.plan.NoDigest++
	}
}

// Stays counts a document of a bucket and a user that would stay where it is.
func (t *Tally) Stays(f checkpoint.Failure, bucketName, userName string) {
	bucket, user := t.shares(bucketName, userName)
	t.plan.Staying++
	bucket.Staying++
	user.Staying++
	t.stay.Add(f.Class, f)
}

func (t *Tally) shares(bucket, user string) (*Share, *Share) {
	return shareOf(t.buckets, bucket, maxBuckets), shareOf(t.users, user, maxUsers)
}

// Conclude puts what was counted into the plan, in order.
func (t *Tally) Conclude() {
	p := t.plan
	p.Stay = t.stay.Sorted()
	p.Buckets = inOrder(t.buckets, maxBuckets, func(a, b Share) int { return cmp.Compare(a.Name, b.Name) })
	p.UserCount = int64(len(t.users))
	p.UsersUncounted = len(t.users) > maxUsers
	p.Users = inOrder(t.users, Users, func(a, b Share) int {
		return cmp.Or(cmp.Compare(b.Move.Bytes, a.Move.Bytes), cmp.Compare(b.Move.Documents, a.Move.Documents), cmp.Compare(a.Name, b.Name))
	})
	p.Sizes = slices.DeleteFunc(p.Sizes, func(c SizeClass) bool { return c.Documents == 0 })
}
