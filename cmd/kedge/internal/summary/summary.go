// Package summary says how a run ended: to people as text, to scripts as JSON, and
// to the program as the error that sets its exit status.
//
// docs/output-json.md documents the JSON forms. There is one file for each kind of
// run: a migration of documents (and what is said of a purge), that of a registry's
// storage (tree.go), and audits of both (audit.go).
package summary

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/cmd/kedge/internal/ending"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline"
)

// Output is where results go, and in which form.
type Output struct {
	io.Writer
	JSON bool
}

// Indented writes a value as JSON that people can read too.
func (o Output) Indented(value any) error {
	e := json.NewEncoder(o)
	e.SetIndent("", "  ")
	return e.Encode(value)
}

// Line writes a value as a line of JSON.
func (o Output) Line(value any) error { return json.NewEncoder(o).Encode(value) }

// result prints what there is to tell of a run, which ended with this error.
func (o Output) result(ran error, form func() any, write func(io.Writer)) error {
	if !o.JSON {
		write(o)
		return nil
	}
	if err := o.Indented(form()); err != nil {
		return errors.Join(ran, err)
	}
	return nil
}

// Suggestion is a command for what comes next.
type Suggestion struct {
	Purpose string `json:"purpose"`
	Command string `json:"command"`
}

// Group is all failures of one class, as scripts read it.
type Group struct {
	Class    string    `json:"class"`
	Count    int64     `json:"count"`
	Examples []Example `json:"examples"`
}

// Example is a document that failed.
type Example struct {
	UserID       string `json:"user_id"`
	Bucket       string `json:"bucket"`
	ArchiveID    string `json:"archive_id"`
	DocumentName string `json:"document_name"`
	URI          string `json:"content_url"`
	Stage        string `json:"stage"`
	Reason       string `json:"reason"`
}

// Groups is never nil, so that scripts find a list.
func Groups(groups []pipeline.FailureGroup) []Group {
	list := []Group{}
	for _, g := range groups {
		f := Group{Class: g.Class, Count: g.Count}
		for _, e := range g.Examples {
			f.Examples = append(f.Examples, Example{e.UserID, e.Bucket, e.ArchiveID, e.Name, e.URI, e.Stage, e.Reason})
		}
		list = append(list, f)
	}
	return list
}

// Place is a place that rows name, as scripts read it.
type Place struct {
	Place     string `json:"place"`
	Documents int64  `json:"documents"`
	Bytes     int64  `json:"bytes"`
}

// Places is never nil, so that scripts find a list.
func Places(places []pipeline.Place) []Place {
	list := []Place{}
	for _, p := range places {
		list = append(list, Place(p))
	}
	return list
}

// Finding is what was found out about a store, as scripts read it.
type Finding struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Amiss bool   `json:"amiss"`
}

// Findings is never nil, so that scripts find a list.
func Findings(found []drivers.Finding) []Finding {
	list := []Finding{}
	for _, f := range found {
		list = append(list, Finding(f))
	}
	return list
}

// Document shows a document that failed; quoted, because the parts of its name may
// hold anything.
func Document(f checkpoint.Failure) string {
	return fmt.Sprintf("%q", strings.Join([]string{f.UserID, f.Bucket, f.ArchiveID}, "/"))
}

// writeGroup writes a class, how many failed for it, and the first few.
func writeGroup(w io.Writer, class string, count int64, examples []string) {
	fmt.Fprintf(w, "    %-20s %d\n", class, count)
	for _, e := range examples {
		fmt.Fprintf(w, "      %s\n", e)
	}
	if more := count - int64(len(examples)); more > 0 {
		fmt.Fprintf(w, "      … and %d more\n", more)
	}
}

// again says how to go on after a run that ended with err.
func again(err error) string {
	var gaveUp *pipeline.GaveUpError
	if errors.As(err, &gaveUp) && gaveUp.Outage != nil {
		return "run the same command again when it is back"
	}
	if deletesReach(err) {
		return "then run the same command again to go on"
	}
	return "run the same command again to go on"
}

// deletesReach says whether a run ended because what it deletes at the source is deleted
// at the destination, too.
func deletesReach(err error) bool {
	var lost *pipeline.LostError
	return errors.As(err, &lost)
}

// ended is the error of a run that could not go on.
func ended(err error) error {
	if deletesReach(err) {
		return ending.Incomplete("%w; %s", err, again(err))
	}
	return fmt.Errorf("%w; %s", err, again(err))
}

// neverBegan is the error of a run that ended before it had begun.
func neverBegan(err error) error {
	if deletesReach(err) {
		return ending.Incomplete("%w", err)
	}
	return err
}

// interrupted is the error of a run that was stopped at once, or asked to stop and
// did; nil of any other.
func interrupted(ran error, stopped bool) error {
	switch {
	case errors.Is(ran, context.Canceled):
		return ending.Interrupted("stopped at once; %s", again(ran))
	case ran == nil && stopped:
		return ending.Interrupted("interrupted; %s", again(ran))
	}
	return nil
}
