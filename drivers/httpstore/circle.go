package httpstore

// Circle tells a listing that never ends because it repeats itself: of marks that
// all differ in a right one, such as tokens or first names of pages, it keeps one,
// and compares all that come with that until it takes a later one (Brent's way). The
// zero Circle is ready. Not safe for concurrent use.
type Circle struct {
	kept        string
	steps, turn int
}

// Closed takes the next mark and says whether it has come before. It says so at the
// latest when three times as many have come as there are different ones.
func (c *Circle) Closed(mark string) bool {
	if c.turn > 0 && mark == c.kept {
		return true
	}
	if c.steps == c.turn {
		c.kept, c.steps, c.turn = mark, 0, max(1, 2*c.turn)
	}
	c.steps++
	return false
}
