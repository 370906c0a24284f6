package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/cmd/kedge/internal/observe"
	"github.com/kedge/kedge/cmd/kedge/internal/watch"
	"github.com/kedge/kedge/drivers/limit"
	"github.com/kedge/kedge/pipeline"
)

// sideLimits are the limits of a command with a source and a destination. They
// are no part of what a checkpoint belongs to: an interrupted run goes on with
// others.
type sideLimits struct {
	MaxBandwidth bandwidths     `placeholder:"RATE[,RATE]" help:"Bytes of documents a second, as they are stored, such as 10M or 500KiB (units are powers of 1024). One rate holds for each side by itself; two are the source's and the destination's; 0 is no limit. An interrupted run may go on with another limit. With a low limit give fewer --workers, who share it: servers give up clients that are too slow."`
	MaxOps       operationRates `placeholder:"N[,N]" help:"Operations a second, such as 200, for one side or both as for --max-bandwidth. Each get, put, stat or delete of a document is one, also where many are done in one request; a thousand documents listed are one."`
}

func (l *sideLimits) source() limit.Limits {
	return limit.Limits{Bytes: int64(l.MaxBandwidth[0]), Operations: float64(l.MaxOps[0])}
}

func (l *sideLimits) destination() limit.Limits {
	return limit.Limits{Bytes: int64(l.MaxBandwidth[1]), Operations: float64(l.MaxOps[1])}
}

// moveFlags are the flags of the commands that put documents of one store into
// another: migrate, copy and rollback.
type moveFlags struct {
	FromAnalysisArchive bool          `help:"The source is its configuration's analysis_archive instead of its object_store."`
	ToAnalysisArchive   bool          `help:"The destination is its configuration's analysis_archive instead of its object_store."`
	Bucket              []string      `sep:"none" placeholder:"NAME" help:"Only documents of this logical bucket of Anchore, such as analysis_archive; may be given several times."`
	Elsewhere           string        `enum:"report,ignore,move" default:"report" help:"What to do about documents that the catalog places neither in the source nor in the destination but in another place of the source's kind: report (and exit 2), ignore, move (default ${default})."`
	UnreadableKeys      string        `enum:"keep,move" default:"keep" help:"What to do about documents whose key Anchore could not read back at the destination: keep them at the source and report, or move (default ${default})."`
	Verify              string        `enum:"auto,readback" default:"auto" help:"How the destination proves what it holds: auto (by its own checksum, else by reading back), readback (always read back) (default ${default})."`
	Workers             int           `placeholder:"N" help:"Operations in flight at each side. By default kedge begins with what suits the driver and finds out what is best."`
	Memory              int64         `default:"64" placeholder:"MIB" help:"Budget for documents in memory, in MiB (default ${default})."`
	MaxFailures         int           `default:"${maxFailures}" placeholder:"N" help:"Stop when so many documents in a row failed because a store does not do its work (default ${default})."`
	GiveUpAfter         time.Duration `default:"30m" placeholder:"DURATION" help:"How long to wait for a store that is down (90s, 30m, 48h). The run pauses, asks every few seconds, and goes on when there is an answer; after so long without one it stops, and the same command goes on later. 0: never pause (default ${default})."`
	Checkpoint          string        `placeholder:"PATH" help:"File that lets an interrupted run go on; the record of copies is beside it, with .copies behind its name. migrate, copy and rollback between the same two stores may be given the same one. Default: in $XDG_STATE_HOME/kedge or ~/.local/state/kedge, named after what the run does."`
	Wait                bool          `help:"Wait while another migration holds the lock, instead of refusing."`

	sideLimits
	watch.Flags
}

// Validate is called by kong.
func (f *moveFlags) Validate() error {
	switch {
	case checkMemory(f.Memory) != nil:
		return checkMemory(f.Memory)
	case f.Workers < 0 || f.Workers > 1024:
		return errors.New("--workers: from 1 to 1024")
	case f.MaxFailures < 1:
		return errors.New("--max-failures: at least 1")
	}
	return checkPatience(f.GiveUpAfter)
}

// deletionFlags are the flags of the commands that delete sources.
type deletionFlags struct {
	WatchDeletes time.Duration `default:"5s" placeholder:"DURATION" help:"How long after the first source was deleted kedge asks the destination at least whether deleted documents are still there, before it ends: something may carry deletions on from the source to the destination. For a fifth of it, after the first one, nothing else is deleted (default ${default})."`
}

// Validate is called by kong.
func (f *deletionFlags) Validate() error {
	if f.WatchDeletes < 0 {
		return errors.New("--watch-deletes: a time such as 5s or 15m, or 0")
	}
	return nil
}

// trust is what a flag --trust-copies comes to.
func trust(how string) pipeline.Trust {
	if how == "auto" {
		return ""
	}
	return pipeline.Trust(how)
}

// storeLimits are the limits of a command that only reads.
type storeLimits struct {
	MaxBandwidth bandwidth     `placeholder:"RATE" help:"Bytes of documents read in a second from each store, such as 10M, as for migrate."`
	MaxOps       operationRate `placeholder:"N" help:"Operations a second at each store, as for migrate."`
}

func (l *storeLimits) limits() limit.Limits {
	return limit.Limits{Bytes: int64(l.MaxBandwidth), Operations: float64(l.MaxOps)}
}

// watched says what is watched.
func (l *sideLimits) watched(command, source, destination string) observe.Run {
	return observe.Run{Command: command, Version: "kedge " + thisBuild().Version, Source: source, Destination: destination,
		SourceLimits: l.source(), DestinationLimits: l.destination(), Started: time.Now()}
}

// waitFlags are the flags of a command that reads many documents, and can wait for
// a store that is down.
type waitFlags struct {
	Memory      int64         `default:"64" placeholder:"MIB" help:"Budget for documents in memory, in MiB (default ${default})."`
	GiveUpAfter time.Duration `default:"30m" placeholder:"DURATION" help:"How long to wait for a store that is down, as for migrate. 0: never pause (default ${default})."`
}

// Validate is called by kong.
func (f *waitFlags) Validate() error {
	if err := checkMemory(f.Memory); err != nil {
		return err
	}
	return checkPatience(f.GiveUpAfter)
}

// minMemoryMiB is the smallest budget with which every driver can stream.
const minMemoryMiB = 16

// maxMemoryMiB is a bound against slips of the finger.
const maxMemoryMiB = 1 << 20

// checkMemory is for the flag --memory, in MiB.
func checkMemory(mib int64) error {
	if mib < minMemoryMiB || mib > maxMemoryMiB {
		return fmt.Errorf("--memory: from %d to %d MiB", minMemoryMiB, maxMemoryMiB)
	}
	return nil
}

// checkPatience is for the flag --give-up-after.
func checkPatience(giveUpAfter time.Duration) error {
	if giveUpAfter < 0 {
		return errors.New("--give-up-after: a time such as 90s, 30m or 48h, or 0")
	}
	return nil
}

// limitsText names the flags that limit a store, "" where none does.
func limitsText(l limit.Limits) string {
	var flags []string
	if l.Operations > 0 {
		flags = append(flags, fmt.Sprintf("--max-ops %g", l.Operations))
	}
	if l.Bytes > 0 {
		flags = append(flags, fmt.Sprintf("--max-bandwidth %s/s", observe.ByteCount(l.Bytes)))
	}
	return strings.Join(flags, " and ")
}

// bandwidth is a number of bytes a second; 0 for no limit.
type bandwidth int64

// minBandwidth is a bound against a unit that was forgotten.
const minBandwidth = 1 << 10

// UnmarshalText reads 10M, 500KiB or 0.
func (b *bandwidth) UnmarshalText(text []byte) error {
	if strings.TrimSpace(string(text)) == "0" {
		*b = 0
		return nil
	}
	n, err := bench.ParseBytes(string(text))
	if err != nil || n < minBandwidth {
		return fmt.Errorf("%q is no rate such as 10M or 500KiB: at least 1K bytes a second, or 0 for no limit", text)
	}
	*b = bandwidth(n)
	return nil
}

// bandwidths are the source's and the destination's.
type bandwidths [2]bandwidth

// UnmarshalText reads one rate for each side, or two.
func (b *bandwidths) UnmarshalText(text []byte) error {
	return bothSides(string(text), b[0].UnmarshalText, b[1].UnmarshalText)
}

// String writes the source's and the destination's as they are given.
func (b bandwidths) String() string { return fmt.Sprintf("%d,%d", b[0], b[1]) }

// operationRate is a number of operations a second; 0 for no limit.
type operationRate float64

// maxOperationRate is a bound against slips of the finger.
const maxOperationRate = 1e9

// UnmarshalText reads 200, 0.5 or 0.
func (r *operationRate) UnmarshalText(text []byte) error {
	n, err := strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
	if err != nil || !(n == 0 || n >= 0.01 && n <= maxOperationRate) {
		return fmt.Errorf("%q is no number of operations a second, such as 200, or 0 for no limit", text)
	}
	*r = operationRate(n)
	return nil
}

// operationRates are the source's and the destination's.
type operationRates [2]operationRate

// UnmarshalText reads one rate for each side, or two.
func (r *operationRates) UnmarshalText(text []byte) error {
	return bothSides(string(text), r[0].UnmarshalText, r[1].UnmarshalText)
}

// String writes the source's and the destination's as they are given.
func (r operationRates) String() string { return fmt.Sprintf("%g,%g", r[0], r[1]) }

// bothSides reads "A,B", or "A" for both.
func bothSides(text string, source, destination func([]byte) error) error {
	first, second, two := strings.Cut(text, ",")
	if !two {
		second = first
	}
	if err := source([]byte(first)); err != nil {
		return err
	}
	return destination([]byte(second))
}
