package faults

import (
	"math/rand/v2"
	"sync"
)

// Rule says which of a fault's events are hit.
type Rule struct {
	// After lets so many events pass before the first hit.
	After int
	// Every hits one event in so many; which one of them, the seed decides. 0
	// and 1 hit each.
	Every int
	// Most ends the fault after so many hits; 0 never does.
	Most int
}

// counter counts a fault's events and hits.
type counter struct {
	mu         sync.Mutex
	seen, hits int
}

// hit counts an event and says whether it is hit, and as the how manieth.
func (c *counter) hit(r Rule, seed uint64) (number int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.seen - r.After
	c.seen++
	if n < 0 || r.Most > 0 && c.hits >= r.Most {
		return 0, false
	}
	if r.Every > 1 && n%r.Every != drawn(seed, 0).IntN(r.Every) {
		return 0, false
	}
	c.hits++
	return c.hits, true
}

// missed takes a hit back that came to nothing.
func (c *counter) missed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hits--
}

// Hits says how often the fault was met so far.
func (c *counter) Hits() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hits
}

// drawn gives the random numbers of one event.
func drawn(seed uint64, event int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(event)))
}
