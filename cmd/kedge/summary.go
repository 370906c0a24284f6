package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/kedge/kedge/cmd/kedge/internal/observe"
	"github.com/kedge/kedge/config"
	"github.com/kedge/kedge/pipeline"
)

// movedOf says how many were moved, and of how many where that is known.
func movedOf(moved, documents int64) string {
	if documents == 0 && moved > 0 {
		return fmt.Sprint(moved)
	}
	return fmt.Sprintf("%d of %d", moved, documents)
}

// conclusion is what the end of a migration has to be told with.
type conclusion struct {
	nodelete    bool
	destination *config.Store
	elsewhere   pipeline.Elsewhere
	// next are the commands for what comes next.
	next []suggestion
}

// concluded prints the result and turns it into the command's error.
func (a *app) concluded(r pipeline.Result, err error, c conclusion) error {
	if r.TaskID == 0 {
		return err // it never began
	}
	if a.globals.Output == "json" {
		if jerr := writeResultJSON(a.stdout, r, c, err); jerr != nil {
			return errors.Join(err, jerr)
		}
	} else {
		writeResult(a.stdout, r, c)
	}
	switch {
	case errors.Is(err, context.Canceled):
		return &interruptedError{"stopped at once; " + again(err)}
	case err != nil:
		return &stoppedError{fmt.Errorf("%w; %s", err, again(err))}
	case r.Interrupted:
		return &interruptedError{"interrupted; " + again(err)}
	case r.Failed > 0:
		return &documentsError{fmt.Sprintf("%d documents stay behind; mend what can be mended and run the same command again", r.Failed)}
	case len(r.Elsewhere) > 0 && c.elsewhere != pipeline.ElsewhereIgnore:
		return &documentsError{"documents elsewhere were not moved; move them with --elsewhere=move, or leave them with --elsewhere=ignore"}
	}
	return nil
}

// stoppedError is a run that had begun and could not go on: documents stay behind.
type stoppedError struct{ error }

func (e *stoppedError) Unwrap() error { return e.error }

// again says how to go on after a run that ended with err.
func again(err error) string {
	var gaveUp *pipeline.GaveUpError
	if errors.As(err, &gaveUp) && gaveUp.Outage != nil {
		return "run the same command again when it is back"
	}
	return "run the same command again to go on"
}

// writeFailures names the documents that stay behind, by reason, and the sources
// that are left.
func writeFailures(w io.Writer, r pipeline.Result) {
	if r.Failed > 0 {
		fmt.Fprintf(w, "  failed     %d documents, which stay where they were:\n", r.Failed)
	}
	writeGroups(w, r.Failures)
	if len(r.Left) > 0 {
		fmt.Fprintln(w, "  left       sources of moved documents that are not kedge's to delete, and are left for good; this is not told again:")
		writeGroups(w, r.Left)
		fmt.Fprintln(w, "    When no row of the catalog needs such a place any more, delete it by hand; kedge verify --orphans lists what no row names.")
	}
}

func writeGroups(w io.Writer, groups []pipeline.FailureGroup) {
	for _, g := range groups {
		fmt.Fprintf(w, "    %-20s %d\n", g.Class, g.Count)
		for _, f := range g.Examples {
			fmt.Fprintf(w, "      %s: %s\n", name(f.Bucket, f.UserID, f.ArchiveID), f.Reason)
		}
		if more := g.Count - int64(len(g.Examples)); more > 0 {
			fmt.Fprintf(w, "      … and %d more\n", more)
		}
	}
}

// name shows a document; quoted, because its parts may hold anything.
func name(bucket, user, archiveID string) string {
	return fmt.Sprintf("%q", strings.Join([]string{user, bucket, archiveID}, "/"))
}

// resultJSON is the result as scripts read it.
type resultJSON struct {
	TaskID         int64         `json:"task_id"`
	State          string        `json:"state"`
	Resumed        bool          `json:"resumed"`
	Interrupted    bool          `json:"interrupted"`
	Documents      int64         `json:"documents"`
	Moved          int64         `json:"moved"`
	Failed         int64         `json:"failed"`
	BytesRead      int64         `json:"bytes_read"`
	BytesWritten   int64         `json:"bytes_written"`
	AlreadyThere   int64         `json:"already_there"`
	Skipped        int64         `json:"skipped"`
	WithoutDigest  int64         `json:"without_digest"`
	RunSeconds     float64       `json:"run_seconds"`
	ThisRun        runJSON       `json:"this_run"`
	Failures       []failureJSON `json:"failures"`
	Left           []failureJSON `json:"left"`
	Elsewhere      []placeJSON   `json:"elsewhere"`
	Next           []suggestion  `json:"next"`
	CheckpointPath string        `json:"checkpoint,omitempty"`
	Error          string        `json:"error,omitempty"`
}

type runJSON struct {
	Documents             int64   `json:"documents"`
	BytesRead             int64   `json:"bytes_read"`
	BytesWritten          int64   `json:"bytes_written"`
	DocumentsPerSecond    float64 `json:"documents_per_second"`
	BytesReadPerSecond    float64 `json:"bytes_read_per_second"`
	BytesWrittenPerSecond float64 `json:"bytes_written_per_second"`
}

type failureJSON struct {
	Class    string        `json:"class"`
	Count    int64         `json:"count"`
	Examples []exampleJSON `json:"examples"`
}

type exampleJSON struct {
	UserID       string `json:"user_id"`
	Bucket       string `json:"bucket"`
	ArchiveID    string `json:"archive_id"`
	DocumentName string `json:"document_name"`
	URI          string `json:"content_url"`
	Stage        string `json:"stage"`
	Reason       string `json:"reason"`
}

type placeJSON struct {
	Place     string `json:"place"`
	Documents int64  `json:"documents"`
	Bytes     int64  `json:"bytes"`
}

func writeResultJSON(w io.Writer, r pipeline.Result, c conclusion, err error) error {
	run := ranOf(r)
	out := resultJSON{
		TaskID: r.TaskID, State: string(r.State), Resumed: r.Resumed, Interrupted: r.Interrupted,
		Documents: r.Documents, Moved: r.Counts.Moved, Failed: r.Failed,
		BytesRead: r.Counts.BytesRead, BytesWritten: r.Counts.BytesWritten, WithoutDigest: r.Counts.NoDigest,
		AlreadyThere: r.Counts.AlreadyThere, Skipped: skipped(r), RunSeconds: run.took.Seconds(), CheckpointPath: r.Checkpoint,
		ThisRun: runJSON{
			run.documents, run.bytesRead, run.bytesWritten, run.rate(run.documents), run.rate(run.bytesRead), run.rate(run.bytesWritten),
		},
		Next: append([]suggestion{}, c.next...),
	}
	if err != nil {
		out.Error = err.Error()
	}
	out.Failures, out.Left = groupsJSON(r.Failures), groupsJSON(r.Left)
	out.Elsewhere = placesJSON(r.Elsewhere)
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(out)
}

// groupsJSON is never nil, so that scripts find a list.
func groupsJSON(groups []pipeline.FailureGroup) []failureJSON {
	list := []failureJSON{}
	for _, g := range groups {
		f := failureJSON{Class: g.Class, Count: g.Count}
		for _, e := range g.Examples {
			f.Examples = append(f.Examples, exampleJSON{e.UserID, e.Bucket, e.ArchiveID, e.Name, e.URI, e.Stage, e.Reason})
		}
		list = append(list, f)
	}
	return list
}

// placesJSON is never nil, so that scripts find a list.
func placesJSON(places []pipeline.Place) []placeJSON {
	list := []placeJSON{}
	for _, p := range places {
		list = append(list, placeJSON(p))
	}
	return list
}

// byteCount writes a number of bytes for people.
func byteCount(n int64) string { return observe.ByteCount(n) }
