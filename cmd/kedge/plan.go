package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kedge/kedge/cmd/kedge/internal/ending"
	"github.com/kedge/kedge/cmd/kedge/internal/plantext"
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

// plan tells what the migration would do.
func (c *migrateCommand) plan(ctx context.Context, a *app, interrupted *interrupts) error {
	s, err := c.sides(a, c.Source, c.Destination)
	if err != nil {
		return err
	}
	cat, err := a.openCatalog(ctx, s.sourceFile)
	if err != nil {
		return err
	}
	defer cat.Close()
	p := plantext.Plan{
		Source: plantext.Side{Driver: s.source.Driver}, Destination: plantext.Side{Driver: s.destination.Driver},
		Database: plantext.Side{Driver: "database", Place: cat.Place()}, KeepSource: c.NoDelete,
	}
	p.Source.Findings, p.Destination.Findings = warnings(s.sourceFile), warnings(s.destinationFile)
	from, err := a.openToLook(ctx, s.source, cat, c, "source", &p.Source)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := a.openToLook(ctx, s.destination, cat, c, "destination", &p.Destination)
	if err != nil {
		return err
	}
	defer to.Close()
	o, err := c.optionsBeside(a, s.destinationFile, from, to, cat, c.complete)
	if err != nil {
		return err
	}
	p.Checkpoint, p.Policy = o.Checkpoint, o.Elsewhere
	p.Plan, err = pipeline.MakePlan(ctx, interrupted.stop, pipeline.PlanOptions{
		Options: o, Missing: p.Destination.Missing, SampleTime: planSampleTime, Looked: a.progress.Rows(),
	})
	if err != nil {
		return err
	}
	if p.Interrupted {
		return ending.Interrupted("interrupted: the plan is not complete; nothing was changed")
	}
	tellVolatile(&p, !c.NoDelete && !c.AllowVolatile)
	if err := c.lookAround(ctx, cat, to, s.destination, &p); err != nil {
		return err
	}
	p.Commands = c.planCommands(a, s.destinationFile)
	return p.Conclude(a.results())
}

// openToLook opens one side of a migration to look at it, and finds out what can
// be found out without changing anything. Only a destination would be made.
func (a *app) openToLook(ctx context.Context, s *config.Store, cat *anchore.Catalog, c *migrateCommand, role string, side *plantext.Side) (pipeline.Store, error) {
	d, err := all.Open(ctx, s, all.Environment{
		Postgres: cat.Postgres(), SQLite: cat.SQLite(), DatabasePlace: cat.Place(), Workers: c.Workers, Create: role == "destination", Look: true,
	})
	if err != nil {
		return pipeline.Store{}, err
	}
	side.Place, side.Missing = d.Place(), all.Missing(d)
	survey(ctx, side, d)
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
func survey(ctx context.Context, s *plantext.Side, d drivers.Driver) {
	if s.Missing {
		s.Untried = append(s.Untried, "everything: it is not there yet")
		return
	}
	if surveyor, ok := d.(drivers.Surveyor); ok {
		found, err := surveyor.SurveyPlace(ctx)
		s.Findings = append(s.Findings, found...)
		if err != nil {
			s.Find("survey", err.Error(), true)
		}
	}
	lister, ok := d.(drivers.Lister)
	if !ok || !d.Capabilities().Lists {
		s.Untried = append(s.Untried, "listing")
		return
	}
	enough := errors.New("one is enough")
	err := lister.List(ctx, func(string, drivers.Info) error { return enough })
	switch {
	case errors.Is(err, enough):
		s.Find("listing", "allowed", false)
	case err == nil:
		s.Find("listing", "allowed; it is empty", false)
	case drivers.KindOf(err) == drivers.Denied || errors.Is(err, errors.ErrUnsupported):
		s.Find("listing", err.Error()+": migrate does without", false)
	default:
		s.Find("listing", err.Error(), true)
	}
}

// tellVolatile tells of places that may not keep what they are given; refused says
// that the migration does not begin for it.
func tellVolatile(p *plantext.Plan, refused bool) {
	for _, v := range p.Volatile {
		side := &p.Destination
		if v.Role == "catalog" {
			side = &p.Database
		}
		value := "may not keep what it is given: " + v.Reason
		if refused {
			value += ". The migration is refused for that, but with --nodelete or --allow-volatile"
		}
		side.Find("volatile", value, refused)
	}
}

// lookAround looks at what the plan itself does not need to know.
func (c *migrateCommand) lookAround(ctx context.Context, cat *anchore.Catalog, to pipeline.Store, destination *config.Store, p *plantext.Plan) error {
	if err := cat.Writable(ctx); errors.As(err, new(*anchore.ReadOnlyError)) {
		p.Database.Find("writing", err.Error(), true)
	} else if err != nil {
		return err
	}
	missing, err := cat.MissingPrivileges(ctx, anchore.Work{Source: p.Source.Driver, Destination: p.Destination.Driver, KeepSource: c.NoDelete})
	if err != nil {
		return err
	}
	for _, m := range missing {
		p.Database.Find("privilege", "the database's user lacks "+m.Privilege+" ("+m.Grant+")", true)
	}
	if len(missing) == 0 {
		p.Database.Find("privileges", "what the migration needs", false)
	}
	tellSample(p)
	if !p.Destination.Missing {
		c.lookForNothing(ctx, to, &p.Destination)
	}
	if !c.NoDelete {
		p.Source.Untried = append(p.Source.Untried, "delete")
	}
	if !p.Destination.Missing {
		p.Destination.Untried = append(p.Destination.Untried, "put", "reading back", "delete")
	}
	if destination.Driver == "localfs" {
		if p.Room, err = roomFor(destination, &p.Plan); err != nil {
			return err
		}
		p.Destination.Find("free space", p.Room.String(), p.Room.Short())
		if !p.Room.Writable {
			p.Destination.Find("rights", "this user may not write in "+p.Room.Directory, true)
		}
	}
	written, _, _ := p.WrittenBytes()
	p.AtLeast = max(atRate(p.Move, p.Move.Bytes, c.MaxBandwidth[0], c.MaxOps[0]), atRate(p.Move, written, c.MaxBandwidth[1], c.MaxOps[1]))
	return nil
}

// lookForNothing asks the destination for a document that nobody has.
func (c *migrateCommand) lookForNothing(ctx context.Context, to pipeline.Store, side *plantext.Side) {
	uri, err := to.URI(drivers.Key{UserID: "kedge-probe", Bucket: "kedge-probe", ArchiveID: "nothing"})
	if err == nil {
		_, err = to.Stat(ctx, uri)
	}
	switch {
	case drivers.KindOf(err) == drivers.NotFound:
		side.Find("reading", "asked for a document that is not there, and told so", false)
	case drivers.KindOf(err) == drivers.Untold:
		side.Find("reading", "a document that is missing is not told from one that may not be read: migrate puts one and reads it before it begins", false)
	case err != nil:
		side.Find("reading", err.Error(), true)
	}
}

// tellSample tells what reading the sample says of both sides.
func tellSample(p *plantext.Plan) {
	s := &p.Sample
	switch {
	case s.Incomplete && s.Batches == 0:
		p.Source.Find("reading", "the source did not answer in time", true)
	case s.Batches > 0:
		p.Source.Find("reading", fmt.Sprintf("%d documents read, %d of them missing or broken", s.Read.Documents+s.Failed, s.Failed), s.Failed > 0)
	case p.Move.Documents > 0:
		p.Source.Untried = append(p.Source.Untried, "reading")
	}
	if s.AskError != nil {
		p.Destination.Find("reading", s.AskError.Error(), true)
	}
	if s.Found > 0 {
		p.Destination.Find("held already", fmt.Sprintf("%d of %d sampled documents are there: left by an earlier migration; or it is the source under another name, which migrate finds out before it begins", s.Found, s.Asked), false)
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
func roomFor(s *config.Store, p *pipeline.Plan) (*plantext.Room, error) {
	var o localfs.Options
	if err := s.Options.Decode(&o); err != nil {
		return nil, err
	}
	room, err := localfs.RoomFor(o.ArchiveDataDir)
	if err != nil {
		return nil, err
	}
	r := &plantext.Room{Room: room, NeedBytes: -1}
	leaves := p.UserCount * int64(len(p.Buckets)) * 256
	directories := min(leaves, p.Move.Documents) + p.UserCount*int64(len(p.Buckets)+1)
	r.NeedFiles = p.Move.Documents + directories
	if written, _, ok := p.WrittenBytes(); ok {
		r.NeedBytes = written + r.NeedFiles*r.BlockBytes
	}
	return r, nil
}
