package compare

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/kedge/kedge/internal/testenv"
)

// rig is what all scenarios share: the servers that are not testenv's shared
// ones, and the trees of documents. It belongs to one test.
type rig struct {
	tb       testing.TB
	options  Options
	postgres *testenv.PostgresServer
	minio2   *testenv.S3Server
	gateway  *testenv.S3Server
	trees    map[string]*tree
}

func newRig(tb testing.TB, o Options) *rig {
	return &rig{
		tb: tb, options: o, trees: make(map[string]*tree),
		postgres: testenv.NewPostgres(tb, testenv.PostgresOptions{OnDisk: true, Settings: o.settings()}),
	}
}

// secondMinIO is another server than testenv's shared one.
func (r *rig) secondMinIO() *testenv.S3Server {
	if r.minio2 == nil {
		r.minio2 = testenv.NewMinIO(r.tb)
	}
	return r.minio2
}

// versityGW keeps its connections. Without that it closes each one after one
// request, and what is measured is how fast connections are made.
func (r *rig) versityGW() *testenv.S3Server {
	if r.gateway == nil {
		r.gateway = testenv.NewVersityGW(r.tb, "VGW_KEEP_ALIVE=true")
	}
	return r.gateway
}

// tree gives a set's tree, which is planted once.
func (r *rig) tree(s set) *tree {
	t := r.trees[s.name]
	if t == nil {
		t = plant(r.tb, s)
		r.trees[s.name] = t
	}
	return t
}

// source makes a site that holds the tree's documents. Nothing may change it:
// for the tables, which every run has a copy of, that is the database's affair.
func (r *rig) source(tb testing.TB, name string, t *tree) *site {
	tb.Helper()
	switch name {
	case "localfs":
		return fileSite(t.root)
	case "db", "db2":
		return r.newSite(tb, name, "")
	}
	s := r.newSite(tb, name, "source")
	clients := 32
	if name == "swift" {
		clients = 8
	}
	cmd := exec.CommandContext(tb.Context(), r.options.Ceiling, "-list", t.list, "-dir", t.root, "-put", s.endpoint, "-clients", fmt.Sprint(clients))
	cmd.Env = append(os.Environ(), "CEILING_PUT="+s.authorisation)
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("fill %s: %v\n%s", name, err, out)
	}
	r.mustHold(tb, s, len(t.documents))
	return s
}

// mustHold fails the test unless so many documents are at the site.
func (r *rig) mustHold(tb testing.TB, s *site, want int) {
	tb.Helper()
	if s.count == nil {
		return
	}
	got, err := s.count(context.WithoutCancel(tb.Context()))
	if err != nil {
		tb.Fatal(err)
	}
	if got != want {
		tb.Fatalf("%d documents are at %s, want %d", got, s.prefix, want)
	}
}
