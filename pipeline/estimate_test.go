package pipeline_test

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/copies"
)

// A round of copying, and a plan after it, say how long the cutover takes; a plan leaves
// the record as it is, and can be made where the record is not there or in use.
func TestTheLengthOfTheCutoverIsToldBeforehand(t *testing.T) {
	t.Parallel()
	in := install(t, 500)
	plan := func() *pipeline.PlanCutover {
		t.Helper()
		p, err := pipeline.MakePlan(t.Context(), nil, pipeline.PlanOptions{Options: in.cutover(in.dst)})
		if err != nil {
			t.Fatal(err)
		}
		return p.Cutover
	}
	if c := plan(); c != nil {
		t.Errorf("without a record: %+v", c)
	}
	in.exec(`UPDATE archive_metadata SET digest = NULL WHERE "archiveId" = 'id-00009'`)
	o := in.copyOptions(in.dst)
	o.Trust = copies.TrustList
	if r := run(t, o).Round; r.Copies != 499 || r.Rest != 1 || r.RowsPerSecond <= 0 || r.Cutover <= 0 {
		t.Errorf("%+v", r)
	}
	in.write(in.src, key(5), []byte("changed"))
	in.write(in.src, key(2000), []byte("new"))
	before, err := os.ReadFile(o.Record)
	if err != nil {
		t.Fatal(err)
	}
	if c := plan(); c == nil || c.Copied != 498 || c.Rest.Documents != 3 || c.Rest.Bytes != 810 {
		t.Errorf("%+v", c)
	}
	if after, err := os.ReadFile(o.Record); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the plan has changed the record, or %v", err)
	}
	r, err := copies.Open(o.Record, copies.Opening{Identity: pipeline.RecordIdentity(in.cutover(in.dst)), Source: in.src.URI, Destination: in.dst.URI})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if c := plan(); c != nil {
		t.Errorf("while the record is in use: %+v", c)
	}
}

// Rounds that look at changed rows only tell the length by the first round's measures.
func TestALaterRoundTellsTheLengthOfTheCutover(t *testing.T) {
	t.Parallel()
	in := install(t, 300)
	o := in.copyOptions(in.dst)
	o.Trust, o.FollowEvery = copies.TrustRecord, time.Millisecond
	stop := make(chan struct{})
	var rounds []pipeline.Round
	o.Round = func(r pipeline.Round) {
		if rounds = append(rounds, r); len(rounds) == 2 {
			close(stop)
			return
		}
		in.write(in.src, key(7), []byte("changed"))
	}
	if _, err := pipeline.Follow(t.Context(), stop, o); err != nil {
		t.Fatal(err)
	}
	if first, second := rounds[0], rounds[1]; second.Copied != 1 || second.RowsPerSecond != first.RowsPerSecond || first.RowsPerSecond <= 0 || second.Cutover <= 0 {
		t.Errorf("%+v, then %+v", first, second)
	}
}
