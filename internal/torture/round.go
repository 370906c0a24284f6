package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// round is one installation and its migration.
type round struct {
	rig      *rig
	r        *rand.Rand
	options  *Options
	pair     Pair
	from, to *place
	// rule and toRule are the compression rules of source and destination.
	rule, toRule compression
	// sourceFile and destinationFile are the names of their configurations.
	sourceFile, destinationFile string
	// keep: the source's payloads are left (--nodelete) as yet.
	keep    bool
	meddled bool
	// cutover: what is migrated has been copied before, while services wrote.
	cutover bool
	// emptied are folders of localfs that services may have emptied: Anchore leaves
	// them.
	emptied map[string]bool
	model   *model
	before  map[rowID]row // the catalog as it was, and as it was meddled with
	work    *work
	open    int64 // the task that the next run has to go on with, 0 if none
	// migrated, if not 0, is how many rows were to be moved before services at the new
	// place made others.
	migrated int64
	over     []task // those of the way there, on the way back
	flags    []string
	story    []string // what was done, for the report of a finding
	said     string   // by the last run of a cutover or a way back
	totals   Totals
}

func newRound(rig *rig, pair Pair, number int, o *Options) (*round, error) {
	r := &round{
		rig: rig, pair: pair, options: o, r: rand.New(rand.NewPCG(o.Seed, uint64(number))), sourceFile: "source.yaml", destinationFile: "dest.yaml",
		emptied: make(map[string]bool),
	}
	var err error
	if r.from, err = rig.place(pair.From, false); err != nil {
		return nil, err
	}
	if r.to, err = rig.place(pair.To, true); err != nil {
		return nil, err
	}
	rules := []compression{{}, {true, 0}, {true, 1}, {true, 100}}
	r.rule, r.toRule = rules[r.r.IntN(len(rules))], rules[r.r.IntN(len(rules))]
	r.model = newModel(r.r, r.from, r.to, r.rule, r.toRule, o.EveryPoint)
	r.work = newWork(r.file("migrate.checkpoint"))
	r.totals.Documents = len(r.model.documents)
	return r, nil
}

// prepare makes the installation.
func (r *round) prepare(ctx context.Context) (err error) {
	if err := r.rig.reset(ctx, r.from, r.to); err != nil {
		return err
	}
	if r.before, err = r.model.seed(ctx, r.rig.conn, r.from, r.to); err != nil {
		return err
	}
	if err := r.configure(r.sourceFile, r.from, r.rule); err != nil {
		return err
	}
	return r.configure(r.destinationFile, r.to, r.toRule)
}

// configure writes the configuration of a place.
func (r *round) configure(name string, p *place, c compression) error {
	enabled := map[bool]string{true: "True", false: "False"}[c.enabled]
	text := fmt.Sprintf("services:\n  catalog:\n    object_store:\n      compression:\n        enabled: %s\n        min_size_kbytes: %d\n"+
		"      storage_driver:\n        name: %s\n        config:", enabled, c.minKB, p.driver)
	if len(p.options) == 0 {
		text += " {}"
	}
	for _, option := range p.options {
		text += "\n          " + option
	}
	text += "\ncredentials:\n  database:\n    db_connect: " + r.rig.database + "\n"
	return os.WriteFile(filepath.Join(r.rig.state(), name), []byte(text), 0o600)
}

func (r *round) file(name string) string { return filepath.Join(r.rig.state(), name) }

// args is the command line.
func (r *round) args(command string) []string {
	args := []string{command, "--checkpoint", r.file("migrate.checkpoint")}
	switch command {
	case "migrate":
		args = append(args, "--dontask", "--allow-volatile", "--watch-deletes=0s", "--memory=16", "--elsewhere=ignore")
	case "rollback":
		args = append(args, "--dontask", "--memory=16", "--elsewhere=ignore")
	case "copy":
		args = append(args, "--memory=16", "--elsewhere=ignore")
	case "purge":
		return []string{command, "--dontask", "--allow-volatile", "--watch-deletes=0s", "--memory=16", "--checkpoint", r.file("purge.checkpoint"), r.file(r.sourceFile), r.file(r.destinationFile)}
	}
	return append(append(args, r.flags...), r.file(r.sourceFile), r.file(r.destinationFile))
}

// run runs the program once. beside, if not nil, goes on beside it.
func (r *round) run(ctx context.Context, command string, d disruption, mutate string, beside func(context.Context, *child) error) (outcome, error) {
	environment := []string{"KEDGE_CRASH_AT=", "KEDGE_MUTATE=" + mutate}
	if d.point != "" {
		environment[0] += fmt.Sprintf("%s:%d", d.point, d.nth)
	}
	c, err := start(r.options.Program, environment, r.args(command), startable)
	if err != nil {
		return outcome{}, err
	}
	besides := make(chan error, 1)
	go func() {
		if beside == nil {
			besides <- nil
			return
		}
		besides <- beside(ctx, c)
	}()
	o, err := c.wait(ctx, d)
	if berr := <-besides; err == nil {
		err = berr
	}
	r.story = append(r.story, fmt.Sprintf("%s: %s: killed=%v exit=%d", command, d, o.killed, o.exit))
	r.totals.Runs++
	switch {
	case o.killed:
		r.totals.killed(command, r.cutover)
	case o.exit == exitInterrupted:
		r.totals.Interrupts++
	}
	if o.hung {
		r.found(finding{wrong, "the run does not end: " + o.output})
	} else if !o.killed && !o.complete() && o.exit != exitInterrupted {
		r.found(finding{wrong, fmt.Sprintf("exit status %d: %s", o.exit, o.output)})
	}
	return o, err
}

func (r *round) found(findings ...finding) {
	for _, f := range findings {
		switch f.kind {
		case lost:
			r.totals.Lost++
		case orphaned:
			r.totals.Orphaned++
		default:
			r.totals.Wrong++
		}
		r.totals.findings = append(r.totals.findings, f)
	}
}

// look follows the work after a run, and now and then compares everything.
func (r *round) look(ctx context.Context, often int) error {
	complaints, err := r.work.look()
	if err != nil {
		return err
	}
	if err := r.lookAtTasks(ctx); err != nil {
		return err
	}
	for _, c := range complaints {
		// With the same URIs a new migration finds everything again; and a source that
		// services did not let go is tried once more.
		if !r.model.sameURIs && r.migrated == 0 {
			r.found(finding{wrong, c})
		}
	}
	if often == 0 || r.r.IntN(often) != 0 {
		return nil
	}
	findings, err := r.check(ctx, false)
	r.found(findings...)
	return err
}

// lookAtTasks says whether the last run began a new task though it had one to go
// on with.
func (r *round) lookAtTasks(ctx context.Context) error {
	tasks, err := readTasks(ctx, r.rig.conn)
	if err != nil {
		return err
	}
	if r.open != 0 && len(tasks) > 0 && tasks[len(tasks)-1].id != r.open {
		r.found(finding{wrong, fmt.Sprintf("task %d was not over, and a run began another one: %+v", r.open, tasks)})
	}
	// A task that the checkpoint does not know yet may be given up.
	if r.open = 0; !r.work.header.Finished && r.work.header.TaskID != 0 && len(tasks) > 0 && !tasks[len(tasks)-1].terminal() {
		r.open = r.work.header.TaskID
	}
	return nil
}

// play plays a random round.
func (r *round) play(ctx context.Context) error {
	if err := r.prepare(ctx); err != nil {
		return err
	}
	r.keep = r.r.IntN(6) == 0
	purge := r.keep && !r.model.sameURIs && r.r.IntN(2) == 0
	if r.keep {
		r.flags = append(r.flags, "--nodelete")
	}
	if r.r.IntN(4) == 0 {
		r.flags = append(r.flags, fmt.Sprintf("--workers=%d", 1+r.r.IntN(6)))
	}
	if r.r.IntN(6) == 0 {
		r.flags = append(r.flags, "--verify=readback")
	}
	r.story = append(r.story, fmt.Sprintf("%d documents, source %+v, destination %+v, %v", len(r.model.documents), r.rule, r.toRule, r.flags))
	if err := r.disrupted(ctx, "migrate"); err != nil {
		return err
	}
	if err := r.conclude(ctx); err != nil || !purge {
		return err
	}
	return r.purge(ctx)
}

// everyPoint kills a migration once at each point that the pair can reach.
func (r *round) everyPoint(ctx context.Context) error {
	if err := r.prepare(ctx); err != nil {
		return err
	}
	for _, point := range Points {
		if point == "deleting" && !r.from.deletesOne {
			continue
		}
		o, err := r.run(ctx, "migrate", disruption{point: point, nth: 1}, "", nil)
		if err != nil {
			return err
		}
		if !o.killed {
			r.found(finding{wrong, fmt.Sprintf("did not come to the point %s: %s", point, o.output)})
		}
		if err := r.look(ctx, 4); err != nil {
			return err
		}
	}
	return r.conclude(ctx)
}

// disrupted runs a command through several disruptions, until it is done or
// there were enough.
func (r *round) disrupted(ctx context.Context, command string) error {
	attempts := 4 + r.r.IntN(12)
	for i := range attempts {
		d := draw(r.r, len(r.model.documents), Points)
		var beside func(context.Context, *child) error
		if command == "migrate" && !r.model.sameURIs && r.options.meddles(r.r) {
			m, err := r.meddle(ctx, i > 0)
			if err != nil {
				return err
			}
			if m != nil {
				beside = m.finish
			}
		}
		o, err := r.run(ctx, command, d, r.options.Mutate, beside)
		if err != nil {
			return err
		}
		if i > 0 {
			r.totals.Resumes++
		}
		if command == "migrate" {
			if err := r.look(ctx, 4); err != nil {
				return err
			}
		}
		if o.complete() {
			return nil
		}
	}
	return nil
}

// conclude runs the migration to its end, and compares everything.
func (r *round) conclude(ctx context.Context) error {
	runs := 1
	if r.meddled || r.options.Mutate != "" {
		runs = 2 // what was changed under a run's hands is left to the next one
	}
	mutate := r.options.Mutate
	if r.options.MendAtLast {
		mutate = ""
	}
	for i := range runs {
		o, err := r.run(ctx, "migrate", disruption{}, mutate, nil)
		if err != nil {
			return err
		}
		r.totals.Resumes++
		if err := r.look(ctx, 0); err != nil {
			return err
		}
		want := exitDone
		if r.model.count(stays) > 0 {
			want = exitDocuments
		}
		if i == runs-1 && o.exit != want {
			r.found(finding{wrong, fmt.Sprintf("the last run ends with status %d, want %d: %s", o.exit, want, o.output)})
		}
	}
	r.totals.Repeated += r.work.repeated
	for _, check := range []func(context.Context) ([]finding, error){
		func(ctx context.Context) ([]finding, error) { return r.check(ctx, true) }, r.checkTasks, r.checkWork,
	} {
		findings, err := check(ctx)
		if err != nil {
			return err
		}
		r.found(findings...)
	}
	return nil
}

// purge deletes what --nodelete has left, through disruptions too.
func (r *round) purge(ctx context.Context) error {
	if err := r.disrupted(ctx, "purge"); err != nil {
		return err
	}
	o, err := r.run(ctx, "purge", disruption{}, "", nil)
	if err != nil {
		return err
	}
	if o.exit != exitDone {
		r.found(finding{wrong, fmt.Sprintf("the last purge ends with status %d: %s", o.exit, o.output)})
	}
	r.keep = false
	findings, err := r.check(ctx, true)
	r.found(findings...)
	return err
}

// tell tells a round with findings, for repeating it.
func (r *round) tell(number int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "round %d (seed %d), %s:\n", number, r.options.Seed, r.pair)
	for _, s := range r.story {
		fmt.Fprintf(&b, "  %s\n", s)
	}
	if r.said != "" && r.totals.Bad() {
		fmt.Fprintf(&b, "  the last run said: %s\n", r.said)
	}
	for i, f := range r.totals.findings {
		if i == 12 {
			fmt.Fprintf(&b, "  … and %d more\n", len(r.totals.findings)-i)
			break
		}
		fmt.Fprintf(&b, "  %s: %s\n", strings.ToUpper(f.kind), f.text)
	}
	return b.String()
}
