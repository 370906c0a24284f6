package pipeline_test

import (
	"bytes"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/store"
)

// Whichever stage is left out, as by a mistake in how the way is put together: every
// document fails, its row and its source stay.
func TestAStageThatIsLeftOutLosesNothing(t *testing.T) {
	for _, stage := range []string{"fetch", "put", "verify", "commit"} {
		t.Run(stage, func(t *testing.T) {
			in := install(t, 40)
			source := &deletions{Driver: in.src}
			o := in.options(in.dst)
			o.Source.Driver = source
			r, err := pipeline.RunWithout(t.Context(), o, stage)
			if err != nil || r.Failed != 40 || r.Counts.Moved != 0 || source.made.Load() != 0 {
				t.Errorf("%d sources deleted; %+v, %v", source.made.Load(), r, err)
			}
			for key, plain := range in.plain {
				rows, err := in.cat.Rows(t.Context(), []drivers.Key{key})
				if err != nil || len(rows) != 1 {
					t.Fatalf("%s: %d rows, %v", key, len(rows), err)
				}
				if got, err := store.ReadPlain(t.Context(), in.src, rows[0]); err != nil || !bytes.Equal(got, plain) {
					t.Errorf("%s is not readable at the source: %v", key, err)
				}
			}
			// Nothing is left out of the next run.
			if r, err = pipeline.Run(t.Context(), nil, o); err != nil || r.Failed != 0 || source.made.Load() != 40 {
				t.Errorf("the next run: %d sources deleted; %+v, %v", source.made.Load(), r, err)
			}
			if moved := in.check(); moved != 40 {
				t.Errorf("%d documents moved", moved)
			}
		})
	}
	in := install(t, 40)
	if r, err := pipeline.RunWithout(t.Context(), in.options(in.dst), ""); err != nil || r.Failed != 0 || in.check() != 40 {
		t.Errorf("with all stages: %+v, %v", r, err)
	}
}
