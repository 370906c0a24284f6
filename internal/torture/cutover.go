package torture

import (
	"bytes"
	"context"
	"fmt"
	"syscall"
	"time"
)

// startable is what kedge says when the services may run again.
const startable = "Anchore can be started now"

// playCutover plays a round in which documents are copied ahead while Anchore's
// services work, through kills; then the services stop and the migration takes
// what was copied. Sometimes the services are started again as soon as kedge says
// so, while it still deletes; sometimes, where the sources were kept, they write
// at the new place and all goes back.
func (r *round) playCutover(ctx context.Context) error {
	if err := r.prepare(ctx); err != nil {
		return err
	}
	r.cutover, r.keep = true, r.r.IntN(3) == 0
	trust := []string{"", "verify", "list", "record"}[r.r.IntN(4)]
	if r.options.Mutate != "" && trust == "record" {
		trust = "list"
	}
	r.story = append(r.story, fmt.Sprintf("%d documents, source %+v, destination %+v; sources are kept: %v, trust %q",
		len(r.model.documents), r.rule, r.toRule, r.keep, trust))
	if err := r.copyAhead(ctx); err != nil {
		return err
	}
	if trust != "record" && r.options.MeddleOneIn >= 0 && (r.options.Mutate != "" || r.r.IntN(2) == 0) {
		if err := r.meddleWithCopies(ctx); err != nil {
			return err
		}
	}
	if r.flags = nil; trust != "" {
		r.flags = append(r.flags, "--trust-copies="+trust)
	}
	if r.keep {
		r.flags = append(r.flags, "--nodelete")
	}
	if err := r.cutOver(ctx); err != nil || !r.keep || r.r.IntN(3) == 0 {
		return err
	}
	return r.goBack(ctx)
}

// rate draws how fast services work: at times as fast as they can.
func (r *round) rate() ServiceRate {
	return ServiceRate{
		Workers: 2 + r.r.IntN(4), Pause: []time.Duration{0, 2 * time.Millisecond, 20 * time.Millisecond}[r.r.IntN(3)],
		Ahead: []time.Duration{0, 0, -time.Minute, time.Minute}[r.r.IntN(4)],
	}
}

// copyAhead copies while services work, and ends both.
func (r *round) copyAhead(ctx context.Context) error {
	s, err := r.serve(ctx, r.from, r.rule, r.rate())
	if err != nil {
		return err
	}
	err = r.copyRuns(ctx)
	s.stop(r.r.IntN(4) == 0)
	r.totals.Operations += s.done()
	if err != nil {
		return err
	}
	if err := r.settle(ctx, s); err != nil {
		return err
	}
	findings, err := r.check(ctx, false)
	if r.found(findings...); err != nil {
		return err
	}
	return r.checkCopying(ctx)
}

// checkCopying looks at the tasks that copies have begun: they are of an online
// migration, which is not over.
func (r *round) checkCopying(ctx context.Context) error {
	tasks, err := readTasks(ctx, r.rig.conn)
	for _, t := range tasks {
		if !t.online || t.state == "complete" {
			r.found(finding{wrong, fmt.Sprintf("before the cutover a task is %+v", t)})
		}
	}
	return err
}

// copyRuns runs the copy through disruptions, and mostly once to its end.
func (r *round) copyRuns(ctx context.Context) error {
	for i := range 2 + r.r.IntN(5) {
		d := draw(r.r, len(r.model.documents), copyPoints)
		r.flags = nil
		if r.r.IntN(3) == 0 {
			r.flags = append(r.flags, "--follow", "--follow-every=1s")
			if len(d.signals) == 0 { // it may never come to its point
				d.signals, d.after = []syscall.Signal{syscall.SIGINT}, time.Duration(500+r.r.IntN(2500))*time.Millisecond
			}
		}
		if _, err := r.run(ctx, "copy", d, r.options.Mutate, nil); err != nil {
			return err
		}
		if i > 0 {
			r.totals.Resumes++
		}
	}
	if r.flags = nil; r.r.IntN(4) == 0 {
		return nil
	}
	o, err := r.run(ctx, "copy", disruption{}, r.options.Mutate, nil)
	if err == nil && !o.complete() {
		r.found(finding{wrong, fmt.Sprintf("an undisturbed copy ends with status %d: %s", o.exit, o.output)})
	}
	return err
}

// meddleWithCopies replaces or removes some copies at the destination, as somebody
// might who takes the place for his own. A replaced copy of a document that is
// gone is nobody's but his; of a long one kedge may know only the time of its put
// (docs/safety.md), so that those are let alone.
func (r *round) meddleWithCopies(ctx context.Context) error {
	var uris []string
	for _, d := range r.model.documents {
		if d.fate == moves || d.fate == gone {
			uris = append(uris, r.to.uri(d.key))
		}
	}
	copies, err := r.to.store.read(ctx, uris)
	if err != nil {
		return err
	}
	replaced, removed := make(map[string][]byte), []string(nil)
	for _, d := range r.model.documents {
		uri := r.to.uri(d.key)
		payload, ok := copies[uri]
		if !ok || len(payload) == 0 || r.r.IntN(20) > 0 || d.fate == gone && d.large {
			continue
		}
		removed = append(removed, uri)
		if d.fate == moves && r.r.IntN(3) == 0 {
			continue
		}
		replaced[uri] = bytes.Repeat([]byte("x"), len(payload))
		if d.fate == gone {
			d.fate, d.names, d.payload = settled, nil, replaced[uri]
		}
	}
	r.story = append(r.story, fmt.Sprintf("of %d copies %d are replaced and %d removed by somebody else", len(copies), len(replaced), len(removed)-len(replaced)))
	if err := r.to.store.remove(ctx, removed); err != nil {
		return err
	}
	return r.to.store.fill(ctx, replaced)
}

// cutOver migrates what was copied, through disruptions, and compares everything.
func (r *round) cutOver(ctx context.Context) error {
	early := !r.keep && r.r.IntN(2) == 0
	var s *services
	stop := func() {
		if s != nil {
			s.stop(false)
			r.totals.Operations += s.done()
		}
	}
	beside := func(ctx context.Context, c *child) (err error) {
		select {
		case <-c.ended:
		case <-c.output.heard:
		}
		if !early || s != nil || !said(c) {
			return nil
		}
		s, err = r.startAgain(ctx)
		return err
	}
	err := r.through(ctx, "migrate", cutoverPoints, beside)
	if err == nil && early && s == nil {
		if _, err = r.run(ctx, "migrate", disruption{}, r.options.Mutate, beside); err == nil {
			err = r.look(ctx, 0)
		}
	}
	if stop(); err != nil {
		return err
	}
	if s != nil {
		if err := r.settle(ctx, s); err != nil {
			return err
		}
	}
	// What services changed under the hands of a run is left to this one.
	if err := r.last(ctx, "migrate", nil); err != nil {
		return err
	}
	return r.judge(ctx)
}

// startAgain compares everything and starts the services at the new place, when a run
// has said that they may be started.
func (r *round) startAgain(ctx context.Context) (*services, error) {
	// First: of a torn document the cutover may have taken the copy, and its row is another.
	if err := r.decideTorn(ctx); err != nil {
		return nil, err
	}
	findings, err := r.check(ctx, false)
	if err != nil {
		return nil, err
	}
	r.found(findings...)
	if r.before, err = readCatalog(ctx, r.rig.conn); err != nil {
		return nil, err
	}
	r.story = append(r.story, "the services are started again")
	r.migrated = r.model.count(moves)
	return r.serve(ctx, r.to, r.toRule, r.rate())
}

// said says whether a run has said that the services may be started.
func said(c *child) bool {
	select {
	case <-c.output.heard:
		return true
	default:
		return false
	}
}

// through runs a command through disruptions.
func (r *round) through(ctx context.Context, command string, points []string, beside func(context.Context, *child) error) error {
	for i := range 3 + r.r.IntN(8) {
		o, err := r.run(ctx, command, draw(r.r, len(r.model.documents), points), r.options.Mutate, beside)
		if err != nil {
			return err
		}
		if i > 0 {
			r.totals.Resumes++
		}
		if err := r.look(ctx, 0); err != nil {
			return err
		}
		if o.complete() {
			return nil
		}
	}
	return nil
}

// last runs a command to its end.
func (r *round) last(ctx context.Context, command string, beside func(context.Context, *child) error) error {
	o, err := r.run(ctx, command, disruption{}, r.options.Mutate, beside)
	if err != nil {
		return err
	}
	r.totals.Resumes++
	if err := r.look(ctx, 0); err != nil {
		return err
	}
	if err := r.decideTorn(ctx); err != nil {
		return err
	}
	r.said = o.output
	want := exitDone
	if r.model.count(stays) > 0 {
		want = exitDocuments
	}
	if o.exit != want {
		r.found(finding{wrong, fmt.Sprintf("the last run ends with status %d, want %d: %s", o.exit, want, o.output)})
	}
	return nil
}

// judge compares everything when a way is over.
func (r *round) judge(ctx context.Context) error {
	r.totals.Repeated += r.work.repeated
	for _, check := range []func(context.Context) ([]finding, error){
		func(ctx context.Context) ([]finding, error) { return r.check(ctx, true) }, r.checkTasks,
	} {
		findings, err := check(ctx)
		if err != nil {
			return err
		}
		r.found(findings...)
	}
	return nil
}

// decideTorn looks what has become of documents whose row and payload did not
// belong together: where the version of the row had been copied, it is moved.
func (r *round) decideTorn(ctx context.Context) error {
	rows, err := readCatalog(ctx, r.rig.conn)
	if err != nil {
		return err
	}
	for _, d := range r.model.documents {
		if d.torn && d.fate == stays && text(rows[d.rowID(d.names[0])].url) == r.to.uri(d.key) {
			d.fate = moves
		}
	}
	return nil
}
