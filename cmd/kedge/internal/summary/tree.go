package summary

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/kedge/kedge/cmd/kedge/internal/ending"
	"github.com/kedge/kedge/cmd/kedge/internal/observe"
	"github.com/kedge/kedge/pipeline/tree"
)

// Tree is what there is to tell of moving a registry's storage, now that it is
// over.
type Tree struct {
	tree.Result
	Err      error
	NoDelete bool
}

// Conclude prints the result and turns it into the command's error.
func (t Tree) Conclude(out Output) error {
	if t.Pass == 0 {
		return neverBegan(t.Err)
	}
	if err := out.result(t.Err, func() any { return t.form() }, t.write); err != nil {
		return err
	}
	if err := interrupted(t.Err, t.Interrupted); err != nil {
		return err
	}
	switch {
	case t.Err != nil:
		return ended(t.Err)
	case t.Failed > 0:
		return ending.Incomplete("%d files stay behind; mend what can be mended and run the same command again", t.Failed)
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

func (t Tree) write(w io.Writer) {
	r, c := t.Result, t.Counts
	fmt.Fprintf(w, "\nPass %d: %s\n", r.Pass, treeState(r, nil))
	fmt.Fprintf(w, "  moved      %d files: %d blobs, %d links, %d others\n", c.Moved(), c.Blobs, c.Links, c.Others)
	fmt.Fprintf(w, "  there      %d of them the destination held before\n", c.AlreadyThere)
	fmt.Fprintf(w, "  read       %s\n", observe.ByteCount(c.BytesRead))
	fmt.Fprintf(w, "  written    %s\n", observe.ByteCount(c.BytesWritten))
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
		var examples []string
		for _, f := range g.Examples {
			examples = append(examples, fmt.Sprintf("%q: %s", f.Path, f.Reason))
		}
		writeGroup(w, g.Class, g.Count, examples)
	}
	if r.Checkpoint != "" {
		fmt.Fprintf(w, "  checkpoint %s\n", r.Checkpoint)
	}
	switch {
	case r.SourceKept && c.Deleted == 0:
		fmt.Fprintln(w, "Nothing was deleted at the source, because not all could be moved.")
	case r.SourceKept:
		fmt.Fprintln(w, "Deleting at the source was stopped, because not all could be deleted.")
	case r.Complete && t.NoDelete:
		fmt.Fprintln(w, "The source still holds its data (--nodelete). Later runs compare, and move what has changed; one without --nodelete empties the source.")
	}
}

// TreeForm is the result as scripts read it.
type TreeForm struct {
	Pass           int64       `json:"pass"`
	State          string      `json:"state"`
	Resumed        bool        `json:"resumed"`
	Interrupted    bool        `json:"interrupted"`
	Files          int64       `json:"files"`
	Moved          int64       `json:"moved"`
	Failed         int64       `json:"failed"`
	Counts         tree.Counts `json:"counts"`
	SourceKept     bool        `json:"source_kept"`
	RunSeconds     float64     `json:"run_seconds"`
	Failures       []TreeGroup `json:"failures"`
	CheckpointPath string      `json:"checkpoint,omitempty"`
	Error          string      `json:"error,omitempty"`
}

// TreeGroup is all failures of one class, as scripts read it.
type TreeGroup struct {
	Class    string         `json:"class"`
	Count    int64          `json:"count"`
	Examples []tree.Failure `json:"examples"`
}

func (t Tree) form() TreeForm {
	r := t.Result
	out := TreeForm{
		Pass: r.Pass, State: treeState(r, t.Err), Resumed: r.Resumed, Interrupted: r.Interrupted, Files: r.Files,
		Moved: r.Counts.Moved(), Failed: r.Failed, Counts: r.Counts, SourceKept: r.SourceKept,
		RunSeconds: r.Ended.Sub(r.Began).Seconds(), CheckpointPath: r.Checkpoint, Failures: []TreeGroup{},
	}
	for _, g := range r.Failures {
		out.Failures = append(out.Failures, TreeGroup(g))
	}
	if t.Err != nil {
		out.Error = t.Err.Error()
	}
	return out
}
