package main

import (
	"encoding/json"
	"io"

	"github.com/kedge/kedge/cmd/kedge/internal/summary"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline"
)

// planJSON is a plan as scripts read it; docs/output-json.md tells of each field.
type planJSON struct {
	Source            planSideJSON         `json:"source"`
	Destination       planSideJSON         `json:"destination"`
	Database          planSideJSON         `json:"database"`
	Documents         int64                `json:"documents"`
	Bytes             int64                `json:"bytes"`
	UnknownLength     int64                `json:"unknown_length"`
	WithoutDigest     int64                `json:"without_digest"`
	Staying           int64                `json:"staying"`
	Stay              []summary.Group      `json:"stay"`
	Elsewhere         []summary.Place      `json:"elsewhere"`
	Buckets           []shareJSON          `json:"buckets"`
	Users             []shareJSON          `json:"users"`
	UserCount         int64                `json:"user_count"`
	UserCountIsLeast  bool                 `json:"user_count_is_least"`
	Sizes             []sizeJSON           `json:"sizes"`
	Forms             formsJSON            `json:"forms"`
	BytesToWrite      *int64               `json:"bytes_to_write"`
	BytesToWriteExact bool                 `json:"bytes_to_write_exact"`
	NamesUnchecked    bool                 `json:"names_unchecked"`
	FreeSpace         *roomJSON            `json:"free_space"`
	Sample            sampleJSON           `json:"sample"`
	SecondsAtLeast    *float64             `json:"seconds_at_least"`
	LockHeldBy        string               `json:"lock_held_by,omitempty"`
	CheckpointPath    string               `json:"checkpoint"`
	CheckpointInUse   bool                 `json:"checkpoint_in_use"`
	Resume            *resumeJSON          `json:"resume"`
	Commands          []summary.Suggestion `json:"commands"`
	Complete          bool                 `json:"would_move_everything"`
}

type planSideJSON struct {
	Driver      string        `json:"driver"`
	Place       string        `json:"place"`
	WouldBeMade bool          `json:"would_be_made"`
	Findings    []findingJSON `json:"findings"`
	NotTried    []string      `json:"not_tried"`
}

type findingJSON struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Amiss bool   `json:"amiss"`
}

type shareJSON struct {
	Name      *string `json:"name"`
	Others    int64   `json:"others"`
	Documents int64   `json:"documents"`
	Bytes     int64   `json:"bytes"`
	Staying   int64   `json:"staying"`
}

type sizeJSON struct {
	UpTo      *int64 `json:"up_to_bytes"`
	Known     bool   `json:"known"`
	Documents int64  `json:"documents"`
	Bytes     int64  `json:"bytes"`
}

type amountJSON struct {
	Documents int64 `json:"documents"`
	Bytes     int64 `json:"bytes"`
}

type formsJSON struct {
	Compress   amountJSON    `json:"compress"`
	Decompress amountJSON    `json:"decompress"`
	Pass       amountJSON    `json:"pass"`
	Undecided  undecidedJSON `json:"undecided"`
}

type undecidedJSON struct {
	amountJSON
	Decompress *int64 `json:"decompress_estimate"`
}

type roomJSON struct {
	Directory string `json:"directory"`
	FreeBytes int64  `json:"free_bytes"`
	NeedBytes *int64 `json:"need_bytes"`
	FreeFiles *int64 `json:"free_files"`
	NeedFiles int64  `json:"need_files"`
	Enough    bool   `json:"enough"`
}

type sampleJSON struct {
	Documents    int64           `json:"documents"`
	BytesRead    int64           `json:"bytes_read"`
	BytesToWrite int64           `json:"bytes_to_write"`
	Seconds      float64         `json:"seconds"`
	Batches      int64           `json:"batches"`
	AllBatches   int64           `json:"all_batches"`
	Failed       int64           `json:"failed"`
	Failures     []summary.Group `json:"failures"`
	Incomplete   bool            `json:"incomplete"`
	TooLong      amountJSON      `json:"too_long"`
	HeldAsked    int             `json:"destination_asked"`
	HeldFound    int             `json:"destination_found"`
}

type resumeJSON struct {
	TaskID    int64       `json:"task_id"`
	Documents int64       `json:"documents"`
	Moved     int64       `json:"moved"`
	InFlight  int64       `json:"in_flight"`
	Failed    []classJSON `json:"failed"`
	Finished  bool        `json:"finished"`
	Forgotten bool        `json:"forgotten"`
}

type classJSON struct {
	Class string `json:"class"`
	Count int64  `json:"count"`
}

func writePlanJSON(w io.Writer, p *planned) error {
	out := planJSON{
		Source: sideJSON(&p.source), Destination: sideJSON(&p.destination), Database: sideJSON(&p.database),
		Documents: p.Move.Documents, Bytes: p.Move.Bytes, UnknownLength: p.UnknownLength, WithoutDigest: p.NoDigest,
		Staying: p.Staying, Stay: summary.Groups(p.Stay), Elsewhere: summary.Places(p.Plan.Elsewhere),
		Buckets: sharesJSON(p.Buckets), Users: sharesJSON(p.Users), UserCount: p.UserCount, UserCountIsLeast: p.UsersUncounted,
		Sizes: []sizeJSON{}, Forms: planFormsJSON(&p.Plan), NamesUnchecked: p.UncheckedNames, FreeSpace: planRoomJSON(p.room),
		Sample: planSampleJSON(&p.Sample), CheckpointPath: p.checkpoint, CheckpointInUse: p.CheckpointInUse,
		Resume: planResumeJSON(p.Resume), Commands: p.commands, Complete: p.concluded() == nil,
	}
	for _, c := range p.Sizes {
		s := sizeJSON{Known: c.MaxBytes != -2, Documents: c.Documents, Bytes: c.Bytes}
		if c.MaxBytes >= 0 {
			s.UpTo = &c.MaxBytes
		}
		out.Sizes = append(out.Sizes, s)
	}
	if written, exact, ok := p.WrittenBytes(); ok {
		out.BytesToWrite, out.BytesToWriteExact = &written, exact
	}
	if took, ok := p.Sample.Duration(); ok {
		seconds := max(took, p.atLeast).Seconds()
		out.SecondsAtLeast = &seconds
	}
	if p.Held != nil {
		out.LockHeldBy = p.Held.Error()
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(out)
}

func sideJSON(s *planSide) planSideJSON {
	return planSideJSON{Driver: s.driver, Place: s.place, WouldBeMade: s.missing, Findings: findingsJSON(s.findings), NotTried: append([]string{}, s.untried...)}
}

// findingsJSON is never nil, so that scripts find a list.
func findingsJSON(found []drivers.Finding) []findingJSON {
	list := []findingJSON{}
	for _, f := range found {
		list = append(list, findingJSON(f))
	}
	return list
}

func sharesJSON(shares []pipeline.Share) []shareJSON {
	list := []shareJSON{}
	for _, s := range shares {
		j := shareJSON{Name: &s.Name, Others: s.Others, Documents: s.Move.Documents, Bytes: s.Move.Bytes, Staying: s.Staying}
		if s.Others > 0 {
			j.Name = nil
		}
		list = append(list, j)
	}
	return list
}

func planFormsJSON(p *pipeline.Plan) formsJSON {
	f := formsJSON{
		Compress: amountJSON(p.Forms.Compress), Decompress: amountJSON(p.Forms.Decompress), Pass: amountJSON(p.Forms.Pass),
		Undecided: undecidedJSON{amountJSON: amountJSON(p.Forms.Undecided)},
	}
	if n, ok := p.Decompressed(); ok {
		f.Undecided.Decompress = &n
	}
	return f
}

func planRoomJSON(r *planRoom) *roomJSON {
	if r == nil {
		return nil
	}
	j := &roomJSON{Directory: r.Directory, FreeBytes: r.FreeBytes, NeedFiles: r.needFiles, Enough: !r.short()}
	if r.needBytes >= 0 {
		j.NeedBytes = &r.needBytes
	}
	if r.FreeFiles >= 0 {
		j.FreeFiles = &r.FreeFiles
	}
	return j
}

func planSampleJSON(s *pipeline.Sample) sampleJSON {
	return sampleJSON{
		Documents: s.Read.Documents, BytesRead: s.Read.Bytes, BytesToWrite: s.WrittenBytes, Seconds: s.Took.Seconds(),
		Batches: s.Batches, AllBatches: s.AllBatches, Failed: s.Failed, Failures: summary.Groups(s.Failures), Incomplete: s.Incomplete,
		TooLong: amountJSON(s.Long), HeldAsked: s.Asked, HeldFound: s.Found,
	}
}

func planResumeJSON(r *pipeline.PlanResume) *resumeJSON {
	if r == nil {
		return nil
	}
	j := &resumeJSON{TaskID: r.TaskID, Documents: r.Documents, Moved: r.Moved, InFlight: r.InFlight, Failed: []classJSON{}, Finished: r.Finished, Forgotten: r.Forgotten}
	for _, class := range sortedKeys(r.Failed) {
		j.Failed = append(j.Failed, classJSON{class, r.Failed[class]})
	}
	return j
}
