package main

import (
	"fmt"
	"io"
	"time"

	"github.com/kedge/kedge/pipeline"
)

// ran is what one run of a migration has done, beside what earlier ones had.
type ran struct {
	documents, bytesRead, bytesWritten int64
	took                               time.Duration
}

func ranOf(r pipeline.Result) ran {
	return ran{
		documents: r.Counts.Moved - r.Before.Moved, bytesRead: r.Counts.BytesRead - r.Before.BytesRead,
		bytesWritten: r.Counts.BytesWritten - r.Before.BytesWritten, took: r.Ended.Sub(r.Began),
	}
}

// rate is so many a second.
func (r ran) rate(n int64) float64 {
	if r.took <= 0 {
		return 0
	}
	return float64(n) / r.took.Seconds()
}

// String tells the run in one line.
func (r ran) String() string {
	return fmt.Sprintf("%d documents in %s: %.0f/s, %s/s read, %s/s written", r.documents, r.took.Round(time.Millisecond),
		r.rate(r.documents), byteCount(int64(r.rate(r.bytesRead))), byteCount(int64(r.rate(r.bytesWritten))))
}

func writeResult(w io.Writer, r pipeline.Result, c conclusion) {
	fmt.Fprintf(w, "\nMigration task %d: %s\n", r.TaskID, r.State)
	fmt.Fprintf(w, "  moved      %s documents\n", movedOf(r.Counts.Moved, r.Documents))
	if r.Counts.AlreadyThere > 0 {
		fmt.Fprintf(w, "  there      %d of them had been moved when a run was interrupted\n", r.Counts.AlreadyThere)
	}
	if n := skipped(r); n > 0 {
		fmt.Fprintf(w, "  skipped    %d documents that are elsewhere\n", n)
	}
	fmt.Fprintf(w, "  read       %s\n", byteCount(r.Counts.BytesRead))
	fmt.Fprintf(w, "  written    %s%s\n", byteCount(r.Counts.BytesWritten), shareOfRead(r))
	fmt.Fprintf(w, "  this run   %s\n", ranOf(r))
	if r.Counts.NoDigest > 0 {
		fmt.Fprintf(w, "  no digest  %d documents had none in the catalog: nothing could tell whether their bytes were right\n", r.Counts.NoDigest)
	}
	writeFailures(w, r)
	for _, p := range r.Elsewhere {
		fmt.Fprintf(w, "  elsewhere  %d documents (%s) at %s: not moved\n", p.Documents, byteCount(p.Bytes), p.Place)
	}
	if r.Checkpoint != "" {
		fmt.Fprintf(w, "  checkpoint %s\n", r.Checkpoint)
	}
	if r.State == "complete" || r.Failed > 0 {
		if c.nodelete {
			fmt.Fprintln(w, "The source still holds its data (--nodelete). Delete it with kedge purge when all is well.")
		}
		if c.destination != nil {
			fmt.Fprintf(w, "After this migration, your anchore-engine config.yaml MUST have the following configuration options added before starting up again:\n%s\n", indent(redacted(c.destination)))
		}
	}
	if len(c.next) > 0 {
		fmt.Fprintln(w, "Next")
	}
	for _, s := range c.next {
		fmt.Fprintf(w, "  %s:\n    %s\n", s.Purpose, s.Command)
	}
}

// skipped counts the documents that were left because they are elsewhere.
func skipped(r pipeline.Result) (n int64) {
	for _, p := range r.Elsewhere {
		n += p.Documents
	}
	return n
}

// shareOfRead tells what compression made of the documents.
func shareOfRead(r pipeline.Result) string {
	if r.Counts.BytesRead == 0 || r.Counts.BytesRead == r.Counts.BytesWritten {
		return ""
	}
	return fmt.Sprintf(", %.0f%% of what was read", 100*float64(r.Counts.BytesWritten)/float64(r.Counts.BytesRead))
}

// suggestions are the commands for what comes after a run that ended so.
func (c *migrateCommand) suggestions(a *app, r pipeline.Result, err error) (list []suggestion) {
	if err != nil || r.Interrupted {
		return []suggestion{{"go on where it was", c.goOn(a)}, {"or go back: move everything to the source again", c.goBack(a)}}
	}
	if r.Failed > 0 {
		list = append(list, suggestion{"try the documents again that stayed behind, when what can be mended is mended", c.goOn(a)})
	}
	if len(r.Elsewhere) > 0 && c.Elsewhere != string(pipeline.ElsewhereMove) {
		list = append(list, suggestion{"move the documents that are elsewhere too", c.moveElsewhere(a)})
	}
	list = append(list, suggestion{"read every document at its new place", c.verify(a)})
	if c.NoDelete {
		list = append(list, suggestion{"delete what --nodelete left at the source, when all is well", c.purge(a)})
	}
	return append(list, suggestion{"go back: move everything to the source again", c.goBack(a)})
}
