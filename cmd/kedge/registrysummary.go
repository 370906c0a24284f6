package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/kedge/kedge/pipeline/tree"
)

// treeConcluded prints the result of moving a registry's storage and turns it
// into the command's error.
func (a *app) treeConcluded(r tree.Result, err error, nodelete bool) error {
	if r.Pass == 0 {
		return err // it never began
	}
	if a.globals.Output == "json" {
		if jerr := writeTreeJSON(a.stdout, r, err); jerr != nil {
			return errors.Join(err, jerr)
		}
	} else {
		writeTree(a.stdout, r, nodelete)
	}
	switch {
	case errors.Is(err, context.Canceled):
		return &interruptedError{"stopped at once; " + again(err)}
	case err != nil:
		return fmt.Errorf("%w; %s", err, again(err))
	case r.Interrupted:
		return &interruptedError{"interrupted; " + again(err)}
	case r.Failed > 0:
		return &documentsError{fmt.Sprintf("%d files stay behind; mend what can be mended and run the same command again", r.Failed)}
	}
	return nil
}

func treeState(r tree.Result, err error) string {
	switch {
	case r.Complete:
		return "complete"
	case r.Interrupted, errors.Is(err, context.Canceled):
		return "pending"
	default:
		return "failed"
	}
}

func writeTree(w io.Writer, r tree.Result, nodelete bool) {
	c := r.Counts
	fmt.Fprintf(w, "\nPass %d: %s\n", r.Pass, treeState(r, nil))
	fmt.Fprintf(w, "  moved      %d files: %d blobs, %d links, %d others\n", c.Moved(), c.Blobs, c.Links, c.Others)
	fmt.Fprintf(w, "  there      %d of them the destination held before\n", c.AlreadyThere)
	fmt.Fprintf(w, "  read       %s\n", byteCount(c.BytesRead))
	fmt.Fprintf(w, "  written    %s\n", byteCount(c.BytesWritten))
	if c.Deleted > 0 {
		fmt.Fprintf(w, "  deleted    %d files at the source\n", c.Deleted)
	}
	if c.Dangling > 0 {
		fmt.Fprintf(w, "  dangling   %d links of layers and tag history name blobs that the source does not have: not made\n", c.Dangling)
	}
	if c.Uploads > 0 {
		fmt.Fprintf(w, "  uploads    %d files of unfinished uploads: left out\n", c.Uploads)
	}
	if c.Extra > 0 {
		fmt.Fprintf(w, "  extra      %d files at the destination that the source does not have: left alone\n", c.Extra)
	}
	fmt.Fprintf(w, "  this run   %s\n", r.Ended.Sub(r.Began).Round(time.Millisecond))
	if r.Failed > 0 {
		fmt.Fprintf(w, "  failed     %d files:\n", r.Failed)
	}
	for _, g := range r.Failures {
		fmt.Fprintf(w, "    %-20s %d\n", g.Class, g.Count)
		for _, f := range g.Examples {
			fmt.Fprintf(w, "      %q: %s\n", f.Path, f.Reason)
		}
		if more := g.Count - int64(len(g.Examples)); more > 0 {
			fmt.Fprintf(w, "      … and %d more\n", more)
		}
	}
	if r.Checkpoint != "" {
		fmt.Fprintf(w, "  checkpoint %s\n", r.Checkpoint)
	}
	switch {
	case r.SourceKept && c.Deleted == 0:
		fmt.Fprintln(w, "Nothing was deleted at the source, because not all could be moved.")
	case r.SourceKept:
		fmt.Fprintln(w, "Deleting at the source was stopped, because not all could be deleted.")
	case r.Complete && nodelete:
		fmt.Fprintln(w, "The source still holds its data (--nodelete). Later runs compare, and move what has changed; one without --nodelete empties the source.")
	}
}

// treeJSON is the result as scripts read it.
type treeJSON struct {
	Pass           int64             `json:"pass"`
	State          string            `json:"state"`
	Resumed        bool              `json:"resumed"`
	Interrupted    bool              `json:"interrupted"`
	Files          int64             `json:"files"`
	Moved          int64             `json:"moved"`
	Failed         int64             `json:"failed"`
	Counts         tree.Counts       `json:"counts"`
	SourceKept     bool              `json:"source_kept"`
	RunSeconds     float64           `json:"run_seconds"`
	Failures       []treeFailureJSON `json:"failures"`
	CheckpointPath string            `json:"checkpoint,omitempty"`
	Error          string            `json:"error,omitempty"`
}

type treeFailureJSON struct {
	Class    string         `json:"class"`
	Count    int64          `json:"count"`
	Examples []tree.Failure `json:"examples"`
}

func writeTreeJSON(w io.Writer, r tree.Result, err error) error {
	out := treeJSON{
		Pass: r.Pass, State: treeState(r, err), Resumed: r.Resumed, Interrupted: r.Interrupted, Files: r.Files,
		Moved: r.Counts.Moved(), Failed: r.Failed, Counts: r.Counts, SourceKept: r.SourceKept,
		RunSeconds: r.Ended.Sub(r.Began).Seconds(), CheckpointPath: r.Checkpoint, Failures: treeGroups(r.Failures),
	}
	if err != nil {
		out.Error = err.Error()
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(out)
}

// treeGroups is never nil, so that scripts find a list.
func treeGroups(groups []tree.FailureGroup) []treeFailureJSON {
	list := []treeFailureJSON{}
	for _, g := range groups {
		list = append(list, treeFailureJSON(g))
	}
	return list
}
