package observe

import (
	"runtime"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metric is one of the metrics of a run, read from a Progress.
type metric struct {
	name, help string
	kind       prometheus.ValueType
	labels     []string
	// values calls emit with each value and its labels.
	values func(p Progress, emit func(value float64, labels ...string))
	// histograms is set in place of values for a histogram.
	histograms func(p Progress, emit func(h Histogram, labels ...string))
}

// one is the values of a metric without labels.
func one(value func(Progress) float64) func(Progress, func(float64, ...string)) {
	return func(p Progress, emit func(float64, ...string)) { emit(value(p)) }
}

// perStage is the values of a metric with the label stage.
func perStage(value func(Stage) float64) func(Progress, func(float64, ...string)) {
	return func(p Progress, emit func(float64, ...string)) {
		for _, s := range p.Stages {
			emit(value(s), s.Name)
		}
	}
}

// perSide is the values of a metric with the labels of sideLabels.
func perSide(value func(Side) float64) func(Progress, func(float64, ...string)) {
	return func(p Progress, emit func(float64, ...string)) {
		for _, s := range p.sides() {
			emit(value(s.Side), s.name, s.Driver)
		}
	}
}

// perBucket is the values of a metric with the label bucket.
func perBucket(value func(Bucket) float64) func(Progress, func(float64, ...string)) {
	return func(p Progress, emit func(float64, ...string)) {
		for _, b := range p.Buckets {
			emit(value(b), b.Name)
		}
	}
}

// ofCopies is the value of a metric that only a run which copies has.
func ofCopies(value func(*Copies) float64) func(Progress, func(float64, ...string)) {
	return func(p Progress, emit func(float64, ...string)) {
		if p.Copies != nil {
			emit(value(p.Copies))
		}
	}
}

// knownOfCopies is ofCopies for a value that may not be known.
func knownOfCopies(value func(*Copies) *float64) func(Progress, func(float64, ...string)) {
	return func(p Progress, emit func(float64, ...string)) {
		if p.Copies != nil && value(p.Copies) != nil {
			emit(*value(p.Copies))
		}
	}
}

type namedSide struct {
	name string
	Side
}

// sides are the stores that the run has.
func (p Progress) sides() []namedSide {
	var list []namedSide
	for _, s := range []namedSide{{"source", p.Source}, {"destination", p.Destination}} {
		if s.Driver != "" {
			list = append(list, s)
		}
	}
	return list
}

var (
	sideLabels  = []string{"side", "driver"}
	stageLabel  = []string{"stage"}
	bucketLabel = []string{"bucket"}
)

const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
)

// runMetrics are all metrics of a run, as docs/observing.md lists them.
var runMetrics = []metric{
	{name: "kedge_build_info", help: "Version of kedge; always 1.", kind: gauge, labels: []string{"version", "goversion"},
		values: func(p Progress, emit func(float64, ...string)) { emit(1, p.Version, runtime.Version()) }},
	{name: "kedge_run_info", help: "What runs: the command, its task in the database (0: none yet), and the drivers; always 1.", kind: gauge,
		labels: []string{"command", "task_id", "source", "destination", "unit"},
		values: func(p Progress, emit func(float64, ...string)) {
			emit(1, p.Command, strconv.FormatInt(p.TaskID, 10), p.Source.Driver, p.Destination.Driver, p.Unit)
		}},
	{name: "kedge_run_state", help: "1 for the state that the run is in, 0 for all others.", kind: gauge, labels: []string{"state"},
		values: func(p Progress, emit func(float64, ...string)) {
			for _, s := range States {
				emit(truth(s == p.State), string(s))
			}
		}},
	{name: "kedge_run_start_time_seconds", help: "When this run began, in seconds since the epoch.", kind: gauge,
		values: one(func(p Progress) float64 { return float64(p.Began.UnixMilli()) / 1000 })},
	{name: "kedge_remaining_seconds", help: "How long the rest will take as things are; absent while that is not known.", kind: gauge,
		values: func(p Progress, emit func(float64, ...string)) {
			if p.RemainingSeconds != nil {
				emit(*p.RemainingSeconds)
			}
		}},

	{name: "kedge_run_phase", help: "1 for the phase that a run over documents is in, 0 for all others.", kind: gauge, labels: []string{"phase"},
		values: func(p Progress, emit func(float64, ...string)) {
			for _, phase := range Phases {
				emit(truth(p.Phase == string(phase)), string(phase))
			}
		}},
	{name: "kedge_can_start", help: "1 when Anchore can be started although the run goes on.", kind: gauge,
		values: one(func(p Progress) float64 { return truth(p.CanStart != nil) })},
	{name: "kedge_copy_rounds_total", help: "Rounds of copying that have ended in this run.", kind: counter,
		values: ofCopies(func(c *Copies) float64 { return float64(c.Rounds) })},
	{name: "kedge_copies", help: "Copies that there are, of this run and of earlier ones.", kind: gauge,
		values: ofCopies(func(c *Copies) float64 { return float64(c.InAll) })},
	{name: "kedge_copies_missing", help: "Rows without a copy, whose documents would be moved at the cutover.", kind: gauge,
		values: ofCopies(func(c *Copies) float64 { return float64(c.Missing) })},
	{name: "kedge_copy_behind_seconds", help: "How long ago that is up to which everything was copied; absent before the first round has ended.", kind: gauge,
		values: knownOfCopies(func(c *Copies) *float64 { return c.BehindSeconds })},
	{name: "kedge_cutover_seconds", help: "How long a cutover would take until Anchore can be started; absent while that is not known.", kind: gauge,
		values: knownOfCopies(func(c *Copies) *float64 { return c.CutoverSeconds })},

	{name: "kedge_documents", help: "Documents (a registry's files) that the migration is about, over all its runs; 0 while it is not known.", kind: gauge,
		values: one(func(p Progress) float64 { return float64(p.Documents.Total) })},
	{name: "kedge_documents_done_total", help: "Documents moved, skipped or failed, over all runs.", kind: counter,
		values: one(func(p Progress) float64 { return float64(p.Documents.Done) })},
	{name: "kedge_documents_moved_total", help: "Documents moved (purge: deleted; verify: checked), over all runs.", kind: counter,
		values: one(func(p Progress) float64 { return float64(p.Documents.Moved) })},
	{name: "kedge_documents_skipped_total", help: "Documents for which nothing had to be done, over all runs.", kind: counter,
		values: one(func(p Progress) float64 { return float64(p.Documents.Skipped) })},
	{name: "kedge_documents_failed_total", help: "Documents that failed in this run.", kind: counter,
		values: one(func(p Progress) float64 { return float64(p.Documents.Failed) })},
	{name: "kedge_documents_without_digest_total", help: "Documents moved for which the catalog had no digest to check them by.", kind: counter,
		values: one(func(p Progress) float64 { return float64(p.Documents.WithoutDigest) })},
	{name: "kedge_failures_total", help: "Documents that failed in this run, by class of failure.", kind: counter, labels: []string{"class"},
		values: func(p Progress, emit func(float64, ...string)) {
			for _, f := range p.Failures {
				emit(float64(f.Count), f.Class)
			}
		}},

	{name: "kedge_catalog_bytes", help: "Bytes that the migration is about, as the catalog counts them.", kind: gauge,
		values: one(func(p Progress) float64 { return float64(p.Bytes.Total) })},
	{name: "kedge_catalog_done_bytes_total", help: "Bytes of the documents that are done, as the catalog counts them.", kind: counter,
		values: one(func(p Progress) float64 { return float64(p.Bytes.Done) })},
	{name: "kedge_read_bytes_total", help: "Payload bytes read at the source, as stored there, over all runs.", kind: counter,
		values: one(func(p Progress) float64 { return float64(p.Bytes.Read) })},
	{name: "kedge_written_bytes_total", help: "Payload bytes written at the destination, as stored there, over all runs.", kind: counter,
		values: one(func(p Progress) float64 { return float64(p.Bytes.Written) })},
	{name: "kedge_document_size_bytes", help: "Documents moved by this run, by the length of their payload at the source.",
		histograms: func(p Progress, emit func(Histogram, ...string)) {
			if len(p.Sizes.Bounds) > 0 {
				emit(p.Sizes)
			}
		}},
	{name: "kedge_bucket_documents_total", help: "Documents moved by this run, by Anchore's logical bucket.", kind: counter, labels: bucketLabel,
		values: perBucket(func(b Bucket) float64 { return float64(b.Documents) })},
	{name: "kedge_bucket_failed_total", help: "Documents that failed in this run, by Anchore's logical bucket.", kind: counter, labels: bucketLabel,
		values: perBucket(func(b Bucket) float64 { return float64(b.Failed) })},
	{name: "kedge_bucket_read_bytes_total", help: "Payload bytes read by this run, by Anchore's logical bucket.", kind: counter, labels: bucketLabel,
		values: perBucket(func(b Bucket) float64 { return float64(b.BytesRead) })},
	{name: "kedge_bucket_written_bytes_total", help: "Payload bytes written by this run, by Anchore's logical bucket.", kind: counter, labels: bucketLabel,
		values: perBucket(func(b Bucket) float64 { return float64(b.BytesWritten) })},

	{name: "kedge_stage_duration_seconds", help: "How long a stage took for a batch.", labels: stageLabel,
		histograms: func(p Progress, emit func(Histogram, ...string)) {
			for _, s := range p.Stages {
				emit(s.Latency, s.Name)
			}
		}},
	{name: "kedge_stage_documents_total", help: "Documents that have passed a stage in this run.", kind: counter, labels: stageLabel,
		values: perStage(func(s Stage) float64 { return float64(s.Documents) })},
	{name: "kedge_stage_busy_seconds_total", help: "Time that a stage's workers were at work, summed over them.", kind: counter, labels: stageLabel,
		values: perStage(func(s Stage) float64 { return s.BusySeconds })},
	{name: "kedge_stage_workers", help: "Workers of a stage.", kind: gauge, labels: stageLabel,
		values: perStage(func(s Stage) float64 { return float64(s.Workers) })},
	{name: "kedge_stage_in_flight_batches", help: "Batches that a stage has in work.", kind: gauge, labels: stageLabel,
		values: perStage(func(s Stage) float64 { return float64(s.InFlight) })},
	{name: "kedge_stage_queued_batches", help: "Batches that wait for a stage.", kind: gauge, labels: stageLabel,
		values: perStage(func(s Stage) float64 { return float64(s.Queued) })},

	{name: "kedge_store_operation_duration_seconds", help: "How long attempts of operations took at a store.", labels: sideLabels,
		histograms: func(p Progress, emit func(Histogram, ...string)) {
			for _, s := range p.sides() {
				emit(s.Latency, s.name, s.Driver)
			}
		}},
	{name: "kedge_store_operations_total", help: "Attempts of operations at a store.", kind: counter, labels: sideLabels,
		values: perSide(func(s Side) float64 { return float64(s.Operations) })},
	{name: "kedge_store_errors_total", help: "Attempts of operations at a store that failed.", kind: counter, labels: sideLabels,
		values: perSide(func(s Side) float64 { return float64(s.Errors) })},
	{name: "kedge_store_retries_total", help: "Attempts of operations at a store that were made again.", kind: counter, labels: sideLabels,
		values: perSide(func(s Side) float64 { return float64(s.Retries) })},
	{name: "kedge_store_bytes_total", help: "Payload bytes read and written at a store.", kind: counter, labels: sideLabels,
		values: perSide(func(s Side) float64 { return float64(s.Bytes) })},
	{name: "kedge_store_in_flight_operations", help: "Operations that the run has in flight at a store.", kind: gauge, labels: sideLabels,
		values: perSide(func(s Side) float64 { return float64(s.InFlight) })},
	{name: "kedge_store_workers", help: "Operations in flight that the run allows itself at a store.", kind: gauge, labels: sideLabels,
		values: perSide(func(s Side) float64 { return float64(s.Workers) })},
	{name: "kedge_store_limit_bytes_per_second", help: "What --max-bandwidth allows at a store; 0: no limit.", kind: gauge, labels: sideLabels,
		values: perSide(func(s Side) float64 { return float64(s.MaxBytesPerSecond) })},
	{name: "kedge_store_limit_operations_per_second", help: "What --max-ops allows at a store; 0: no limit.", kind: gauge, labels: sideLabels,
		values: perSide(func(s Side) float64 { return s.MaxOperationsPerSecond })},
	{name: "kedge_paused_stores", help: "Stores that do not answer, for which the run waits.", kind: gauge,
		values: one(func(p Progress) float64 { return float64(len(p.Paused)) })},
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// collector reads all metrics from one look at the run, so that they fit
// together.
type collector struct {
	progress     func() Progress
	descriptions []*prometheus.Desc
}

func newCollector(progress func() Progress) *collector {
	c := &collector{progress: progress}
	for _, m := range runMetrics {
		c.descriptions = append(c.descriptions, prometheus.NewDesc(m.name, m.help, m.labels, nil))
	}
	return c
}

// Describe is part of prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range c.descriptions {
		to <- d
	}
}

// Collect is part of prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	p := c.progress()
	for i, m := range runMetrics {
		d := c.descriptions[i]
		if m.histograms != nil {
			m.histograms(p, func(h Histogram, labels ...string) {
				to <- prometheus.MustNewConstHistogram(d, uint64(h.Count), h.Sum, h.cumulative(), labels...)
			})
			continue
		}
		m.values(p, func(value float64, labels ...string) {
			to <- prometheus.MustNewConstMetric(d, m.kind, value, labels...)
		})
	}
}

// cumulative counts as Prometheus counts: the values up to each bound.
func (h Histogram) cumulative() map[float64]uint64 {
	buckets := make(map[float64]uint64, len(h.Bounds))
	var sum uint64
	for i, bound := range h.Bounds {
		if i < len(h.Counts) {
			sum += uint64(h.Counts[i])
		}
		buckets[bound] = sum
	}
	return buckets
}

// registry holds the run's metrics and the program's own.
func registry(progress func() Progress) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(newCollector(progress), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}
