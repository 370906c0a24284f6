// Package plantext says what a dry run has found out: to people as text, to scripts
// as JSON, and to the program as the error that sets its exit status.
//
// docs/output-json.md documents the JSON form.
package plantext

import (
	"errors"
	"fmt"
	"time"

	"github.com/kedge/kedge/cmd/kedge/internal/ending"
	"github.com/kedge/kedge/cmd/kedge/internal/observe"
	"github.com/kedge/kedge/cmd/kedge/internal/summary"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/localfs"
	"github.com/kedge/kedge/pipeline"
)

// Plan is all that a dry run has to tell.
type Plan struct {
	pipeline.Plan
	Source, Destination, Database Side
	Checkpoint                    string
	Room                          *Room // nil where the destination has no room that could be known
	Commands                      []summary.Suggestion
	KeepSource                    bool
	// Policy is what is to be done about documents that are elsewhere.
	Policy pipeline.Elsewhere
	// AtLeast is how long it would take by the limits that were given; 0 without.
	AtLeast time.Duration
}

// Side is one side of a migration as it was looked at, or the database.
type Side struct {
	Driver, Place string
	// Missing: the place is not there, and the migration would make it.
	Missing  bool
	Findings []drivers.Finding
	Untried  []string
}

// Find adds a finding.
func (s *Side) Find(name, value string, amiss bool) {
	s.Findings = append(s.Findings, drivers.Finding{Name: name, Value: value, Amiss: amiss})
}

// Room is the room at a localfs destination.
type Room struct {
	localfs.Room
	// NeedBytes and NeedFiles are what the documents and their directories take
	// at most; NeedBytes is -1 where that is not known.
	NeedBytes, NeedFiles int64
}

// Short says whether there is not enough.
func (r *Room) Short() bool {
	return r.NeedBytes > r.FreeBytes || r.FreeFiles >= 0 && r.NeedFiles > r.FreeFiles
}

// String tells of the room for people.
func (r *Room) String() string {
	need := "what is needed is not known"
	if r.NeedBytes >= 0 {
		need = "up to " + observe.ByteCount(r.NeedBytes) + " needed"
	}
	text := fmt.Sprintf("%s free in %s, %s (files and directories in blocks of %d bytes)", observe.ByteCount(r.FreeBytes), r.Directory, need, r.BlockBytes)
	if r.FreeFiles >= 0 && r.NeedFiles > r.FreeFiles {
		text += fmt.Sprintf("; room for %d more files, up to %d needed", r.FreeFiles, r.NeedFiles)
	}
	return text
}

// Conclude prints the plan and turns it into the command's error.
func (p *Plan) Conclude(out summary.Output) error {
	var err error
	if out.JSON {
		err = out.Indented(p.form())
	} else {
		err = p.write(out)
	}
	return errors.Join(err, p.amiss())
}

// amiss says why not everything would be moved, or not at once.
func (p *Plan) amiss() error {
	amiss := 0
	for _, s := range []*Side{&p.Source, &p.Destination, &p.Database} {
		for _, f := range s.Findings {
			if f.Amiss {
				amiss++
			}
		}
	}
	switch {
	case p.Staying > 0:
		return ending.Incomplete("%d documents would stay where they are", p.Staying)
	case len(p.Elsewhere) > 0 && p.Policy != pipeline.ElsewhereIgnore:
		return ending.Incomplete("documents elsewhere would not be moved; move them with --elsewhere=move, or leave them with --elsewhere=ignore")
	case amiss > 0:
		return ending.Incomplete("not all is well: see the lines marked with !")
	}
	return nil
}
