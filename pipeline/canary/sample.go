package canary

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// sampleEach is how many documents a sample has of each sort.
const sampleEach = 4

// sample is a few of the documents whose sources were deleted: the first ones, the last
// ones, and some of all, each with the same chance.
type sample struct {
	first, any, last []Document
	seen             int64
}

func (s *sample) add(d Document) {
	s.seen++
	if len(s.first) < sampleEach {
		s.first = append(s.first, d)
		return
	}
	if len(s.last) == sampleEach {
		s.last = append(s.last[:0], s.last[1:]...)
	}
	s.last = append(s.last, d)
	if len(s.any) < sampleEach {
		s.any = append(s.any, d)
	} else if i := rand.N(s.seen); i < sampleEach {
		s.any[i] = d
	}
}

func (s *sample) all() []Document { return slices.Concat(s.first, s.any, s.last) }

// byLength gives the indexes of documents from the shortest on; whose length is not known
// comes last.
func byLength(list []Document) []int {
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	bytes := func(i int) int64 {
		if list[i].Bytes < 0 {
			return math.MaxInt64
		}
		return list[i].Bytes
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(bytes(a), bytes(b)) })
	return order
}
