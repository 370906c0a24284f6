package torture

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jackc/pgx/v5"

	"github.com/kedge/kedge/internal/testenv"
)

// rig is what one round at a time works with: a database, S3 buckets and a
// folder.
type rig struct {
	database         string         // its URL
	layout           testenv.Layout // of its tables
	conn             *pgx.Conn
	folder           string
	minio, versitygw endpoint
	swift            *testenv.SwiftServer
	containers       map[bool]string // by whether it is for a destination
}

// newRigs makes so many rigs, which end with the test.
func newRigs(tb testing.TB, count int) []*rig {
	tb.Helper()
	minio, versitygw, swift := testenv.MinIO(tb), testenv.VersityGW(tb), testenv.Swift(tb)
	rigs := make([]*rig, count)
	for i := range rigs {
		url, _ := testenv.Postgres(tb).Golden(tb, "db")
		conn, err := pgx.Connect(tb.Context(), url)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _ = conn.Close(context.Background()) })
		shared := fmt.Sprintf("kedge-torture-%d-%d", time.Now().UnixNano(), i)
		rigs[i] = &rig{
			database: url, conn: conn, folder: tb.TempDir(),
			minio: newEndpoint(tb, minio, shared), versitygw: newEndpoint(tb, versitygw, shared),
			swift: swift, containers: map[bool]string{false: swift.Container(tb), true: swift.Container(tb)},
		}
	}
	return rigs
}

func newEndpoint(tb testing.TB, s *testenv.S3Server, shared string) endpoint {
	tb.Helper()
	if _, err := s.Client().CreateBucket(tb.Context(), &s3.CreateBucketInput{Bucket: &shared}); err != nil {
		tb.Fatal(err)
	}
	s.RemoveBucketAfter(tb, shared)
	return endpoint{server: s, source: s.Bucket(tb), destination: s.Bucket(tb), nested: s.Bucket(tb), shared: shared}
}

// reset empties everything that a round before has left, and makes the folder
// for configurations, checkpoints and logs anew.
func (r *rig) reset(ctx context.Context, places ...*place) error {
	if _, err := r.conn.Exec(ctx, `TRUNCATE archive_metadata, archive_document, object_storage, archive_migration_tasks, tasks`); err != nil {
		return err
	}
	wanted := testenv.Whole
	for _, p := range places {
		if p.layout != testenv.Whole {
			wanted = p.layout
		}
	}
	if wanted != r.layout {
		if err := wanted.Lay(ctx, r.conn); err != nil {
			return err
		}
		r.layout = wanted
	}
	for _, p := range places {
		if err := p.store.clear(ctx); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(r.state()); err != nil {
		return err
	}
	return os.MkdirAll(r.state(), 0o700)
}

func (r *rig) state() string { return filepath.Join(r.folder, "state") }
