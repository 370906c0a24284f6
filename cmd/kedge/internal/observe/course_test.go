package observe

import (
	"strings"
	"testing"
	"time"

	"github.com/kedge/kedge/pipeline"
)

// followed calls back as a run with these options does.
func followed(t *testing.T, o pipeline.Options) (*Course, pipeline.Options) {
	t.Helper()
	c := new(Course)
	c.Follow(&o)
	if at := c.Now(); at.Phase != "" || at.CanStart != nil || len(at.Lines()) > 0 {
		t.Errorf("before it has begun: %+v", at)
	}
	return c, o
}

// A migration is a cutover where there are copies, and deletes once Anchore can be started.
func TestTheCourseOfAMigration(t *testing.T) {
	for copies, want := range map[int64]Phase{0: Moving, 7: Cutover} {
		told := 0
		c, o := followed(t, pipeline.Options{Started: func(pipeline.Start) { told++ }, Startable: func(_, _ int64) { told++ }})
		o.Started(pipeline.Start{Copies: copies})
		if at := c.Now(); at.Phase != want || at.Copies != nil {
			t.Errorf("with %d copies: %+v", copies, at)
		}
		o.Startable(0, 0)
		if at := c.Now(); at.Phase != want || at.CanStart == nil {
			t.Errorf("with nothing to delete: %+v", at)
		}
		o.Startable(2, 5)
		at := c.Now()
		text := strings.Join(at.Lines(), " ")
		if at.Phase != Deleting || text != "Anchore can be started now, but it would not find 2 documents. They stay behind: their rows do not name the destination. 5 sources are still to be deleted." {
			t.Errorf("%+v: %s", at, text)
		}
		if told != 3 {
			t.Errorf("who was told before is told %d times, want 3", told)
		}
	}
	c, o := followed(t, pipeline.Options{Job: pipeline.Rollback})
	if o.Started(pipeline.Start{}); c.Now().Phase != Cutover {
		t.Errorf("a rollback: %+v", c.Now())
	}
	c, o = followed(t, pipeline.Options{Job: pipeline.Purge})
	if o.Started(pipeline.Start{}); c.Now().Phase != Deleting {
		t.Errorf("a purge: %+v", c.Now())
	}
}

// A copy adds up its rounds, and says how far it is behind the last one's beginning.
func TestTheCourseOfACopy(t *testing.T) {
	c, o := followed(t, pipeline.Options{Job: pipeline.Copy})
	o.Started(pipeline.Start{})
	if at := c.Now(); at.Phase != Copying || at.Copies == nil || at.Copies.BehindSeconds != nil || len(at.Lines()) > 0 {
		t.Errorf("in the first round: %+v", at)
	}
	o.Round(pipeline.Round{Number: 1, Copied: 100, Copies: 100, Rest: 3, Cutover: -1, Began: time.Now()})
	if at := c.Now(); at.Phase != Waiting || at.Copies.CutoverSeconds != nil {
		t.Errorf("after the first round: %+v", at)
	}
	o.RoundBegan(2)
	if at := c.Now(); at.Phase != Copying {
		t.Errorf("in the second round: %+v", at)
	}
	o.Round(pipeline.Round{Number: 2, Copied: 5, Changed: 1, Copies: 105, Rest: 2, RowsPerSecond: 30000, Cutover: 4 * time.Second, Began: time.Now().Add(-time.Minute)})
	at := c.Now()
	if got := at.Copies; got.Rounds != 2 || got.Copied != 105 || got.Changed != 1 || got.InAll != 105 || got.Missing != 2 || *got.BehindSeconds < 60 || *got.CutoverSeconds != 4 {
		t.Errorf("after the second round: %+v", got)
	}
	if text := strings.Join(at.Lines(), "; "); text != "105 copies in all, 2 rows without one, 1m0s behind; a cutover would take about 4s, at 30000 rows a second" {
		t.Errorf("it says %s", text)
	}
}

// Pages and metrics show where the run is.
func TestTheCourseIsShown(t *testing.T) {
	s, _, now, _ := serve(t)
	defer s.Close()
	p := moment(10)
	behind, cutover := 12.0, 4.0
	p = p.On(CourseState{Phase: Deleting, CanStart: &CanStart{At: begun, Sources: 9}, Copies: &Copies{Rounds: 2, InAll: 105, Missing: 3, BehindSeconds: &behind, CutoverSeconds: &cutover, RowsPerSecond: 1}})
	now.Store(&p)
	for path, wants := range map[string][]string{
		"live":     {"Anchore can be started now: every document&#39;s row names the destination.", "9 sources are still to be deleted.", "105 copies in all", ", deleting;"},
		"metrics":  {`kedge_run_phase{phase="deleting"} 1`, `kedge_run_phase{phase="cutover"} 0`, "kedge_can_start 1", "kedge_copies 105", "kedge_copies_missing 3", "kedge_copy_behind_seconds 12", "kedge_cutover_seconds 4", "kedge_copy_rounds_total 2"},
		"progress": {`"phase": "deleting"`, `"sources": 9`, `"behind_seconds": 12`},
	} {
		_, body := ask(t, "GET", s.URL()+path, "")
		for _, want := range wants {
			if !strings.Contains(body, want) {
				t.Errorf("%s does not show %q", path, want)
			}
		}
	}
	none := moment(10)
	now.Store(&none)
	if _, body := ask(t, "GET", s.URL()+"metrics", ""); strings.Contains(body, "kedge_copies") || !strings.Contains(body, "kedge_can_start 0") {
		t.Error("a run that does not copy shows copies")
	}
}

// A round that was cut short does not say that nothing is missing.
func TestARoundThatWasCutShort(t *testing.T) {
	var c Course
	o := pipeline.Options{Job: pipeline.Copy}
	c.Follow(&o)
	r := pipeline.Round{CutShort: true, Copied: 7, Copies: 7, Began: time.Now()}
	o.Round(r)
	at := c.Now().Copies
	if text := RoundText(r, *at); at.Rounds != 0 || at.BehindSeconds != nil || text != "Round 1, cut short: 7 copied, 0 unchanged, 0 changed meanwhile, 0 failed; 7 copies in all; what is missing was not looked at to the end" {
		t.Errorf("%q, %+v", text, at)
	}
}
