package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kedge/kedge/internal/testenv"
)

// inMemory is a folder on a file system in memory.
func inMemory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "kedge-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// A place that may not keep what it is given is refused before any source is
// deleted, told by check and plan, and used when the operator says so.
func TestVolatilePlacesAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, role, reason string
		// prepare makes the place volatile, and says which it is.
		prepare func(t *testing.T, url string) place
		server  func(t *testing.T) *testenv.PostgresServer
	}{
		{name: "unlogged table", role: "destination", reason: "table object_storage is UNLOGGED", prepare: func(t *testing.T, url string) place {
			execute(t, url, `ALTER TABLE object_storage SET UNLOGGED`)
			return db2Place(url)
		}},
		{name: "unlogged partition", role: "destination", reason: "table object_storage_1 is UNLOGGED", prepare: func(t *testing.T, url string) place {
			lay(t, url, testenv.Partitioned)
			execute(t, url, `ALTER TABLE object_storage_1 SET UNLOGGED`)
			return db2Place(url)
		}},
		{name: "unlogged child", role: "destination", reason: "table object_storage_2 is UNLOGGED", prepare: func(t *testing.T, url string) place {
			lay(t, url, testenv.Inherited)
			execute(t, url, `ALTER TABLE object_storage_2 SET UNLOGGED`)
			return db2Place(url)
		}},
		{name: "unlogged catalog", role: "catalog", reason: "table archive_metadata is UNLOGGED", prepare: func(t *testing.T, url string) place {
			execute(t, url, `ALTER TABLE archive_metadata SET UNLOGGED`)
			return localfsPlace(filepath.Join(t.TempDir(), "archive"))
		}},
		{name: "without fsync", role: "catalog", reason: "the server runs with fsync=off", server: serverWith(map[string]string{"fsync": "off"})},
		{name: "without full pages", role: "catalog", reason: "the server runs with full_page_writes=off", server: serverWith(map[string]string{"full_page_writes": "off"})},
		{name: "memory", role: "destination", reason: "lies on tmpfs, mounted at /dev/shm: it is kept in memory, and gone after a restart", prepare: func(t *testing.T, _ string) place {
			return localfsPlace(filepath.Join(inMemory(t), "not", "there"))
		}},
		{name: "write-back mount", role: "destination", reason: "lies on fuse.s3fs, mounted at", prepare: func(t *testing.T, _ string) place {
			return localfsPlace(filepath.Join(testenv.WriteBack(t), "archive"))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.server == nil {
				c.server = func(t *testing.T) *testenv.PostgresServer { return testenv.Postgres(t) }
			}
			url, _ := c.server(t).Golden(t, "db")
			to := localfsPlace(filepath.Join(t.TempDir(), "archive"))
			if c.prepare != nil {
				to = c.prepare(t, url)
			}
			source, destination := dbPlace(url).config(t, url, compression{}), to.config(t, url, compression{})
			before := dumpDatabase(t, url)

			refused := outcomeOf(t, careful(t, "migrate", "--dontask", source, destination)).want(t, exitRefused)
			for _, want := range []string{"the " + c.role + " ", "may not keep what it is given: ", c.reason, "--nodelete", "--allow-volatile"} {
				if !strings.Contains(refused.stderr, want) {
					t.Errorf("the refusal does not tell %q:\n%s", want, refused.stderr)
				}
			}
			outcomeOf(t, careful(t, "plan", source, destination)).want(t, exitDocuments).tells(t, "! volatile", "--allow-volatile")
			unchanged(t, before, dumpDatabase(t, url))
			if to.driver == "localfs" && c.role == "destination" && c.name != "memory" {
				return // s3fs cannot do all that the rest needs
			}
			kedge(t, "check", destination).want(t, exitDone).tells(t, "volatile", c.reason)

			// With the source kept nothing can be lost; the source is not purged either.
			args := []string{"--dontask", "--unreadable-keys=move", source, destination}
			kept := outcomeOf(t, careful(t, append([]string{"migrate", "--nodelete"}, args...)...)).want(t, exitDone)
			if !strings.Contains(kept.stderr, "a place may not keep what it is given") {
				t.Errorf("--nodelete tells nothing:\n%s", kept.stderr)
			}
			purge := []string{"purge", "--dontask", source, destination}
			refused = outcomeOf(t, careful(t, purge...)).want(t, exitRefused)
			if !strings.Contains(refused.stderr, c.reason) {
				t.Errorf("purge is refused without the reason:\n%s", refused.stderr)
			}
			outcomeOf(t, careful(t, append(purge, "--allow-volatile")...)).want(t, exitDone)
			empty(t, dbPlace(url).raw)
		})
	}
}

// Amazon Aurora writes no pages: what its full_page_writes says is no reason.
func TestAuroraIsNotAskedForFullPages(t *testing.T) {
	t.Parallel()
	url, _ := serverWith(map[string]string{"full_page_writes": "off"})(t).Golden(t, "db")
	to := localfsPlace(filepath.Join(t.TempDir(), "archive"))
	args := []string{"plan", "--unreadable-keys=move", dbPlace(url).config(t, url, compression{}), to.config(t, url, compression{})}
	outcomeOf(t, careful(t, args...)).want(t, exitDocuments).tells(t, "! volatile", "full_page_writes=off")
	execute(t, url, `CREATE FUNCTION aurora_version() RETURNS text LANGUAGE sql AS $$ SELECT '17.4.1' $$`)
	o := outcomeOf(t, careful(t, args...)).want(t, exitDone)
	if strings.Contains(o.stdout, "full_page_writes") {
		t.Errorf("the plan still asks for full pages:\n%s", o.stdout)
	}
}

// lay lays Anchore's tables out anew.
func lay(t *testing.T, url string, layout testenv.Layout) {
	t.Helper()
	conn := connect(t, url)
	defer conn.Close(t.Context())
	if err := layout.Lay(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
}

// serverWith starts a server with settings of its own.
func serverWith(settings map[string]string) func(t *testing.T) *testenv.PostgresServer {
	return func(t *testing.T) *testenv.PostgresServer {
		return testenv.NewPostgres(t, testenv.PostgresOptions{Settings: settings})
	}
}

// A database that is an SQLite file, and a checkpoint, are places as well.
func TestVolatileFiles(t *testing.T) {
	t.Parallel()
	dir := inMemory(t)
	o := kedge(t, "demo", "--directory", filepath.Join(dir, "demo")).want(t, exitDone) // nobody's documents
	if !strings.Contains(o.stderr, "the checkpoint may be gone after a restart") {
		t.Errorf("not a word of the checkpoint:\n%s", o.stderr)
	}
	source, destination := filepath.Join(dir, "demo", "dest-config.yaml"), filepath.Join(dir, "demo", "config.yaml")
	database := "--db-connect=sqlite:///" + filepath.Join(dir, "demo", "anchore.db")
	refused := outcomeOf(t, careful(t, "migrate", database, "--dontask", source, destination)).want(t, exitRefused)
	if !strings.Contains(refused.stderr, fmt.Sprintf("the catalog sqlite://%s may not keep what it is given: %s lies on tmpfs", filepath.Join(dir, "demo", "anchore.db"), filepath.Join(dir, "demo"))) {
		t.Errorf("the refusal:\n%s", refused.stderr)
	}
	kedge(t, "migrate", database, "--dontask", "--allow-volatile", source, destination).want(t, exitDone)
}

// A registry's storage in memory is refused likewise.
func TestVolatileRegistryIsRefused(t *testing.T) {
	t.Parallel()
	first, last := filepath.Join(t.TempDir(), "first"), filepath.Join(inMemory(t), "last")
	clientOf(t, testenv.NewRegistry(t, testenv.RegistryFilesystem(first))).fill(1, 1, 300)
	from, to := storageConfig(t, testenv.RegistryFilesystem(first)), storageConfig(t, testenv.RegistryFilesystem(last))
	before := len(filesBelow(t, first))
	refused := outcomeOf(t, careful(t, "migrate", "--dontask", from, to)).want(t, exitRefused)
	if !strings.Contains(refused.stderr, "lies on tmpfs, mounted at /dev/shm") {
		t.Errorf("the refusal:\n%s", refused.stderr)
	}
	if after := len(filesBelow(t, first)); after != before {
		t.Errorf("%d files at the source, %d before", after, before)
	}
	kedge(t, "check", to).want(t, exitDone).tells(t, "volatile", "lies on tmpfs")
	outcomeOf(t, careful(t, "migrate", "--nodelete", from, to)).want(t, exitDone)
	outcomeOf(t, careful(t, "migrate", "--dontask", from, to)).want(t, exitRefused)
	outcomeOf(t, careful(t, "migrate", "--dontask", "--allow-volatile", from, to)).want(t, exitDone)
}
