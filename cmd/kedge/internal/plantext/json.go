package plantext

import (
	"github.com/kedge/kedge/cmd/kedge/internal/summary"
	"github.com/kedge/kedge/pipeline"
)

// Form is a plan as scripts read it; docs/output-json.md tells of each field.
type Form struct {
	Source            SideForm             `json:"source"`
	Destination       SideForm             `json:"destination"`
	Database          SideForm             `json:"database"`
	Documents         int64                `json:"documents"`
	Bytes             int64                `json:"bytes"`
	UnknownLength     int64                `json:"unknown_length"`
	WithoutDigest     int64                `json:"without_digest"`
	Staying           int64                `json:"staying"`
	Stay              []summary.Group      `json:"stay"`
	Elsewhere         []summary.Place      `json:"elsewhere"`
	Buckets           []ShareForm          `json:"buckets"`
	Users             []ShareForm          `json:"users"`
	UserCount         int64                `json:"user_count"`
	UserCountIsLeast  bool                 `json:"user_count_is_least"`
	Sizes             []SizeForm           `json:"sizes"`
	Forms             PayloadForms         `json:"forms"`
	BytesToWrite      *int64               `json:"bytes_to_write"`
	BytesToWriteExact bool                 `json:"bytes_to_write_exact"`
	NamesUnchecked    bool                 `json:"names_unchecked"`
	FreeSpace         *RoomForm            `json:"free_space"`
	Sample            SampleForm           `json:"sample"`
	SecondsAtLeast    *float64             `json:"seconds_at_least"`
	LockHeldBy        string               `json:"lock_held_by,omitempty"`
	CheckpointPath    string               `json:"checkpoint"`
	CheckpointInUse   bool                 `json:"checkpoint_in_use"`
	Resume            *ResumeForm          `json:"resume"`
	Cutover           *CutoverForm         `json:"cutover"`
	Commands          []summary.Suggestion `json:"commands"`
	Complete          bool                 `json:"would_move_everything"`
}

// SideForm is a side, as scripts read it.
type SideForm struct {
	Driver      string            `json:"driver"`
	Place       string            `json:"place"`
	WouldBeMade bool              `json:"would_be_made"`
	Findings    []summary.Finding `json:"findings"`
	NotTried    []string          `json:"not_tried"`
}

// ShareForm is a bucket or a user, as scripts read it.
type ShareForm struct {
	Name      *string `json:"name"`
	Others    int64   `json:"others"`
	Documents int64   `json:"documents"`
	Bytes     int64   `json:"bytes"`
	Staying   int64   `json:"staying"`
}

// SizeForm is a class of lengths, as scripts read it.
type SizeForm struct {
	UpTo      *int64 `json:"up_to_bytes"`
	Known     bool   `json:"known"`
	Documents int64  `json:"documents"`
	Bytes     int64  `json:"bytes"`
}

// AmountForm is an amount, as scripts read it.
type AmountForm struct {
	Documents int64 `json:"documents"`
	Bytes     int64 `json:"bytes"`
}

// PayloadForms is what becomes of the payloads, as scripts read it.
type PayloadForms struct {
	Compress   AmountForm    `json:"compress"`
	Decompress AmountForm    `json:"decompress"`
	Pass       AmountForm    `json:"pass"`
	Undecided  UndecidedForm `json:"undecided"`
}

// UndecidedForm is those of which that is not known, as scripts read it.
type UndecidedForm struct {
	AmountForm
	Decompress *int64 `json:"decompress_estimate"`
}

// RoomForm is the room at the destination, as scripts read it.
type RoomForm struct {
	Directory string `json:"directory"`
	FreeBytes int64  `json:"free_bytes"`
	NeedBytes *int64 `json:"need_bytes"`
	FreeFiles *int64 `json:"free_files"`
	NeedFiles int64  `json:"need_files"`
	Enough    bool   `json:"enough"`
}

// SampleForm is what was read to estimate, as scripts read it.
type SampleForm struct {
	Documents    int64           `json:"documents"`
	BytesRead    int64           `json:"bytes_read"`
	BytesToWrite int64           `json:"bytes_to_write"`
	Seconds      float64         `json:"seconds"`
	Batches      int64           `json:"batches"`
	AllBatches   int64           `json:"all_batches"`
	Failed       int64           `json:"failed"`
	Failures     []summary.Group `json:"failures"`
	Incomplete   bool            `json:"incomplete"`
	TooLong      AmountForm      `json:"too_long"`
	HeldAsked    int             `json:"destination_asked"`
	HeldFound    int             `json:"destination_found"`
}

// ResumeForm is an interrupted migration, as scripts read it.
type ResumeForm struct {
	TaskID    int64       `json:"task_id"`
	Documents int64       `json:"documents"`
	Moved     int64       `json:"moved"`
	InFlight  int64       `json:"in_flight"`
	Failed    []ClassForm `json:"failed"`
	Finished  bool        `json:"finished"`
	Forgotten bool        `json:"forgotten"`
}

// CutoverForm is a migration of what was copied before, as scripts read it.
type CutoverForm struct {
	Copied        int64    `json:"copied"`
	ToMove        int64    `json:"to_move"`
	BytesToMove   int64    `json:"bytes_to_move"`
	RowsPerSecond float64  `json:"rows_per_second"`
	Seconds       *float64 `json:"seconds"`
}

// ClassForm is a class of failures, as scripts read it.
type ClassForm struct {
	Class string `json:"class"`
	Count int64  `json:"count"`
}

func (p *Plan) form() Form {
	out := Form{
		Source: sideForm(&p.Source), Destination: sideForm(&p.Destination), Database: sideForm(&p.Database),
		Documents: p.Move.Documents, Bytes: p.Move.Bytes, UnknownLength: p.UnknownLength, WithoutDigest: p.NoDigest,
		Staying: p.Staying, Stay: summary.Groups(p.Stay), Elsewhere: summary.Places(p.Elsewhere),
		Buckets: shareForms(p.Buckets), Users: shareForms(p.Users), UserCount: p.UserCount, UserCountIsLeast: p.UsersUncounted,
		Sizes: []SizeForm{}, Forms: payloadForms(&p.Plan), NamesUnchecked: p.UncheckedNames, FreeSpace: roomForm(p.Room),
		Sample: sampleForm(&p.Sample), CheckpointPath: p.Checkpoint, CheckpointInUse: p.CheckpointInUse,
		Resume: resumeForm(p.Resume), Cutover: cutoverForm(p.Cutover), Commands: p.Commands, Complete: p.amiss() == nil,
	}
	for _, c := range p.Sizes {
		s := SizeForm{Known: c.MaxBytes != -2, Documents: c.Documents, Bytes: c.Bytes}
		if c.MaxBytes >= 0 {
			s.UpTo = &c.MaxBytes
		}
		out.Sizes = append(out.Sizes, s)
	}
	if written, exact, ok := p.WrittenBytes(); ok {
		out.BytesToWrite, out.BytesToWriteExact = &written, exact
	}
	if took, ok := p.Sample.Duration(); ok {
		seconds := max(took, p.AtLeast).Seconds()
		out.SecondsAtLeast = &seconds
	}
	if p.Held != nil {
		out.LockHeldBy = p.Held.Error()
	}
	return out
}

func sideForm(s *Side) SideForm {
	return SideForm{Driver: s.Driver, Place: s.Place, WouldBeMade: s.Missing, Findings: summary.Findings(s.Findings), NotTried: append([]string{}, s.Untried...)}
}

func shareForms(shares []pipeline.Share) []ShareForm {
	list := []ShareForm{}
	for _, s := range shares {
		j := ShareForm{Name: &s.Name, Others: s.Others, Documents: s.Move.Documents, Bytes: s.Move.Bytes, Staying: s.Staying}
		if s.Others > 0 {
			j.Name = nil
		}
		list = append(list, j)
	}
	return list
}

func payloadForms(p *pipeline.Plan) PayloadForms {
	f := PayloadForms{
		Compress: AmountForm(p.Forms.Compress), Decompress: AmountForm(p.Forms.Decompress), Pass: AmountForm(p.Forms.Pass),
		Undecided: UndecidedForm{AmountForm: AmountForm(p.Forms.Undecided)},
	}
	if n, ok := p.Decompressed(); ok {
		f.Undecided.Decompress = &n
	}
	return f
}

func roomForm(r *Room) *RoomForm {
	if r == nil {
		return nil
	}
	j := &RoomForm{Directory: r.Directory, FreeBytes: r.FreeBytes, NeedFiles: r.NeedFiles, Enough: !r.Short()}
	if r.NeedBytes >= 0 {
		j.NeedBytes = &r.NeedBytes
	}
	if r.FreeFiles >= 0 {
		j.FreeFiles = &r.FreeFiles
	}
	return j
}

func sampleForm(s *pipeline.Sample) SampleForm {
	return SampleForm{
		Documents: s.Read.Documents, BytesRead: s.Read.Bytes, BytesToWrite: s.WrittenBytes, Seconds: s.Took.Seconds(),
		Batches: s.Batches, AllBatches: s.AllBatches, Failed: s.Failed, Failures: summary.Groups(s.Failures), Incomplete: s.Incomplete,
		TooLong: AmountForm(s.Long), HeldAsked: s.Asked, HeldFound: s.Found,
	}
}

func resumeForm(r *pipeline.PlanResume) *ResumeForm {
	if r == nil {
		return nil
	}
	j := &ResumeForm{TaskID: r.TaskID, Documents: r.Documents, Moved: r.Moved, InFlight: r.InFlight, Failed: []ClassForm{}, Finished: r.Finished, Forgotten: r.Forgotten}
	for _, class := range sortedKeys(r.Failed) {
		j.Failed = append(j.Failed, ClassForm{class, r.Failed[class]})
	}
	return j
}

func cutoverForm(c *pipeline.PlanCutover) *CutoverForm {
	if c == nil {
		return nil
	}
	f := &CutoverForm{Copied: c.Copied, ToMove: c.Rest.Documents, BytesToMove: c.Rest.Bytes, RowsPerSecond: c.RowsPerSecond}
	if c.Took >= 0 && c.RowsPerSecond > 0 {
		took := c.Took.Seconds()
		f.Seconds = &took
	}
	return f
}
