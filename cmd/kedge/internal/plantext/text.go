package plantext

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kedge/kedge/cmd/kedge/internal/cmdline"
	"github.com/kedge/kedge/cmd/kedge/internal/observe"
	"github.com/kedge/kedge/cmd/kedge/internal/summary"
	"github.com/kedge/kedge/pipeline"
)

// textWidth is how many columns the text takes, but for words that are longer:
// commands, places and reasons are not broken.
const textWidth = 80

// planText writes a plan for people. The first error of its writer is kept.
type planText struct {
	w   io.Writer
	err error
}

// write writes the plan for people.
func (p *Plan) write(w io.Writer) error {
	t := &planText{w: w}
	t.line("Dry run: nothing was changed.")
	t.side("From", &p.Source)
	t.side("To", &p.Destination)
	t.side("Database", &p.Database)
	t.run(p)
	t.line("\nWould move %s.", documentsOf(p.Move))
	t.about(p)
	t.cutover(p)
	t.shares("Bucket", p.Buckets)
	t.shares(fmt.Sprintf("User (%s)", userCount(&p.Plan)), p.Users)
	t.sizes(p.Sizes)
	t.forms(&p.Plan)
	t.staying(p)
	t.time(p)
	t.line("\nCommands")
	for _, c := range p.Commands {
		t.line("  %s:\n    %s", c.Purpose, c.Command)
	}
	if slices.ContainsFunc(p.Commands, func(c summary.Suggestion) bool { return strings.Contains(c.Command, cmdline.Masked+"@") }) {
		t.line("  (put the password of --db-connect in place of %s)", cmdline.Masked)
	}
	if p.KeepSource {
		t.wrapped("  ", "Until it is purged, the source keeps its payloads (--nodelete). The catalog names the destination all the same: Anchore finds the source's again only when kedge rollback has gone back to them, when everything was moved back, or when the database is restored from a backup.")
	}
	return t.err
}

func (t *planText) line(format string, args ...any) {
	if _, err := fmt.Fprintf(t.w, format+"\n", args...); err != nil && t.err == nil {
		t.err = err
	}
}

// wrapped writes a text in lines of textWidth columns, the first of which begins
// with the label, and the others are indented as far.
func (t *planText) wrapped(label, text string) {
	indent := strings.Repeat(" ", utf8.RuneCountInString(strings.TrimLeft(label, "\n")))
	line := label
	width, begun := len(indent), false
	for _, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		if begun && width+1+n > textWidth {
			t.line("%s", line)
			line, width, begun = indent, len(indent), false
		}
		if begun {
			line, width = line+" ", width+1
		}
		line, width, begun = line+word, width+n, true
	}
	t.line("%s", line)
}

// side tells of a store, or of the database.
func (t *planText) side(label string, s *Side) {
	t.line("\n%-9s %s", label, s.Place)
	if s.Missing {
		t.line("  is not there yet: the migration makes it")
	}
	for _, f := range s.Findings {
		mark := " "
		if f.Amiss {
			mark = "!"
		}
		t.wrapped(fmt.Sprintf("%s %-17s ", mark, f.Name), f.Value)
	}
	if len(s.Untried) > 0 {
		t.wrapped("  not tried         ", strings.Join(s.Untried, ", ")+" (kedge check does, with a test document)")
	}
}

// run tells of migrations that are under way or were interrupted.
func (t *planText) run(p *Plan) {
	if p.Held != nil {
		t.wrapped("\n! ", p.Held.Error()+". Until it is given back, migrate refuses, and what is counted here changes")
	}
	if p.CheckpointInUse {
		t.line("! the checkpoint %s is in use by a migration of this kind", p.Checkpoint)
	}
	r := p.Resume
	switch {
	case r == nil:
		t.line("\nCheckpoint %s (there is none yet)", p.Checkpoint)
		return
	case r.Forgotten:
		t.line("\nCheckpoint %s", p.Checkpoint)
		t.wrapped("  ", fmt.Sprintf("is of task %d, which the database does not know any more (was it restored from a backup?): the migration begins anew.", r.TaskID))
	case r.Finished:
		t.line("\nCheckpoint %s", p.Checkpoint)
		t.wrapped("  ", fmt.Sprintf("is of task %d, which came to its end with %d of %d documents moved: the migration tries again what is left.", r.TaskID, r.Moved, r.Documents))
	default:
		t.line("\nCheckpoint %s", p.Checkpoint)
		t.wrapped("  ", fmt.Sprintf("is of task %d, which was interrupted with %d of %d documents moved and %d in flight: the migration resumes it. What follows is what remains.", r.TaskID, r.Moved, r.Documents, r.InFlight))
	}
	for _, class := range sortedKeys(r.Failed) {
		t.line("    failed before: %-20s %d", class, r.Failed[class])
	}
}

func sortedKeys(m map[string]int64) (list []string) {
	for key := range m {
		list = append(list, key)
	}
	slices.Sort(list)
	return list
}

// about tells what the numbers leave out.
func (t *planText) about(p *Plan) {
	if p.UnknownLength > 0 {
		t.line("  %d of them have no length in the catalog, and are not in the bytes", p.UnknownLength)
	}
	if p.NoDigest > 0 {
		t.wrapped("  ", fmt.Sprintf("%d of them have no digest in the catalog: nothing can tell whether their bytes are right", p.NoDigest))
	}
	if p.UncheckedNames {
		t.wrapped("  ", "many documents have unusual names: those that share their keys with others were not looked for")
	}
}

// cutover tells what is left to do where documents were copied before.
func (t *planText) cutover(p *Plan) {
	c := p.Cutover
	if c == nil {
		return
	}
	takes := "How long that takes until Anchore can be started is not known."
	if c.Took >= 0 && c.RowsPerSecond > 0 {
		about := "about "
		if c.Took < time.Second {
			about = "" // less than that
		}
		takes = fmt.Sprintf("That takes %s%s until Anchore can be started, at %.0f rows a second.", about, roughly(c.Took), c.RowsPerSecond)
	}
	t.wrapped("\nCutover: ", fmt.Sprintf("of %d documents, which were copied before and have not changed, only the rows change; %s move. %s Sources are deleted after that.", c.Copied, documentsOf(c.Rest), takes))
}

// shares writes the parts of buckets or users.
func (t *planText) shares(title string, list []pipeline.Share) {
	if len(list) == 0 {
		return
	}
	t.line("\n%-40s %12s %12s %10s", title, "documents", "bytes", "stay")
	for _, s := range list {
		name := cellText(s.Name)
		if s.Others > 0 {
			name = fmt.Sprintf("(%d others)", s.Others)
		}
		t.line("  %s %12d %12s %10d", padded(name, 38), s.Move.Documents, observe.ByteCount(s.Move.Bytes), s.Staying)
	}
}

// cellText is a name for a column: quoted where it is not plain text.
func cellText(name string) string {
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == utf8.RuneError || r == '\x7f' }) {
		return fmt.Sprintf("%q", name)
	}
	return name
}

// padded cuts or fills a text to so many characters.
func padded(text string, width int) string {
	runes := []rune(text)
	if len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return text + strings.Repeat(" ", width-len(runes))
}

func (t *planText) sizes(list []pipeline.SizeClass) {
	if len(list) == 0 {
		return
	}
	t.line("\n%-40s %12s %12s", "Length as stored", "documents", "bytes")
	for _, c := range list {
		t.line("  %-38s %12d %12s", c.String(), c.Documents, observe.ByteCount(c.Bytes))
	}
}

// forms tells what becomes of the payloads, and how much is put.
func (t *planText) forms(p *pipeline.Plan) {
	if p.Move.Documents == 0 {
		return
	}
	t.line("\n%-40s %12s %12s", "On the way", "documents", "bytes")
	for _, f := range []struct {
		name string
		pipeline.Amount
	}{
		{"are compressed", p.Forms.Compress}, {"are decompressed", p.Forms.Decompress},
		{"pass as they are", p.Forms.Pass}, {"depends on the plain length", p.Forms.Undecided},
	} {
		if f.Documents > 0 {
			t.line("  %-38s %12d %12s", f.name, f.Documents, observe.ByteCount(f.Bytes))
		}
	}
	if p.Forms.Undecided.Documents > 0 {
		if n, ok := p.Decompressed(); ok {
			t.wrapped("  ", fmt.Sprintf("Of the last, about %d are decompressed and the others pass, by the sample.", n))
		}
	}
	written, exact, ok := p.WrittenBytes()
	switch {
	case !ok:
		t.line("  To be put: not known, because no payload of the kind was read")
	case exact:
		t.line("  To be put: %s", observe.ByteCount(written))
	default:
		t.line("  To be put: about %s, an estimate from the sample", observe.ByteCount(written))
	}
}

// staying names what would not be moved, and why.
func (t *planText) staying(p *Plan) {
	if p.Staying > 0 {
		t.line("\n%d documents would stay where they are:", p.Staying)
		t.groups(p.Stay)
	}
	if p.Sample.Failed > 0 {
		t.line("\nOf %d documents in the sample %d are missing or broken, and would stay:", p.Sample.Read.Documents+p.Sample.Failed, p.Sample.Failed)
		t.groups(p.Sample.Failures)
		t.line("  (kedge verify finds all of them)")
	}
	for _, place := range p.Elsewhere {
		t.line("\n%d documents (%s) are elsewhere, and would stay: %s", place.Documents, observe.ByteCount(place.Bytes), place.Place)
	}
}

func (t *planText) groups(list []pipeline.FailureGroup) {
	for _, g := range list {
		t.line("  %-38s %12d", g.Class, g.Count)
		for _, f := range g.Examples[:min(3, len(g.Examples))] {
			t.line("    %s: %s", summary.Document(f), f.Reason)
		}
	}
}

// time tells how long it would take.
func (t *planText) time(p *Plan) {
	s := &p.Sample
	took, ok := s.Duration()
	switch {
	case p.Move.Documents == 0:
		return
	case !ok:
		t.wrapped("\nTime: ", "not known: nothing could be read for a measurement")
	default:
		least := roughly(max(took, p.AtLeast))
		if !strings.HasPrefix(least, "less") {
			least = "at least " + least
		}
		t.wrapped("\nTime: ", fmt.Sprintf("%s. That is what reading and recompressing take: %d documents (%s) took %s, in %d of %d batches, with the workers of the migration. How fast the destination takes them in cannot be measured without writing to it; kedge bench does.",
			least, s.Read.Documents, observe.ByteCount(s.Read.Bytes), s.Took.Round(time.Millisecond), s.Batches, s.AllBatches))
	}
	if p.AtLeast > 0 {
		t.line("  By the limits given alone it takes %s.", roughly(p.AtLeast))
	}
	if s.Long.Documents > 0 {
		t.wrapped("  ", fmt.Sprintf("%s too long for the sample: their time is reckoned from their bytes.", documentsOf(s.Long)))
	}
}

// roughly writes a time as an estimate is worth it.
func roughly(d time.Duration) string {
	switch {
	case d < time.Second:
		return "less than a second"
	case d < 10*time.Minute:
		return d.Round(time.Second).String()
	default:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
}

func documentsOf(a pipeline.Amount) string {
	return fmt.Sprintf("%d documents, %s", a.Documents, observe.ByteCount(a.Bytes))
}

func userCount(p *pipeline.Plan) string {
	more := ""
	if p.UsersUncounted {
		more = "at least "
	}
	return fmt.Sprintf("%s%d", more, p.UserCount)
}
