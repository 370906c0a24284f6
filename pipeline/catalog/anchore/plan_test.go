package anchore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
)

// TestRowsPlan looks at how PostgreSQL reads the rows of a batch: through the
// primary key, also where scanning the table once would seem to be cheaper.
func TestRowsPlan(t *testing.T) {
	r := freshPostgres(t)
	r.fill(5_000)
	p := r.database.(*postgres)
	docs := r.all(t, catalog.Selection{Prefix: "s3://archive/"}, 256)
	keys := make([]drivers.Key, len(docs))
	for i := range docs {
		keys[i] = docs[i].Key
	}
	explained := &explainer{t: t, url: r.options.Postgres}
	for query, args := range explained.seen(p, func(q reader) error { _, err := q.Rows(t.Context(), keys); return err }) {
		if plan := explained.plan(query, args); !strings.Contains(plan, "using archive_metadata_pkey") || strings.Contains(plan, "Seq Scan") {
			t.Errorf("%s\n%s", query, plan)
		}
	}
}

// TestPlans looks at how PostgreSQL reads a page of a large catalog: along the
// primary key, from the position on, without sorting, even where its statistics
// say that the prefix selects few rows.
func TestPlans(t *testing.T) {
	r := freshPostgres(t)
	r.fill(100_000)
	p := r.database.(*postgres)
	explained := &explainer{t: t, url: r.options.Postgres}
	position := catalog.Position{Bucket: "bucket1", ArchiveID: "sha256:8", UserID: "admin", Name: "x"}
	last := catalog.Position{Bucket: "bucket2", ArchiveID: "sha256:fff", UserID: "admin", Name: "x"}
	for _, s := range []catalog.Selection{
		{Prefix: "s3://archive/"}, {Prefix: "file:///archive/"}, {Prefix: "nowhere://"},
		{Prefix: "s3://archive/", Buckets: []string{"bucket1"}},
		{Prefix: "file:///archive/", Buckets: []string{"bucket2", "bucket1", "nowhere"}},
	} {
		for _, after := range []catalog.Position{{}, position, last} {
			for query, args := range explained.queries(p, s, after, 1000) {
				plan := explained.plan(query, args)
				if !strings.Contains(plan, "using archive_metadata_pkey") || strings.Contains(plan, "Sort") || strings.Contains(plan, "Seq Scan") {
					t.Errorf("%+v after %+v:\n%s\n%s", s, after, query, plan)
				}
				if after != (catalog.Position{}) && !strings.Contains(plan, "Index Cond:") {
					t.Errorf("%+v after %+v does not begin at the position:\n%s", s, after, plan)
				}
			}
		}
	}
}

// explainer runs EXPLAIN.
type explainer struct {
	t   *testing.T
	url string
}

// queries gives the statements of a page, as a tracer of the pool sees them.
func (e *explainer) queries(p *postgres, s catalog.Selection, after catalog.Position, limit int) map[string][]any {
	e.t.Helper()
	return e.seen(p, func(r reader) error { _, err := r.page(e.t.Context(), s, after, limit); return err })
}

// seen gives the statements that do makes.
func (e *explainer) seen(p *postgres, do func(reader) error) map[string][]any {
	e.t.Helper()
	seen := &recorder{queries: map[string][]any{}}
	config := p.pool.Config()
	config.ConnConfig.Tracer = seen
	traced := openPool(e.t, config)
	defer traced.Close()
	if err := do(reader{traced}); err != nil {
		e.t.Fatal(err)
	}
	if len(seen.queries) == 0 {
		e.t.Fatal("no statement was seen")
	}
	return seen.queries
}

func (e *explainer) plan(query string, args []any) string {
	e.t.Helper()
	conn := connect(e.t, e.url)
	defer conn.Close(context.Background())
	rows, err := conn.Query(e.t.Context(), "EXPLAIN "+query, append([]any{pgx.QueryExecModeExec}, args...)...)
	if err != nil {
		e.t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		e.t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// recorder keeps the statements on archive_metadata.
type recorder struct{ queries map[string][]any }

func (r *recorder) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if strings.Contains(data.SQL, "archive_metadata") {
		r.queries[data.SQL] = slices.Clone(data.Args)
	}
	return ctx
}

func (r *recorder) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func BenchmarkPage(b *testing.B) {
	r := freshPostgres(b)
	r.fill(200_000)
	for name, s := range map[string]catalog.Selection{
		"all":     {Prefix: "s3://archive/"},
		"few":     {Prefix: "file:///archive/"},
		"buckets": {Prefix: "s3://archive/", Buckets: []string{"bucket2", "bucket0"}},
	} {
		b.Run(name, func(b *testing.B) {
			n := 0
			for b.Loop() {
				n += len(r.all(b, s, 5000))
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "documents/s")
		})
	}
}

// BenchmarkRows reads the rows of a batch's keys, as every batch does.
func BenchmarkRows(b *testing.B) {
	for _, rows := range []int{20_000, 200_000} {
		b.Run(fmt.Sprint(rows), func(b *testing.B) {
			r := freshPostgres(b)
			r.fill(rows)
			docs := r.all(b, catalog.Selection{Prefix: "s3://archive/"}, 5000)
			keys := make([]drivers.Key, 256)
			n := 0
			for b.Loop() {
				for i := range keys {
					keys[i] = docs[(n+i)%len(docs)].Key
				}
				n += len(keys)
				found, err := r.Rows(b.Context(), keys)
				if err != nil || len(found) < len(keys) {
					b.Fatal(len(found), err)
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "documents/s")
		})
	}
}

func BenchmarkCommit(b *testing.B) {
	r := freshPostgres(b)
	r.fill(200_000)
	if err := r.Lock(b.Context(), false); err != nil {
		b.Fatal(err)
	}
	docs := r.all(b, catalog.Selection{Prefix: "s3://archive/"}, 5000)
	const batch = 256
	n := 0
	for b.Loop() {
		changes := make([]catalog.Change, batch)
		for i := range changes {
			d := &docs[(n+i)%len(docs)]
			changes[i] = catalog.Change{Document: *d, URI: d.URI + "'", Digest: d.Digest, Bytes: d.Bytes}
			d.URI += "'"
		}
		n += batch
		applied, err := r.Commit(b.Context(), changes)
		if err != nil || slices.Contains(applied, false) {
			b.Fatal(err, applied)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "documents/s")
}
