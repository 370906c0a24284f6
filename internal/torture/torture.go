package torture

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// Options say how long to torture, and what.
type Options struct {
	// Program is kedge, built with the tag torture.
	Program string
	Seed    uint64
	Pairs   []Pair
	// Kills and Duration: no round begins when there were so many kills, or so
	// much time has passed. 0 is no limit; one of them is needed.
	Kills    int
	Duration time.Duration
	// First is the number of the first round, for repeating one; Rounds, if not
	// 0, is how many there are.
	First, Rounds int
	// Parallel is how many rounds go on at once; 0 is 1.
	Parallel int
	// Mutate names faults to switch on in the program (KEDGE_MUTATE), MendAtLast
	// switches them off for the last run of each round.
	Mutate     string
	MendAtLast bool
	// MeddleOneIn: before or during one run of so many a document is changed by
	// somebody else; 0 is 10, less than 0 is never.
	MeddleOneIn int
	// CopyOneIn: one round of so many copies ahead, while services write; 0 is none.
	CopyOneIn int
	// EveryPoint plays rounds that kill the program once at each point, instead
	// of random ones: of a migration or, with CopyOneIn, of a copy and a cutover.
	EveryPoint bool
	// StopAt ends everything at the first finding whose text holds one of these.
	StopAt []string
	// Report, if not nil, is told every round with findings, and the progress now
	// and then.
	Report io.Writer
}

// meddles draws whether somebody else changes a document now.
func (o *Options) meddles(r *rand.Rand) bool {
	return o.MeddleOneIn >= 0 && r.IntN(cmp.Or(o.MeddleOneIn, 10)) == 0
}

// Totals are what rounds have come to.
type Totals struct {
	Rounds, Runs int
	// Kills are runs ended by SIGKILL, Interrupts by SIGINT or SIGTERM, Resumes
	// are runs that went on where another had ended.
	Kills, Interrupts, Resumes int
	// Of the kills, those of copies that were made while services wrote, of the
	// migrations that used them, and of the ways back.
	CopyKills, CutoverKills, RollbackKills int
	// Left counts payloads of deleted documents that a way back leaves.
	Left int
	// Operations are what services have done meanwhile.
	Operations int64
	Documents  int
	// Lost, Orphaned and Wrong count findings.
	Lost, Orphaned, Wrong int
	// Repeated counts documents that were done again by a later run.
	Repeated int

	findings []finding
}

// found says whether there is a finding whose text holds one of these.
func (t Totals) found(texts []string) bool {
	return slices.ContainsFunc(t.findings, func(f finding) bool {
		return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(f.text, text) })
	})
}

// killed counts a kill.
func (t *Totals) killed(command string, cutover bool) {
	t.Kills++
	switch {
	case command == "copy":
		t.CopyKills++
	case command == "rollback":
		t.RollbackKills++
	case cutover && command == "migrate":
		t.CutoverKills++
	}
}

// Bad says that something was found.
func (t Totals) Bad() bool { return t.Lost+t.Orphaned+t.Wrong > 0 }

func (t *Totals) add(o Totals) {
	t.Rounds += o.Rounds
	t.Runs += o.Runs
	t.Kills += o.Kills
	t.Interrupts += o.Interrupts
	t.Resumes += o.Resumes
	t.CopyKills += o.CopyKills
	t.CutoverKills += o.CutoverKills
	t.RollbackKills += o.RollbackKills
	t.Operations += o.Operations
	t.Left += o.Left
	t.Documents += o.Documents
	t.Lost += o.Lost
	t.Orphaned += o.Orphaned
	t.Wrong += o.Wrong
	t.Repeated += o.Repeated
	t.findings = append(t.findings, o.findings...)
}

// Result is what torture has come to, in total and by pair.
type Result struct {
	Totals
	ByPair map[Pair]Totals
}

// String is a table.
func (r Result) String() string {
	var b strings.Builder
	line := func(name string, t Totals) {
		fmt.Fprintf(&b, "%-24s %7d %7d %11d %8d %10d %6d %9d %6d %9d\n", name, t.Rounds, t.Kills, t.Interrupts, t.Resumes, t.Documents, t.Lost, t.Orphaned, t.Wrong, t.Repeated)
	}
	fmt.Fprintf(&b, "%-24s %7s %7s %11s %8s %10s %6s %9s %6s %9s\n", "pair", "rounds", "kills", "interrupts", "resumes", "documents", "lost", "orphaned", "wrong", "repeated")
	var pairs []Pair
	for p := range r.ByPair {
		pairs = append(pairs, p)
	}
	slices.SortFunc(pairs, func(a, b Pair) int { return strings.Compare(a.String(), b.String()) })
	for _, p := range pairs {
		line(p.String(), r.ByPair[p])
	}
	line("total", r.Totals)
	fmt.Fprintf(&b, "%d of the kills were of copies beside services at work (%d operations), %d of the cutovers after them, %d of rollbacks (which leave %d payloads of documents deleted since)\n",
		r.CopyKills, r.Operations, r.CutoverKills, r.RollbackKills, r.Left)
	return b.String()
}

// Run plays rounds, each with the next of the pairs, against the real servers of
// the test. It returns an error when the harness itself fails.
func Run(tb testing.TB, o Options) (Result, error) {
	tb.Helper()
	t := &tortured{options: o, next: o.First, began: time.Now(), result: Result{ByPair: make(map[Pair]Totals)}}
	g, ctx := errgroup.WithContext(tb.Context())
	for _, rig := range newRigs(tb, max(1, o.Parallel)) {
		g.Go(func() error { return t.work(ctx, rig) })
	}
	err := g.Wait()
	return t.result, err
}

const progressInterval = 30 * time.Second

// tortured is the state that the workers share.
type tortured struct {
	options Options
	began   time.Time

	mu     sync.Mutex
	next   int
	told   time.Time // when the progress was last reported
	result Result
}

// take takes the number of the next round, -1 when there was enough.
func (t *tortured) take() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	o := t.options
	if o.Kills > 0 && t.result.Kills >= o.Kills || o.Duration > 0 && time.Since(t.began) >= o.Duration ||
		o.Rounds > 0 && t.next >= o.First+o.Rounds || t.result.found(o.StopAt) {
		return -1
	}
	t.next++
	return t.next - 1
}

func (t *tortured) work(ctx context.Context, rig *rig) error {
	for ctx.Err() == nil {
		number := t.take()
		if number < 0 {
			return nil
		}
		r, err := newRound(rig, t.options.Pairs[number%len(t.options.Pairs)], number, &t.options)
		if err != nil {
			return err
		}
		play := r.play
		switch n := t.options.CopyOneIn; {
		case t.options.EveryPoint && n > 0:
			play = r.everyCutoverPoint
		case t.options.EveryPoint:
			play = r.everyPoint
		case n > 0 && r.r.IntN(n) == 0 && !r.model.sameURIs:
			play = r.playCutover
		}
		if err := play(ctx); err != nil {
			return fmt.Errorf("%swhile that was going on: %w", r.tell(number), err)
		}
		t.record(r, number)
	}
	return nil
}

func (t *tortured) record(r *round, number int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.totals.Rounds = 1
	t.result.add(r.totals)
	pair := t.result.ByPair[r.pair]
	pair.add(r.totals)
	t.result.ByPair[r.pair] = pair
	if t.options.Report == nil {
		return
	}
	if r.totals.Bad() {
		fmt.Fprint(t.options.Report, r.tell(number))
	}
	if time.Since(t.told) > progressInterval {
		t.told = time.Now()
		fmt.Fprintf(t.options.Report, "%s: %d rounds, %d kills, %d documents; lost %d, orphaned %d, wrong %d\n", time.Since(t.began).Round(time.Second),
			t.result.Rounds, t.result.Kills, t.result.Documents, t.result.Lost, t.result.Orphaned, t.result.Wrong)
	}
}
