package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/kedge/kedge/config"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/all"
	"github.com/kedge/kedge/drivers/breaker"
	"github.com/kedge/kedge/drivers/limit"
	"github.com/kedge/kedge/drivers/metrics"
	"github.com/kedge/kedge/drivers/retry"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/catalog/anchore"
)

// openCatalog opens the installation's database: that of --db-connect, else
// that of the configuration.
func (a *app) openCatalog(ctx context.Context, f *config.File) (*anchore.Catalog, error) {
	database, err := a.database(f)
	if err != nil {
		return nil, err
	}
	g := a.globals
	database.SSL = database.SSL || g.DBUseSSL
	if g.DBTimeout >= 0 {
		database.Timeout = seconds(g.DBTimeout)
	}
	if g.DBConnectTimeout > 0 {
		database.ConnectTimeout = seconds(g.DBConnectTimeout)
	}
	o := anchore.Options{
		Postgres: database.URL(), Retries: g.DBRetries,
		ConnectTimeout: database.ConnectTimeout, StatementTimeout: database.Timeout,
		Application: "kedge", Command: a.command(),
	}
	if database.Kind == config.SQLite {
		o.SQLite = database.Path
	}
	for _, w := range database.Warnings() {
		if a.globals.DBConnect != "" { // the configuration's are its own
			a.warn(w)
		}
	}
	if err := database.CheckFiles(); err != nil {
		return nil, err
	}
	a.log.DebugContext(ctx, "connecting to the database", "url", database.Redacted())
	cat, err := anchore.Open(ctx, o)
	raw, differs := database.AsWritten()
	if !differs || !anchore.RefusesPassword(err) {
		return cat, err
	}
	// A password that stands in the URL as it is may look as if it were escaped.
	o.Postgres = raw.URL()
	if cat, rawErr := anchore.Open(ctx, o); rawErr == nil {
		return cat, nil
	}
	return nil, err
}

// command is the name of the command that runs.
func (a *app) command() string {
	if a.line.Parsed == nil || a.line.Parsed.Selected() == nil {
		return ""
	}
	return a.line.Parsed.Selected().Name
}

// mayWrite finds out, before anything is changed, whether the database lets the
// work be done.
func mayWrite(ctx context.Context, cat *anchore.Catalog, w anchore.Work) error {
	if err := cat.Writable(ctx); err != nil {
		return err
	}
	missing, err := cat.MissingPrivileges(ctx, w)
	if err != nil || len(missing) == 0 {
		return err
	}
	var lacks, grants []string
	for _, m := range missing {
		lacks, grants = append(lacks, m.Privilege), append(grants, m.Grant)
	}
	return fmt.Errorf("the database's user lacks %s (let the owner or a superuser do: %s)", strings.Join(lacks, ", "), strings.Join(grants, "; "))
}

func (a *app) database(f *config.File) (*config.Database, error) {
	if a.globals.DBConnect != "" {
		return config.ParseDatabaseURL(a.globals.DBConnect)
	}
	if f == nil {
		return nil, errors.New("no database: give --db-connect, as in postgresql://user:password@host:5432/name")
	}
	database, err := f.Database()
	if errors.Is(err, config.ErrNoDatabase) {
		return nil, fmt.Errorf("%w: give --db-connect, or credentials.database.db_connect in the configuration", err)
	}
	return database, err
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// openStore opens the store of a section, with retries around it. One that is
// to be written may be created.
func (a *app) openStore(ctx context.Context, s *config.Store, cat *anchore.Catalog, workers int, create bool) (pipeline.Store, error) {
	return a.openPatient(ctx, s, cat, workers, create, storeWait{})
}

// storeWait is how a command bears with a store that does not answer, and what
// it asks of one that does.
type storeWait struct {
	// role is what the store is to the command, for messages.
	role string
	// giveUpAfter is how long operations wait for it; 0 if they do not wait.
	giveUpAfter time.Duration
	// limits are what the store may be asked for in a second.
	limits limit.Limits
}

// openPatient is openStore for a command that pauses while the store is down, or
// that keeps within limits.
func (a *app) openPatient(ctx context.Context, s *config.Store, cat *anchore.Catalog, workers int, create bool, w storeWait) (pipeline.Store, error) {
	d, err := all.Open(ctx, s, all.Environment{
		Postgres: cat.Postgres(), SQLite: cat.SQLite(), DatabasePlace: cat.Place(), Workers: workers, Create: create,
	})
	if err != nil {
		return pipeline.Store{}, err
	}
	store, err := a.patient(d, s, w)
	if err != nil {
		return store, errors.Join(err, d.Close())
	}
	return store, nil
}

// patient makes a store of a section's driver: within limits, with retries, and
// one that is waited for where the command does.
func (a *app) patient(d drivers.Driver, s *config.Store, w storeWait) (pipeline.Store, error) {
	policy, err := all.RetryPolicy(s)
	if err != nil {
		return pipeline.Store{}, err
	}
	d, meter := a.decorated(d, policy, w)
	return pipeline.Store{
		Driver: d, Compression: pipeline.Compression{Enabled: s.Compression.Enabled, MinBytes: s.Compression.MinBytes},
		Meter: meter, Limits: limitsText(w.limits),
	}, nil
}

// decorated puts around a driver what a command bears with it by: from the inside
// the meter, the breaker where it waits, the limits, and the retries.
func (a *app) decorated(d drivers.Driver, policy retry.Policy, w storeWait) (drivers.Driver, *metrics.Meter) {
	meter := new(metrics.Meter)
	d = metrics.New(d, meter)
	if w.giveUpAfter > 0 {
		d = breaker.New(d, a.tellPauses(w))
	}
	d = limit.New(d, w.limits)
	return retry.New(d, countRetries(meter, a.tellRetries(d, policy))), meter
}

// countRetries has retries counted.
func countRetries(meter *metrics.Meter, policy retry.Policy) retry.Policy {
	tell := policy.OnRetry
	policy.OnRetry = func(op, uri string, err error, wait time.Duration) {
		meter.Retried()
		tell(op, uri, err, wait)
	}
	return policy
}

// retryNotice is how often at most a store's trouble is told at level warn.
const retryNotice = 10 * time.Second

// openPair opens the stores of a migration: the destination may be created
// where that is said, the source never.
func (a *app) openPair(ctx context.Context, source, destination *config.Store, cat *anchore.Catalog, workers int, create bool, giveUpAfter time.Duration, limits sideLimits) (from, to pipeline.Store, err error) {
	if from, err = a.openPatient(ctx, source, cat, workers, false, storeWait{"source", giveUpAfter, limits.source()}); err != nil {
		return from, to, err
	}
	if to, err = a.openPatient(ctx, destination, cat, workers, create, storeWait{"destination", giveUpAfter, limits.destination()}); err != nil {
		return from, to, errors.Join(err, from.Close())
	}
	return from, to, nil
}

// tellPauses tells when a command begins and ends to wait for a store.
func (a *app) tellPauses(w storeWait) breaker.Policy {
	return breaker.Policy{
		GiveUpAfter: w.giveUpAfter,
		OnPause: func(store string, reason error, until time.Time) {
			a.log.Warn(fmt.Sprintf("%s does not answer, pausing; giving up in %s", w.role, time.Until(until).Round(time.Second)),
				"side", w.role, "store", store, "reason", reason.Error(), "give_up_at", until.UTC().Format(time.RFC3339))
		},
		OnResume: func(store string, paused time.Duration) {
			a.log.Warn(w.role+" answers again, going on", "side", w.role, "store", store, "paused", paused.Round(time.Second).String())
		},
	}
}

// tellRetries tells of retries: each at level debug, and one now and then at
// level warn, so that a run that waits for a server says so.
func (a *app) tellRetries(d drivers.Driver, policy retry.Policy) retry.Policy {
	var mu sync.Mutex
	var last time.Time
	policy.OnRetry = func(op, uri string, err error, wait time.Duration) {
		level := slog.LevelDebug
		mu.Lock()
		if time.Since(last) > retryNotice {
			level, last = slog.LevelWarn, time.Now()
		}
		mu.Unlock()
		a.log.Log(context.Background(), level, "store in trouble, trying again", "driver", d.Name(), "operation", op, "uri", uri, "reason", err.Error(), "wait", wait.String())
	}
	return policy
}

// section gives the store of the archive or of the analysis archive.
func section(f *config.File, analysisArchive bool) (*config.Store, error) {
	read := f.ObjectStore
	if analysisArchive {
		read = f.AnalysisArchive
	}
	s, err := read()
	if err != nil {
		return nil, err
	}
	return s, all.Check(s)
}

// redacted gives the section as text with secrets masked.
func redacted(s *config.Store) string {
	options, err := all.NewOptions(s)
	if err != nil {
		return ""
	}
	return s.Redacted(options)
}
