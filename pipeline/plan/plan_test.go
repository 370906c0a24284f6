package plan

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/forms"
	"github.com/kedge/kedge/pipeline/progress"
)

// However many batches there are, a few are kept, and each has the same chance.
func TestTheSampleIsSpread(t *testing.T) {
	const batches, rounds = 640, 400
	chosen := make([]int, batches)
	for round := range rounds {
		s := NewSampler()
		s.random = rand.New(rand.NewPCG(uint64(round), 5))
		for n := range batches {
			s.Offer([]catalog.Document{{Name: fmt.Sprint(n), Bytes: int64(n)}}, int64(n))
			s.Offer(nil, 0)
		}
		s.Offer([]catalog.Document{{}}, longBytes+1)
		if len(s.Batches) != sampleBatches || s.Offered != batches || s.Long != (progress.Amount{Documents: 1, Bytes: longBytes + 1}) {
			t.Fatalf("%d batches of %d, too long: %v", len(s.Batches), s.Offered, s.Long)
		}
		for _, docs := range s.Batches {
			chosen[docs[0].Bytes]++
		}
	}
	// 20 times each are expected; by tenths of the catalog 1280.
	for tenth := range 10 {
		sum := 0
		for _, n := range chosen[tenth*batches/10 : (tenth+1)*batches/10] {
			sum += n
		}
		if sum < 1100 || sum > 1460 {
			t.Errorf("of the tenth %d %d batches were chosen, want about 1280", tenth, sum)
		}
	}
}

// What is kept in mind has bounds, and the parts are the whole.
func TestAPlanOfManyUsersAndBuckets(t *testing.T) {
	var p Plan
	tally := NewTally(&p)
	const each = maxUsers + 5000
	for n := range each {
		bucket, user := fmt.Sprint(n%(maxBuckets+100)), fmt.Sprint(n)
		if n%3 == 0 {
			tally.Stays(checkpoint.Failure{Class: failure.ClassNoURI}, bucket, user)
			continue
		}
		tally.Moves(Document{Bucket: bucket, User: user, Bytes: int64(n), Known: true, Digest: true, Change: forms.Pass})
	}
	tally.Conclude()
	if len(tally.buckets) > maxBuckets+1 || len(tally.users) > maxUsers+1 || !p.UsersUncounted {
		t.Errorf("%d buckets and %d users are kept in mind", len(tally.buckets), len(tally.users))
	}
	if len(p.Users) != Users+1 || len(p.Buckets) > maxBuckets+1 || len(p.Stay[0].Examples) != 5 {
		t.Errorf("%d users, %d buckets, %d examples", len(p.Users), len(p.Buckets), len(p.Stay[0].Examples))
	}
	for _, list := range [][]Share{p.Users, p.Buckets} {
		var all Share
		for _, s := range list {
			all.Move.Add(s.Move)
			all.Staying += s.Staying
		}
		if all.Move != p.Move || all.Staying != p.Staying || all.Move.Documents+all.Staying != each {
			t.Errorf("%+v, want %+v and %d", all, p.Move, p.Staying)
		}
	}
}
