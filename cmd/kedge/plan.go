package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kedge/kedge/cmd/kedge/internal/ending"
	"github.com/kedge/kedge/cmd/kedge/internal/observe"
	"github.com/kedge/kedge/cmd/kedge/internal/summary"
	"github.com/kedge/kedge/config"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/all"
	"github.com/kedge/kedge/drivers/localfs"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/catalog/anchore"
)

// planCommand is migrate --dry-run.
type planCommand struct{ migrateCommand }

// Run plans.
func (c *planCommand) Run(ctx context.Context, a *app, interrupted *interrupts) error {
	c.DryRun = true
	return c.migrateCommand.Run(ctx, a, interrupted)
}

// planSampleTime is how long documents are read for the estimates.
const planSampleTime = 4 * time.Second

// planned is all that a dry run has to tell.
type planned struct {
	pipeline.Plan
	source, destination planSide
	database            planSide
	checkpoint          string
	room                *planRoom
	commands            []summary.Suggestion
	keepSource          bool
	elsewhere           pipeline.Elsewhere
	// atLeast is how long it would take by the limits that were given; 0 without.
	atLeast time.Duration
}

// planSide is one side of a migration as it was looked at.
type planSide struct {
	driver, place string
	// missing: the place is not there, and the migration would make it.
	missing  bool
	findings []drivers.Finding
	untried  []string
}

func (s *planSide) find(name, value string, amiss bool) {
	s.findings = append(s.findings, drivers.Finding{Name: name, Value: value, Amiss: amiss})
}

// planRoom is the room at a localfs destination.
type planRoom struct {
	localfs.Room
	// needBytes and needFiles are what the documents and their directories take
	// at most; needBytes is -1 where that is not known.
	needBytes, needFiles int64
}

func (r *planRoom) short() bool {
	return r.needBytes > r.FreeBytes || r.FreeFiles >= 0 && r.needFiles > r.FreeFiles
}

// plan tells what the migration would do.
func (c *migrateCommand) plan(ctx context.Context, a *app, interrupted *interrupts) error {
	sourceFile, source, err := a.load(c.Source, c.FromAnalysisArchive)
	if err != nil {
		return err
	}
	destinationFile, destination, err := a.loadDestination(c.Destination, c.ToAnalysisArchive)
	if err != nil {
		return err
	}
	cat, err := a.openCatalog(ctx, sourceFile)
	if err != nil {
		return err
	}
	defer cat.Close()
	p := planned{
		source: planSide{driver: source.Driver}, destination: planSide{driver: destination.Driver},
		database: planSide{driver: "database", place: cat.Place()}, keepSource: c.NoDelete,
	}
	p.source.findings, p.destination.findings = warnings(sourceFile), warnings(destinationFile)
	from, err := a.openToLook(ctx, source, cat, c, "source", &p.source)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := a.openToLook(ctx, destination, cat, c, "destination", &p.destination)
	if err != nil {
		return err
	}
	defer to.Close()
	o := c.options(a, from, to, cat)
	o.Beside = otherPlace(destinationFile, c.ToAnalysisArchive)
	if o.Checkpoint == "" {
		if o.Checkpoint, err = defaultCheckpoint(pipeline.Identity(o).Fingerprint); err != nil {
			return err
		}
	}
	p.checkpoint, p.elsewhere = o.Checkpoint, o.Elsewhere
	p.Plan, err = pipeline.MakePlan(ctx, interrupted.stop, pipeline.PlanOptions{
		Options: o, Missing: p.destination.missing, SampleTime: planSampleTime, Looked: a.progress.Rows(),
	})
	if err != nil {
		return err
	}
	if p.Interrupted {
		return ending.Interrupted("interrupted: the plan is not complete; nothing was changed")
	}
	if err := c.lookAround(ctx, cat, to, destination, &p); err != nil {
		return err
	}
	p.commands = c.planCommands(a, destinationFile)
	if a.globals.Output == "json" {
		err = writePlanJSON(a.stdout, &p)
	} else {
		err = writePlan(a.stdout, &p)
	}
	return errors.Join(err, p.concluded())
}

// openToLook opens one side of a migration to look at it, and finds out what can
// be found out without changing anything. Only a destination would be made.
func (a *app) openToLook(ctx context.Context, s *config.Store, cat *anchore.Catalog, c *migrateCommand, role string, side *planSide) (pipeline.Store, error) {
	d, err := all.Open(ctx, s, all.Environment{
		Postgres: cat.Postgres(), SQLite: cat.SQLite(), DatabasePlace: cat.Place(), Workers: c.Workers, Create: role == "destination", Look: true,
	})
	if err != nil {
		return pipeline.Store{}, err
	}
	side.place, side.missing = d.Place(), all.Missing(d)
	side.survey(ctx, d)
	wait := storeWait{role: role, limits: c.source()}
	if role == "destination" {
		wait.limits = c.destination()
	}
	store, err := a.patient(d, s, wait)
	if err != nil {
		return store, errors.Join(err, d.Close())
	}
	return store, nil
}

// survey asks the store what it tells of itself, and for its listing.
func (s *planSide) survey(ctx context.Context, d drivers.Driver) {
	if s.missing {
		s.untried = append(s.untried, "everything: it is not there yet")
		return
	}
	if surveyor, ok := d.(drivers.Surveyor); ok {
		found, err := surveyor.SurveyPlace(ctx)
		s.findings = append(s.findings, found...)
		if err != nil {
			s.find("survey", err.Error(), true)
		}
	}
	lister, ok := d.(drivers.Lister)
	if !ok || !d.Capabilities().Lists {
		s.untried = append(s.untried, "listing")
		return
	}
	enough := errors.New("one is enough")
	err := lister.List(ctx, func(string, drivers.Info) error { return enough })
	switch {
	case errors.Is(err, enough):
		s.find("listing", "allowed", false)
	case err == nil:
		s.find("listing", "allowed; it is empty", false)
	case drivers.KindOf(err) == drivers.Denied || errors.Is(err, errors.ErrUnsupported):
		s.find("listing", err.Error()+": migrate does without", false)
	default:
		s.find("listing", err.Error(), true)
	}
}

// lookAround looks at what the plan itself does not need to know.
func (c *migrateCommand) lookAround(ctx context.Context, cat *anchore.Catalog, to pipeline.Store, destination *config.Store, p *planned) error {
	if err := cat.Writable(ctx); errors.As(err, new(*anchore.ReadOnlyError)) {
		p.database.find("writing", err.Error(), true)
	} else if err != nil {
		return err
	}
	missing, err := cat.MissingPrivileges(ctx, anchore.Work{Source: p.source.driver, Destination: p.destination.driver, KeepSource: c.NoDelete})
	if err != nil {
		return err
	}
	for _, m := range missing {
		p.database.find("privilege", "the database's user lacks "+m.Privilege+" ("+m.Grant+")", true)
	}
	if len(missing) == 0 {
		p.database.find("privileges", "what the migration needs", false)
	}
	p.tellSample()
	if !p.destination.missing {
		c.lookForNothing(ctx, to, &p.destination)
	}
	if !c.NoDelete {
		p.source.untried = append(p.source.untried, "delete")
	}
	if !p.destination.missing {
		p.destination.untried = append(p.destination.untried, "put", "reading back", "delete")
	}
	if destination.Driver == "localfs" {
		if p.room, err = roomFor(destination, &p.Plan); err != nil {
			return err
		}
		p.destination.find("free space", p.room.String(), p.room.short())
		if !p.room.Writable {
			p.destination.find("rights", "this user may not write in "+p.room.Directory, true)
		}
	}
	written, _, _ := p.WrittenBytes()
	p.atLeast = max(atRate(p.Move, p.Move.Bytes, c.MaxBandwidth[0], c.MaxOps[0]), atRate(p.Move, written, c.MaxBandwidth[1], c.MaxOps[1]))
	return nil
}

// lookForNothing asks the destination for a document that nobody has.
func (c *migrateCommand) lookForNothing(ctx context.Context, to pipeline.Store, side *planSide) {
	uri, err := to.URI(drivers.Key{UserID: "kedge-probe", Bucket: "kedge-probe", ArchiveID: "nothing"})
	if err == nil {
		_, err = to.Stat(ctx, uri)
	}
	switch {
	case drivers.KindOf(err) == drivers.NotFound:
		side.find("reading", "asked for a document that is not there, and told so", false)
	case drivers.KindOf(err) == drivers.Untold:
		side.find("reading", "a document that is missing is not told from one that may not be read: migrate puts one and reads it before it begins", false)
	case err != nil:
		side.find("reading", err.Error(), true)
	}
}

// tellSample tells what reading the sample says of both sides.
func (p *planned) tellSample() {
	s := &p.Sample
	switch {
	case s.Incomplete && s.Batches == 0:
		p.source.find("reading", "the source did not answer in time", true)
	case s.Batches > 0:
		p.source.find("reading", fmt.Sprintf("%d documents read, %d of them missing or broken", s.Read.Documents+s.Failed, s.Failed), s.Failed > 0)
	case p.Move.Documents > 0:
		p.source.untried = append(p.source.untried, "reading")
	}
	if s.AskError != nil {
		p.destination.find("reading", s.AskError.Error(), true)
	}
	if s.Found > 0 {
		p.destination.find("held already", fmt.Sprintf("%d of %d sampled documents are there: left by an earlier migration; or it is the source under another name, which migrate finds out before it begins", s.Found, s.Asked), false)
	}
}

// atRate is how long so much takes within the limits of one side.
func atRate(a pipeline.Amount, bytes int64, bandwidth bandwidth, operations operationRate) (d time.Duration) {
	if bandwidth > 0 {
		d = time.Duration(float64(bytes) / float64(bandwidth) * float64(time.Second))
	}
	if operations > 0 {
		d = max(d, time.Duration(float64(a.Documents)/float64(operations)*float64(time.Second)))
	}
	return d
}

// roomFor compares what the documents take at a localfs destination with what is
// free there: each file is rounded up to whole blocks, and so is each of the
// directories {user}/{bucket}/{two hex digits}.
func roomFor(s *config.Store, p *pipeline.Plan) (*planRoom, error) {
	var o localfs.Options
	if err := s.Options.Decode(&o); err != nil {
		return nil, err
	}
	room, err := localfs.RoomFor(o.ArchiveDataDir)
	if err != nil {
		return nil, err
	}
	r := &planRoom{Room: room, needBytes: -1}
	leaves := p.UserCount * int64(len(p.Buckets)) * 256
	directories := min(leaves, p.Move.Documents) + p.UserCount*int64(len(p.Buckets)+1)
	r.needFiles = p.Move.Documents + directories
	if written, _, ok := p.WrittenBytes(); ok {
		r.needBytes = written + r.needFiles*r.BlockBytes
	}
	return r, nil
}

// String tells of the room for people.
func (r *planRoom) String() string {
	need := "what is needed is not known"
	if r.needBytes >= 0 {
		need = "up to " + observe.ByteCount(r.needBytes) + " needed"
	}
	text := fmt.Sprintf("%s free in %s, %s (files and directories in blocks of %d bytes)", observe.ByteCount(r.FreeBytes), r.Directory, need, r.BlockBytes)
	if r.FreeFiles >= 0 && r.needFiles > r.FreeFiles {
		text += fmt.Sprintf("; room for %d more files, up to %d needed", r.FreeFiles, r.needFiles)
	}
	return text
}

// concluded turns the plan into the command's error.
func (p *planned) concluded() error {
	amiss := 0
	for _, s := range []*planSide{&p.source, &p.destination, &p.database} {
		for _, f := range s.findings {
			if f.Amiss {
				amiss++
			}
		}
	}
	switch {
	case p.Staying > 0:
		return ending.Incomplete("%d documents would stay where they are", p.Staying)
	case len(p.Plan.Elsewhere) > 0 && p.elsewhere != pipeline.ElsewhereIgnore:
		return ending.Incomplete("documents elsewhere would not be moved; move them with --elsewhere=move, or leave them with --elsewhere=ignore")
	case amiss > 0:
		return ending.Incomplete("not all is well: see the lines marked with !")
	}
	return nil
}
