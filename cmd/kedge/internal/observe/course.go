package observe

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/kedge/kedge/pipeline"
)

// Phase is what a run over documents is at. docs/observing.md tells what Anchore's
// services may do meanwhile.
type Phase string

// The phases.
const (
	Moving   Phase = "moving"   // documents, one batch after the other
	Copying  Phase = "copying"  // while the services may run
	Waiting  Phase = "waiting"  // for the next round of copying, without the lock
	Cutover  Phase = "cutover"  // rows change over to what was copied before
	Deleting Phase = "deleting" // sources, of which Anchore needs none any more
)

// Phases are all phases.
var Phases = []Phase{Moving, Copying, Waiting, Cutover, Deleting}

// CanStart says that Anchore can be started although the run goes on.
type CanStart struct {
	At time.Time `json:"at"`
	// Failed are the documents that stay behind.
	Failed int64 `json:"failed"`
	// Sources are those that were still to be deleted then.
	Sources int64 `json:"sources"`
}

// String says it to people, in one line.
func (s CanStart) String() string { return strings.Join(s.lines(), " ") }

// lines are its sentences, each short enough for a terminal.
func (s CanStart) lines() []string {
	list := []string{"Anchore can be started now: every document's row names the destination."}
	if s.Failed > 0 {
		why := "They stay behind: their rows do not name the destination."
		if s.Failed == 1 {
			why = "It stays behind: its row does not name the destination."
		}
		list = []string{"Anchore can be started now, but it would not find " + Number(s.Failed, "document") + ".", why}
	}
	if s.Sources > 0 {
		list = append(list, Number(s.Sources, "source is", "sources are")+" still to be deleted.")
	}
	return list
}

// Copies is how far a run has come that copies while Anchore's services run.
type Copies struct {
	Rounds int64 `json:"rounds"` // that have ended in this run
	// Copied is of this run, Changed and Failed are of its last round.
	Copied  int64 `json:"copied"`
	Changed int64 `json:"changed"`
	Failed  int64 `json:"failed"`
	// CutShort: the last round has not come to its end, so that nobody knows what is
	// missing.
	CutShort bool `json:"-"`
	// BytesRead and BytesWritten are those of all rounds, which the first began at Began.
	BytesRead    int64     `json:"-"`
	BytesWritten int64     `json:"-"`
	Began        time.Time `json:"-"`
	// InAll are the copies that there are, Missing the rows without one.
	InAll   int64 `json:"in_all"`
	Missing int64 `json:"missing"`
	// BehindSeconds is how long ago that is up to which everything was copied; nil
	// before the first round has ended.
	BehindSeconds *float64 `json:"behind_seconds"`
	// RowsPerSecond is how many copied documents a second a cutover would commit, 0
	// while that is not known, and CutoverSeconds how long it would take until Anchore
	// can be started; nil while that is not known.
	RowsPerSecond  float64  `json:"rows_per_second"`
	CutoverSeconds *float64 `json:"cutover_seconds"`
}

// String says it to people, in one line.
func (c Copies) String() string { return strings.Join(c.lines(), "; ") }

// lines are its parts, each short enough for a terminal.
func (c Copies) lines() []string {
	if c.CutShort {
		return []string{Number(c.InAll, "copy", "copies") + " in all; what is missing was not looked at to the end"}
	}
	list := []string{Number(c.InAll, "copy", "copies") + " in all, " + Number(c.Missing, "row") + " without one"}
	if c.BehindSeconds != nil {
		list[0] += ", " + duration(*c.BehindSeconds) + " behind"
	}
	if c.CutoverSeconds != nil {
		list = append(list, fmt.Sprintf("a cutover would take about %s, at %.0f rows a second", duration(*c.CutoverSeconds), c.RowsPerSecond))
	}
	return list
}

// RoundText says how a round of copying ended, in one line.
func RoundText(r pipeline.Round, c Copies) string {
	round := fmt.Sprintf("Round %d", r.Number)
	if r.CutShort {
		round = fmt.Sprintf("Round %d, cut short", r.Number+1)
	}
	return fmt.Sprintf("%s: %d copied, %d unchanged, %d changed meanwhile, %d failed; %s", round, r.Copied, r.Unchanged, r.Changed, r.Failed, c)
}

// Course follows what a run calls back with. The zero value is ready to Follow one
// run. Safe for concurrent use.
type Course struct {
	mu       sync.Mutex
	job      pipeline.Job
	phase    Phase
	canStart *CanStart
	copies   Copies
	copied   bool // a round has ended
	began    time.Time
}

// Follow has the run with these options followed, besides what they have done with it
// already.
func (c *Course) Follow(o *pipeline.Options) {
	c.job = o.Job
	started, startable, roundBegan, round := o.Started, o.Startable, o.RoundBegan, o.Round
	o.Started = func(s pipeline.Start) {
		c.started(s)
		if started != nil {
			started(s)
		}
	}
	o.Startable = func(failed, sources int64) {
		c.startable(failed, sources)
		if startable != nil {
			startable(failed, sources)
		}
	}
	o.RoundBegan = func(number int64) {
		c.enter(Copying)
		if roundBegan != nil {
			roundBegan(number)
		}
	}
	o.Round = func(r pipeline.Round) {
		c.round(r)
		if round != nil {
			round(r)
		}
	}
}

func (c *Course) enter(p Phase) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.phase = p
}

func (c *Course) started(s pipeline.Start) {
	switch {
	case c.job == pipeline.Copy:
		c.enter(Copying)
	case c.job == pipeline.Purge:
		c.enter(Deleting)
	case c.job == pipeline.Rollback || s.Copies > 0:
		c.enter(Cutover)
	default:
		c.enter(Moving)
	}
}

func (c *Course) startable(failed, sources int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if sources > 0 {
		c.phase = Deleting
	}
	c.canStart = &CanStart{At: time.Now(), Failed: failed, Sources: sources}
}

func (c *Course) round(r pipeline.Round) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.phase = Waiting
	whole := int64(1)
	if r.CutShort {
		whole = 0
	} else {
		c.copied, c.began = true, r.Began
	}
	began := c.copies.Began
	if began.IsZero() {
		began = r.Began
	}
	c.copies = Copies{
		Began: began, BytesRead: c.copies.BytesRead + r.BytesRead, BytesWritten: c.copies.BytesWritten + r.BytesWritten,
		CutShort: r.CutShort, Rounds: c.copies.Rounds + whole, Copied: c.copies.Copied + r.Copied, Changed: r.Changed, Failed: r.Failed,
		InAll: r.Copies, Missing: r.Rest, RowsPerSecond: r.RowsPerSecond,
	}
	if !r.CutShort && r.Cutover >= 0 && r.RowsPerSecond > 0 {
		took := r.Cutover.Seconds()
		c.copies.CutoverSeconds = &took
	}
}

// CourseState is where a run is at a moment.
type CourseState struct {
	Phase    Phase     // "" before it has begun
	CanStart *CanStart // nil until Anchore can be started
	Copies   *Copies   // nil but for a run that copies
}

// Now tells where the run is.
func (c *Course) Now() CourseState {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := CourseState{Phase: c.phase, CanStart: c.canStart}
	if c.job == pipeline.Copy {
		copies := c.copies
		if c.copied {
			behind := time.Since(c.began).Seconds()
			copies.BehindSeconds = &behind
		}
		s.Copies = &copies
	}
	return s
}

// Lines say it to people; none where there is nothing to say.
func (s CourseState) Lines() (lines []string) {
	if s.CanStart != nil {
		lines = append(lines, s.CanStart.lines()...)
	}
	if s.Copies != nil && s.Copies.Rounds > 0 {
		lines = append(lines, s.Copies.lines()...)
	}
	return lines
}

// On gives the progress with where the run is.
func (p Progress) On(s CourseState) Progress {
	p.Phase, p.CanStart, p.Copies = string(s.Phase), s.CanStart, s.Copies
	return p
}

// Lines say where the run is; none where there is nothing to say.
func (p Progress) Lines() []string {
	return CourseState{CanStart: p.CanStart, Copies: p.Copies}.Lines()
}
