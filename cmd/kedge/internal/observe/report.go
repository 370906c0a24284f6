package observe

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"os"
	"path/filepath"
	"time"
)

// Report is what is shown after a run. Nothing in it may be a secret.
type Report struct {
	Progress // how the run ended
	// From and To are the places of source and destination.
	From, To string
	Resumed  bool
	Ended    time.Time
	// Groups are the documents that stay behind, by reason, most frequent first.
	Groups    []Group
	Elsewhere []Elsewhere
	// Next says what to do next, a step a line.
	Next []string
	// Configuration, if not empty, is what the installation's configuration needs
	// from now on, with secrets masked.
	Configuration       string
	Checkpoint, Journal string
}

// Group is all failures of one class.
type Group struct {
	Class    string
	Count    int64
	Examples []Example // the first few
}

// More is how many failures there are besides the examples.
func (g Group) More() int64 { return g.Count - int64(len(g.Examples)) }

// Example is one failure.
type Example struct{ Document, Stage, Reason string }

// Elsewhere is a place that rows name and that the run did not touch.
type Elsewhere struct {
	Place            string
	Documents, Bytes int64
}

// Saved says what became of the bytes written compared with those read.
func (r Report) Saved() string {
	return Bucket{BytesRead: r.Bytes.Read, BytesWritten: r.Bytes.Written}.Ratio()
}

// CheckReport fails where no report can be written to path.
func CheckReport(path string) error {
	f, err := temporary(path)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Close(), os.Remove(f.Name())); err != nil {
		return fmt.Errorf("--report: cannot write %s: %w", path, err)
	}
	return nil
}

// temporary makes an empty file beside path.
func temporary(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("--report: cannot write %s: it is there and is no file", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return nil, fmt.Errorf("--report: cannot write %s: %w", path, err)
	}
	return f, nil
}

// WriteReport writes the report of a run whose course the recorder has seen, as
// one HTML file that refers to nothing outside of itself. Whoever looks at path
// sees what was there before, or all of it.
func WriteReport(path string, r Report, recorder *Recorder) (err error) {
	var page bytes.Buffer
	if err := templates.ExecuteTemplate(&page, "report", struct {
		Report
		Plots []template.HTML
	}{r, append(course(r.Progress, recorder.Series()), distributions(r.Progress)...)}); err != nil {
		return fmt.Errorf("make the report: %w", err)
	}
	f, err := temporary(path)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("--report: cannot write %s: %w", path, err), os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(page.Bytes())
	// It is for others to read, as what an editor saves would be.
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
