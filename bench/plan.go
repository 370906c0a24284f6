package bench

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kedge/kedge/drivers"
)

// Operation is what is measured of a store.
type Operation string

// The operations, in the order in which they are measured.
const (
	Put    Operation = "put"
	Stat   Operation = "stat"
	Get    Operation = "get"
	List   Operation = "list"
	Delete Operation = "delete"
)

// Operations lists all of them.
func Operations() []Operation { return []Operation{Put, Stat, Get, List, Delete} }

// Plan says what to measure. Every combination of a size and a concurrency is a
// step of each operation, except List, of which there is one step a size.
type Plan struct {
	// Driver is the store, without retries around it, so that errors count.
	Driver drivers.Driver
	// Cleaner is the same store with retries, for removing what was written.
	Cleaner drivers.Driver
	// Sizes are lengths of documents in bytes, Concurrency how many operations
	// are in flight.
	Sizes       []int64
	Concurrency []int
	Operations  []Operation
	// Duration is how long a step takes, Count how many documents it has when
	// it is not 0; whichever comes first.
	Duration time.Duration
	Count    int64
	// MaxBytes is how much may be stored at any time, in bytes; a step of puts
	// ends when it is reached.
	MaxBytes int64
	// MemoryBytes bounds what the operations in flight may hold, in bytes. Steps
	// that would need more are left out.
	MemoryBytes int64
	// BatchDocuments is how many documents at most go in one trip where the
	// driver can do that; 1 makes each operation one of one document.
	BatchDocuments int
	// Noise is the share of the documents that does not compress, as in
	// Workload.
	Noise float64
	// User is the user id below which everything is written.
	User string
	// Progress is told of each step when it is done; may be nil.
	Progress func(Step)
}

const (
	// batchBytes is how long the documents of one trip are together, at most,
	// and streamBytes from which length a document is streamed: as a migration
	// does it.
	batchBytes  = 8 << 20
	streamBytes = 4 << 20
)

// Bucket is the logical bucket of all that a measurement writes.
const Bucket = "kedge-bench"

// Validate finds what cannot be measured.
func (p *Plan) Validate() error {
	switch {
	case len(p.Sizes) == 0 || slices.Min(p.Sizes) < 1:
		return errors.New("sizes: at least one, of at least 1 byte")
	case slices.Max(p.Sizes) > p.MaxBytes:
		return errors.New("sizes: a document is longer than what may be stored")
	case len(p.Concurrency) == 0 || slices.Min(p.Concurrency) < 1 || slices.Max(p.Concurrency) > 1024:
		return errors.New("concurrency: from 1 to 1024")
	case p.Duration <= 0 && p.Count <= 0:
		return errors.New("a step needs a duration or a count")
	case p.Noise < 0 || p.Noise > 1:
		return errors.New("noise: from 0 to 1")
	case p.BatchDocuments < 1:
		return errors.New("batch: at least 1")
	}
	for _, op := range p.Operations {
		if !slices.Contains(Operations(), op) {
			return fmt.Errorf("there is no operation %q", op)
		}
	}
	if len(p.Operations) == 0 {
		return errors.New("operations: at least one")
	}
	return nil
}

// has says whether an operation is to be measured.
func (p *Plan) has(op Operation) bool { return slices.Contains(p.Operations, op) }

// Steps is how many steps there are, those included that will be left out.
func (p *Plan) Steps() int {
	steps := 0
	for _, op := range p.Operations {
		if op == List {
			steps += len(p.Sizes)
		} else {
			steps += len(p.Sizes) * len(p.Concurrency)
		}
	}
	return steps
}

// batch is how many documents of a size go in one trip of an operation.
func (p *Plan) batch(op Operation, size int64) int {
	c := p.Driver.Capabilities()
	_, can := p.Driver.(drivers.Batcher)
	can = can && (op == Put && c.BatchPut || op == Get && c.BatchGet || op == Delete && c.BatchDelete)
	switch {
	case !can:
		return 1
	case op == Delete:
		return p.BatchDocuments
	case size > streamBytes:
		return 1
	default:
		return int(max(1, min(int64(p.BatchDocuments), batchBytes/size)))
	}
}

// tooMuch tells why a step is left out, "" if it is not.
func (p *Plan) tooMuch(op Operation, size int64, concurrency int) string {
	if op != Put && op != Get {
		return ""
	}
	one := min(size, p.Driver.Capabilities().StreamBytes)
	if batch := p.batch(op, size); batch > 1 {
		one = size * int64(batch)
	}
	if need := one * int64(concurrency); need > p.MemoryBytes {
		return fmt.Sprintf("would hold %s in memory", FormatBytes(need))
	}
	if op == Put && size*int64(concurrency) > p.MaxBytes {
		return fmt.Sprintf("would store %s at once", FormatBytes(size*int64(concurrency)))
	}
	return ""
}

// units of lengths; all of them are powers of 1024.
var units = []struct {
	name  string
	bytes int64
}{
	{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"GB", 1 << 30}, {"MB", 1 << 20}, {"KB", 1 << 10},
	{"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"B", 1}, {"", 1},
}

// maxParsedBytes is a bound against slips of the finger.
const maxParsedBytes = 1 << 40

// ParseBytes reads a length such as 1KB, 64MiB, 1.5M or 700. All units are
// powers of 1024.
func ParseBytes(text string) (int64, error) {
	text = strings.TrimSpace(text)
	for _, u := range units {
		if len(text) < len(u.name) || !strings.EqualFold(text[len(text)-len(u.name):], u.name) {
			continue
		}
		number := strings.TrimSpace(text[:len(text)-len(u.name)])
		value, err := strconv.ParseFloat(number, 64)
		if bytes := value * float64(u.bytes); err == nil && bytes >= 1 && bytes <= maxParsedBytes {
			return int64(bytes), nil
		}
		break
	}
	return 0, fmt.Errorf("%q is no length such as 700, 4KB or 64MiB", text)
}

// FormatBytes writes a length with the greatest unit that it is at least one of.
func FormatBytes(n int64) string {
	for _, u := range units[:3] {
		if n >= u.bytes {
			return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(n)/float64(u.bytes)), ".0") + " " + u.name
		}
	}
	return fmt.Sprintf("%d B", n)
}
