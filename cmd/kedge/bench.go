package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/cmd/kedge/internal/ending"
	"github.com/kedge/kedge/config"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/all"
	"github.com/kedge/kedge/drivers/retry"
	"github.com/kedge/kedge/pipeline/catalog/anchore"
)

// benchCommand measures a store.
type benchCommand struct {
	Config          string            `arg:"" name:"config.yaml" help:"Configuration of the store to measure."`
	AnalysisArchive bool              `help:"Measure analysis_archive instead of object_store."`
	Sizes           []byteSize        `default:"1KB,16KB,256KB,4MB,64MB" placeholder:"SIZE" help:"Lengths of documents; units are powers of 1024 (default ${default})."`
	Concurrency     []int             `default:"1,2,4,8,16,32,64,128,256" placeholder:"N" help:"Operations in flight (default ${default})."`
	Operations      []bench.Operation `default:"put,stat,get,list,delete" placeholder:"NAME" help:"What to measure (default ${default})."`
	Duration        time.Duration     `default:"2s" placeholder:"DURATION" help:"How long each step takes at most; there is one for each operation, size and concurrency (default ${default})."`
	Count           int64             `placeholder:"N" help:"End each step after so many documents, however long that takes."`
	Batch           int               `default:"256" placeholder:"N" help:"Documents in one trip at most where the driver can do many, as a migration does; 1: always one by one (default ${default})."`
	MaxBytes        byteSize          `default:"1GB" placeholder:"SIZE" help:"The most that is stored at any time (default ${default})."`
	Memory          int64             `default:"512" placeholder:"MIB" help:"The most that operations in flight may hold in memory, in MiB; steps that need more are left out (default ${default})."`
	Noise           float64           `default:"0.5" placeholder:"SHARE" help:"Which share of the documents does not compress, 0 to 1 (default ${default})."`
	Format          string            `enum:"table,json," default:"" placeholder:"FORMAT" help:"table or json; by default what --output says."`
	Plot            string            `placeholder:"FILE" help:"Draw the rates and latencies too: FILE.svg, or FILE.html with the table. An existing file is overwritten."`
}

// Help is what kong adds to --help.
func (c *benchCommand) Help() string {
	return `Measures rates, latencies and the CPU time a document of a store, and recommends --workers.

It may be run on a store that holds an archive: it puts documents only under keys of its own, below a new user id "kedge-bench-" and a random number, never reads, changes or deletes anything else (list reads the names of what is there), writes no row of the catalog, and removes all that it wrote before it ends, also when it fails or is interrupted. Only when it is killed at once (SIGKILL, power) does something stay behind: it says the user id at the start. The load on the store is real.

A step has one operation, one size, and a number of operations in flight. Errors are counted, and nothing is tried again. On localfs, puts include making them durable.`
}

// byteSize is a length in bytes with a unit, for flags.
type byteSize int64

// UnmarshalText reads 4KB or 64MiB.
func (s *byteSize) UnmarshalText(text []byte) error {
	n, err := bench.ParseBytes(string(text))
	*s = byteSize(n)
	return err
}

// Validate is called by kong.
func (c *benchCommand) Validate() error {
	switch {
	case checkMemory(c.Memory) != nil:
		return checkMemory(c.Memory)
	case c.Count < 0:
		return errors.New("--count: at least 1")
	case c.Duration < 0:
		return errors.New("--duration: a time such as 2s")
	case c.Plot != "" && !slices.Contains([]string{".svg", ".html"}, strings.ToLower(filepath.Ext(c.Plot))):
		return errors.New("--plot: FILE.svg or FILE.html")
	}
	return nil
}

// Run measures.
func (c *benchCommand) Run(ctx context.Context, a *app, interrupted *interrupts) (err error) {
	file, s, err := a.load(c.Config, c.AnalysisArchive)
	if err != nil {
		return err
	}
	d, done, err := c.open(ctx, a, file, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	policy, err := all.RetryPolicy(s)
	if err != nil {
		return err
	}
	plan := c.plan(d, retry.New(d, a.tellRetries(d, policy)))
	if err := plan.Validate(); err != nil {
		return err
	}
	if !a.globals.Quiet {
		c.announce(a, &plan)
	}
	result, err := bench.Run(ctx, interrupted.stop, plan)
	if err != nil {
		return err
	}
	if err := errors.Join(c.print(a, result), c.plot(result)); err != nil {
		return err
	}
	if result.Interrupted {
		return ending.Interrupted("interrupted; all that was written has been removed")
	}
	return nil
}

// open opens the store as it is, without retries. done closes all that was
// opened.
func (c *benchCommand) open(ctx context.Context, a *app, file *config.File, s *config.Store) (d drivers.Driver, done func() error, err error) {
	e := all.Environment{Workers: slices.Max(append([]int{1}, c.Concurrency...)), Create: true}
	var cat *anchore.Catalog
	if s.Driver == "db" || s.Driver == "db2" {
		// Only these stores are in the installation's database.
		if cat, err = a.openCatalog(ctx, file); err != nil {
			return nil, nil, err
		}
		e.Postgres, e.SQLite, e.DatabasePlace = cat.Postgres(), cat.SQLite(), cat.Place()
	}
	closeCatalog := func() error {
		if cat == nil {
			return nil
		}
		return cat.Close()
	}
	if d, err = all.Open(ctx, s, e); err != nil {
		return nil, nil, errors.Join(err, closeCatalog())
	}
	return d, func() error { return errors.Join(d.Close(), closeCatalog()) }, nil
}

func (c *benchCommand) plan(d, cleaner drivers.Driver) bench.Plan {
	var number [6]byte
	_, _ = rand.Read(number[:]) // never fails
	p := bench.Plan{
		Driver: d, Cleaner: cleaner, Concurrency: slices.Sorted(slices.Values(c.Concurrency)), Operations: c.Operations,
		Duration: c.Duration, Count: c.Count, MaxBytes: int64(c.MaxBytes), MemoryBytes: c.Memory << 20,
		BatchDocuments: c.Batch, Noise: c.Noise, User: "kedge-bench-" + hex.EncodeToString(number[:]),
	}
	if c.Count > 0 {
		p.Duration = 0
	}
	for _, size := range c.Sizes {
		p.Sizes = append(p.Sizes, int64(size))
	}
	slices.Sort(p.Sizes)
	return p
}

// announce says what is going to happen, and has the plan tell of its progress.
func (c *benchCommand) announce(a *app, p *bench.Plan) {
	fmt.Fprintf(a.stderr, "Measuring %s at %s: %d steps", p.Driver.Name(), p.Driver.Place(), p.Steps())
	if p.Duration > 0 {
		fmt.Fprintf(a.stderr, ", about %s at most", (time.Duration(p.Steps()) * p.Duration).Round(time.Second))
	}
	fmt.Fprintf(a.stderr, "\nAll that is written is below the user id %s, at most %s at a time, and removed at the end.\n", p.User, bench.FormatBytes(p.MaxBytes))
	steps, done := p.Steps(), 0
	p.Progress = func(s bench.Step) {
		done++
		if s.LeftOut == "" {
			fmt.Fprintf(a.stderr, "%d/%d %s of %s, %d in flight: %.4g documents/s\n", done, steps, s.Operation, bench.FormatBytes(s.SizeBytes), s.Concurrency, s.PerSecond)
		}
	}
}

func (c *benchCommand) print(a *app, r *bench.Result) error {
	if c.Format == "json" || c.Format == "" && a.globals.Output == "json" {
		return json.NewEncoder(a.stdout).Encode(benchReport{
			Result: r, Time: time.Now().UTC().Format(time.RFC3339), Version: version,
			Destination: r.Recommended(bench.Put), Source: r.Recommended(bench.Get),
		})
	}
	if len(r.Steps) == 0 {
		return nil // interrupted before the first one was done
	}
	return r.Table(a.stdout)
}

// benchReport is the form of the JSON output.
type benchReport struct {
	*bench.Result
	Time        string `json:"time"`
	Version     string `json:"kedge"`
	Destination int    `json:"recommended_workers_as_destination,omitempty"`
	Source      int    `json:"recommended_workers_as_source,omitempty"`
}

// plot draws, if that is wanted.
func (c *benchCommand) plot(r *bench.Result) error {
	if c.Plot == "" {
		return nil
	}
	f, err := os.Create(c.Plot)
	if err != nil {
		return fmt.Errorf("--plot: %w", err)
	}
	draw := r.SVG
	if strings.EqualFold(filepath.Ext(c.Plot), ".html") {
		draw = r.HTML
	}
	if err := errors.Join(draw(f), f.Close()); err != nil {
		return fmt.Errorf("--plot: %w", err)
	}
	return nil
}
