package progress

import (
	"time"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/metrics"
)

// Snapshot is the progress at one moment.
type Snapshot struct {
	At time.Time // when it was taken
	// Began is when this run began to move documents, Ended when it was over; both are zero before.
	Began, Ended time.Time
	// Total is what the migration is about, over all its runs, as it was at the
	// start of the first; it is counted beside the moving, and Counted says that
	// it is known. Done is what of it is moved, skipped or has failed in this run;
	// it never exceeds a known Total and never decreases while that is the same.
	Total, Done Amount
	Counted     bool
	// Now is how fast it goes, on average over the last ten seconds at most, and
	// Average since the run began.
	Now, Average Rates
	// Left is how long the rest is going to take as things are; negative while
	// that is not known.
	Left   time.Duration
	Counts checkpoint.Counts // over all runs of this migration
	Failed int64             // documents that failed in this run
	// Failures groups these by class, in the order of the classes' names.
	Failures []ClassCount
	// Retries are the attempts of operations that were made again in this run.
	Retries int64
	// Stages are the stages of the pipeline in their order.
	Stages              []StageState
	Source, Destination SideState
	// SizeBuckets counts the documents moved by this run by the length of their
	// payload at the source: one count for each of SizeBounds, of what is no
	// longer than that but longer than the bound before, and one for the rest.
	SizeBuckets []int64
	// ByBucket is what this run did, by logical bucket, in the order of their
	// names. Beyond maxBuckets they are counted together as OtherBuckets.
	ByBucket []BucketCount
	// Paused are the outages for which the run waits.
	Paused []drivers.Outage

	bottleneck bottleneck
}

// Limit names the stage that keeps the run from being faster, and why it takes
// its time, in a few words: "put", "s3 answers in 84 ms". Both are "" where none
// stands out, and while the run waits for a store.
func (s Snapshot) Limit() (stage, why string) { return s.bottleneck.stage, s.bottleneck.why }

// Amount is a number of documents and of their payload bytes, as the catalog
// counts them: rows that tell no size count as 0 bytes.
type Amount struct{ Documents, Bytes int64 }

// Add adds another amount.
func (a *Amount) Add(b Amount) {
	a.Documents += b.Documents
	a.Bytes += b.Bytes
}

func (a Amount) within(most Amount) Amount {
	return Amount{min(a.Documents, most.Documents), min(a.Bytes, most.Bytes)}
}

// Rates are a speed. Bytes are those read at the source (by a purge, at the
// destination), as they are stored.
type Rates struct{ DocumentsPerSecond, BytesPerSecond float64 }

// StageState is a stage at one moment.
type StageState struct {
	Name    string
	Workers int
	// InFlight are the batches in work, Queued those that wait for a worker.
	InFlight, Queued int64
	// Batches and Documents are what the stage has done in this run. A document
	// that passes from source to destination as a stream counts for fetch and
	// recompress when it is put.
	Batches, Documents int64
	// Busy is how long workers were at work, summed over them, since the run
	// began; BusyShare is the part of their time for which they were lately,
	// from 0 to 1.
	Busy      time.Duration
	BusyShare float64
	// Latency is of whole batches.
	Latency metrics.Latency
}

// SideState is a store at one moment.
type SideState struct {
	Name  string // the driver's
	Place string // the store's, as in Outage.Place
	// InFlight is how many operations the run has in flight there, and Limit how
	// many it allows itself.
	InFlight, Limit int64
	// Operations, Errors, Retries, Bytes and Latency are of attempts of single
	// operations, see metrics.Measurements.
	Operations, Errors, Retries int64
	Bytes                       int64
	Latency                     metrics.Latency
}

// SizeBounds are the upper bounds of Snapshot.SizeBuckets in bytes.
var SizeBounds = []int64{
	1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10,
	1 << 20, 4 << 20, 16 << 20, 64 << 20, 256 << 20, 1 << 30,
}

// ClassCount is how many documents failed with one class.
type ClassCount struct {
	Class string
	Count int64
}

// BucketCount is what was done for one logical bucket.
type BucketCount struct {
	Bucket string
	// Documents were moved, or purged, and Failed failed.
	Documents, Failed       int64
	BytesRead, BytesWritten int64
}

// maxBuckets is how many logical buckets are told apart at most, and
// OtherBuckets the name of the rest.
const (
	maxBuckets   = 50
	OtherBuckets = "(other buckets)"
)
