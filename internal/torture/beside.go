package torture

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// playBeside plays a round without a kill: copies with --follow beside services at
// full speed for so long, then stops them and it, migrates and compares.
func (r *round) playBeside(ctx context.Context, duration time.Duration) error {
	if err := r.prepare(ctx); err != nil {
		return err
	}
	r.cutover = true
	s, err := r.serve(ctx, r.from, r.rule, ServiceRate{Workers: 4})
	if err != nil {
		return err
	}
	r.flags = []string{"--follow", "--follow-every=1s"}
	o, err := r.run(ctx, "copy", disruption{signals: []syscall.Signal{syscall.SIGINT}, after: duration}, "", nil)
	s.stop(false)
	r.totals.Operations += s.done()
	if err != nil {
		return err
	}
	r.story = append(r.story, "copy said: "+o.output)
	if err := r.settle(ctx, s); err != nil {
		return err
	}
	r.totals.Documents = len(r.model.documents)
	r.flags = nil
	if err := r.last(ctx, "migrate", nil); err != nil {
		return err
	}
	return r.judge(ctx)
}

// everyCutoverPoint kills a copy beside services, and then the migration that takes
// the copies, once at each point.
func (r *round) everyCutoverPoint(ctx context.Context) error {
	if err := r.prepare(ctx); err != nil {
		return err
	}
	r.cutover = true
	s, err := r.serve(ctx, r.from, r.rule, ServiceRate{Workers: 2, Pause: 5 * time.Millisecond})
	if err != nil {
		return err
	}
	err = r.killedAtEach(ctx, "copy", copyPoints)
	s.stop(false)
	r.totals.Operations += s.done()
	if err != nil {
		return err
	}
	if err := r.settle(ctx, s); err != nil {
		return err
	}
	if err := r.killedAtEach(ctx, "migrate", everyCutover); err != nil {
		return err
	}
	if err := r.last(ctx, "migrate", nil); err != nil {
		return err
	}
	return r.judge(ctx)
}

// killedAtEach kills a command once at each of the points that the pair can reach.
func (r *round) killedAtEach(ctx context.Context, command string, points []string) error {
	for _, point := range points {
		if point == "deleting" && !r.from.deletesOne {
			continue
		}
		o, err := r.run(ctx, command, disruption{point: point, nth: 1}, "", nil)
		if err != nil {
			return err
		}
		if !o.killed {
			r.found(finding{wrong, fmt.Sprintf("%s did not come to the point %s: %s", command, point, o.output)})
		}
	}
	return nil
}
