package pipeline

import (
	"bytes"
	"compress/zlib"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/failure"
)

// Whatever the payload, its plain document is at least so long as is said.
func TestLeastPlain(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, length := range []int{0, 1, 10, 1000, 16 << 10, 100 << 10, 1<<20 + 7} {
		noise := make([]byte, length)
		for i := range noise {
			noise[i] = byte(random.Uint32())
		}
		for _, plain := range [][]byte{noise, bytes.Repeat([]byte("a"), length)} {
			for level := zlib.NoCompression; level <= zlib.BestCompression; level++ {
				var payload bytes.Buffer
				w, err := zlib.NewWriterLevel(&payload, level)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := w.Write(plain); err != nil {
					t.Fatal(err)
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				if least := leastPlain(int64(payload.Len())); least > int64(length) {
					t.Errorf("a document of %d bytes in a payload of %d is said to have at least %d", length, payload.Len(), least)
				}
			}
		}
	}
}

// However many batches there are, a few are kept, and each has the same chance.
func TestTheSampleIsSpread(t *testing.T) {
	const batches, rounds = 640, 400
	chosen := make([]int, batches)
	for round := range rounds {
		s := newSampler()
		s.random = rand.New(rand.NewPCG(uint64(round), 5))
		for n := range batches {
			it := &item{doc: catalog.Document{Name: fmt.Sprint(n), Bytes: int64(n)}}
			s.offer([]*item{it})
			s.offer(nil)
		}
		s.offer([]*item{{doc: catalog.Document{Bytes: longBytes + 1}}})
		if len(s.batches) != sampleBatches || s.offered != batches || s.long != (Amount{1, longBytes + 1}) {
			t.Fatalf("%d batches of %d, too long: %v", len(s.batches), s.offered, s.long)
		}
		for _, docs := range s.batches {
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

// placed is a store that has only names.
type placed struct{ drivers.Driver }

func (placed) Capabilities() drivers.Capabilities { return drivers.Capabilities{Compresses: true} }
func (placed) Prefix() string                     { return "s3://b/" }

// What is kept in mind has bounds, and the parts are the whole.
func TestAPlanOfManyUsersAndBuckets(t *testing.T) {
	p := newPlanner(PlanOptions{Options: Options{Source: Store{Driver: placed{}}, Destination: Store{Driver: placed{}}}}, nil)
	const each = maxPlanUsers + 5000
	for n := range each {
		d := catalog.Document{Key: drivers.Key{UserID: fmt.Sprint(n), Bucket: fmt.Sprint(n % (maxPlanBuckets + 100))}, Bytes: int64(n), Digest: "d"}
		it := &item{doc: d}
		if n%3 == 0 {
			it.failure = &checkpoint.Failure{Class: failure.ClassNoURI}
		}
		p.count(it, true)
	}
	p.conclude()
	if len(p.buckets) > maxPlanBuckets+1 || len(p.users) > maxPlanUsers+1 || !p.plan.UsersUncounted {
		t.Errorf("%d buckets and %d users are kept in mind", len(p.buckets), len(p.users))
	}
	if len(p.plan.Users) != PlanUsers+1 || len(p.plan.Buckets) > maxPlanBuckets+1 || len(p.plan.Stay[0].Examples) != 5 {
		t.Errorf("%d users, %d buckets, %d examples", len(p.plan.Users), len(p.plan.Buckets), len(p.plan.Stay[0].Examples))
	}
	for _, list := range [][]Share{p.plan.Users, p.plan.Buckets} {
		var all Share
		for _, s := range list {
			all.Move.Add(s.Move)
			all.Staying += s.Staying
		}
		if all.Move != p.plan.Move || all.Staying != p.plan.Staying || all.Move.Documents+all.Staying != each {
			t.Errorf("%+v, want %+v and %d", all, p.plan.Move, p.plan.Staying)
		}
	}
	if err := p.measure(context.Background()); err != nil {
		t.Error(err)
	}
}
