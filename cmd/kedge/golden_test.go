package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/kedge/kedge/internal/testenv"
)

// goldenPlace is where a golden installation keeps its payloads.
func goldenPlace(g testenv.Golden, databaseURL string) place {
	switch g.Config.StorageDriver.Name {
	case "db":
		return dbPlace(databaseURL)
	case "db2":
		return db2Place(databaseURL)
	default:
		return localfsPlace(g.ArchiveDataDir)
	}
}

func goldenCompression(g testenv.Golden) compression {
	return compression{g.Config.Compression.Enabled, g.Config.Compression.MinSizeKilobytes}
}

// TestGoldenInstallationsMoveEverywhereAndBack moves each installation that a
// real Anchore Engine wrote to every kind of store, with and without
// compression, and back, and reads everything in the backend's own way.
func TestGoldenInstallationsMoveEverywhereAndBack(t *testing.T) {
	t.Parallel()
	var table []string
	for _, name := range testenv.GoldenNames() {
		for _, destination := range []string{"db", "db2", "localfs", "minio", "versitygw", "swift", "swift with Keystone"} {
			for _, c := range []compression{{false, 100}, {true, 10}} {
				t.Run(fmt.Sprintf("%s/%s/%s", name, destination, c), func(t *testing.T) {
					table = append(table, thereAndBack(t, name, destination, c))
				})
			}
		}
	}
	t.Logf("%-12s %-14s %-9s %6s %6s %6s\n%s", "golden", "destination", "rule", "moved", "kept", "back", strings.Join(table, "\n"))
}

func thereAndBack(t *testing.T, name, destination string, c compression) string {
	url, g := testenv.Postgres(t).Golden(t, name)
	from := goldenPlace(g, url)
	var to place
	switch destination {
	case "db":
		to = dbPlace(url)
	case "db2":
		to = db2Place(url)
	case "localfs":
		to = localfsPlace(filepath.Join(t.TempDir(), "archive"))
	case "minio":
		s := testenv.MinIO(t)
		to = s3Place(s, s.Bucket(t), "")
	case "swift":
		s := testenv.Swift(t)
		to = swiftPlace(s, s.Container(t), "some/prefix-")
	case "swift with Keystone":
		s := testenv.SwiftKeystone(t)
		to = swiftPlace(s, s.Container(t), "")
	case "versitygw":
		s := testenv.VersityGW(t)
		to = s3Place(s, s.Bucket(t), "some/prefix-")
	}
	there, back := from.config(t, url, goldenCompression(g)), to.config(t, url, c)
	if from.prefix == to.prefix {
		kedge(t, "migrate", "--dontask", there, back).want(t, exitRefused)
		return fmt.Sprintf("%-12s %-14s %-9s   the same place: refused", name, to.name, c)
	}

	refused := 0
	for _, d := range g.Documents {
		if d.Stored() && to.refuses != nil && to.refuses(d.ArchiveID) {
			refused++
		}
	}
	exit := exitDone
	if refused > 0 {
		exit = exitDocuments
	}
	before := catalogRows(t, url)
	kedge(t, "migrate", "--dontask", "--unreadable-keys=move", there, back).want(t, exit)
	moved := checkGolden(t, g, before, catalogRows(t, url), from, to, c)
	if refused == 0 {
		empty(t, from.raw)
	}
	kedge(t, "migrate", "--dontask", "--unreadable-keys=move", back, there).want(t, exitDone)
	returned := checkGolden(t, g, before, catalogRows(t, url), to, from, goldenCompression(g))
	empty(t, to.raw)
	return fmt.Sprintf("%-12s %-14s %-9s %6d %6d %6d", name, to.name, c, moved, refused, returned)
}

// checkGolden checks every row and payload after a migration, and says how many
// documents are at the destination.
func checkGolden(t *testing.T, g testenv.Golden, before, after map[string]row, from, to place, c compression) (atDestination int) {
	t.Helper()
	if len(after) != len(before) {
		t.Errorf("the catalog has %d rows, had %d", len(after), len(before))
	}
	var several errgroup.Group
	several.SetLimit(readers)
	for _, d := range g.Documents {
		if !d.Stored() {
			continue
		}
		r, ok := after[d.UserID+"\x00"+d.Bucket+"\x00"+d.ArchiveID+"\x00"+d.DocumentName]
		if !ok {
			t.Errorf("%q has no row any more", d.ArchiveID)
			continue
		}
		raw := to.raw
		if !strings.HasPrefix(*r.url, to.prefix) {
			if to.refuses == nil || !to.refuses(d.ArchiveID) {
				t.Errorf("%q is still at %s", d.ArchiveID, *r.url)
			}
			raw = from.raw
		} else {
			if to.refuses != nil && to.refuses(d.ArchiveID) {
				t.Errorf("%q is at %s, which cannot be", d.ArchiveID, *r.url)
			}
			atDestination++
			compressed := c.enabled && d.PlainBytes > c.minKB*1024 && to.driver != "db"
			if r.compressed == nil || *r.compressed != compressed {
				t.Errorf("%q: is_compressed is not %v", d.ArchiveID, compressed)
			}
		}
		several.Go(func() error {
			if err := checkStored(t.Context(), raw, r, d.SHA256); err != nil {
				t.Errorf("%q: %v", d.ArchiveID, err)
			}
			return nil
		})
		b := before[r.id()]
		if *r.created != *b.created || (r.metadata == nil) != (b.metadata == nil) {
			t.Errorf("%q: columns were changed that are not kedge's", d.ArchiveID)
		}
	}
	_ = several.Wait() // none returns an error
	return atDestination
}

// TestEveryPairOfDrivers moves a golden installation from each kind of store to
// each kind of store, a driver's own kind being another place where there can be
// one: the two drivers that use the database have only that one.
func TestEveryPairOfDrivers(t *testing.T) {
	t.Parallel()
	kinds := []string{"db", "db2", "localfs", "s3", "swift"}
	open := func(t *testing.T, kind, url string) place {
		switch kind {
		case "db":
			return dbPlace(url)
		case "db2":
			return db2Place(url)
		case "localfs":
			return localfsPlace(filepath.Join(t.TempDir(), "archive"))
		case "s3":
			s := testenv.MinIO(t)
			return s3Place(s, s.Bucket(t), "")
		default:
			s := testenv.Swift(t)
			return swiftPlace(s, s.Container(t), "")
		}
	}
	var table []string
	for _, a := range kinds {
		for _, b := range kinds {
			t.Run(a+" to "+b, func(t *testing.T) {
				url, g := testenv.Postgres(t).Golden(t, "localfs_on")
				origin, from, to := goldenPlace(g, url), open(t, a, url), open(t, b, url)
				c := compression{true, 20}
				start := origin.config(t, url, goldenCompression(g))
				source, destination := from.config(t, url, compression{}), to.config(t, url, c)
				// What the first store cannot hold stays in the golden one.
				kedge(t, "migrate", "--dontask", "--unreadable-keys=move", start, source)
				before := catalogRows(t, url)
				o := kedge(t, "migrate", "--dontask", "--unreadable-keys=move", "--elsewhere=ignore", source, destination)
				if a == b && from.prefix == to.prefix {
					o.want(t, exitRefused)
					table = append(table, fmt.Sprintf("%-8s -> %-8s the same place: refused", a, b))
					return
				}
				moved, kept := 0, 0
				after := catalogRows(t, url)
				for _, d := range g.Documents {
					r := after[d.UserID+"\x00"+d.Bucket+"\x00"+d.ArchiveID+"\x00"+d.DocumentName]
					raw := origin.raw
					switch {
					case strings.HasPrefix(*r.url, to.prefix):
						moved++
						raw = to.raw
					case strings.HasPrefix(*r.url, from.prefix):
						raw = from.raw
						fallthrough
					default:
						kept++
						if (to.refuses == nil || !to.refuses(d.ArchiveID)) && (from.refuses == nil || !from.refuses(d.ArchiveID)) {
							t.Errorf("%q is still at %s", d.ArchiveID, *r.url)
						}
					}
					if err := checkStored(t.Context(), raw, r, d.SHA256); err != nil {
						t.Errorf("%q: %v", d.ArchiveID, err)
					}
					if b := before[r.id()]; *r.created != *b.created {
						t.Errorf("%q: created_at was changed", d.ArchiveID)
					}
				}
				if want := exitDone; o.exit != want && (to.refuses == nil || o.exit != exitDocuments) {
					t.Errorf("exit status %d\n%s", o.exit, o.stdout)
				}
				if to.refuses == nil {
					empty(t, from.raw)
				}
				table = append(table, fmt.Sprintf("%-8s -> %-8s moved %d, kept %d", a, b, moved, kept))
			})
		}
	}
	t.Logf("every pair of drivers:\n%s", strings.Join(table, "\n"))
}

// Keys that Anchore splits with a URL parser are left where they are unless the
// operator says otherwise.
func TestKeysThatAnchoreCannotReadBackAreKept(t *testing.T) {
	t.Parallel()
	url, g := testenv.Postgres(t).Golden(t, "localfs_on")
	from, to := goldenPlace(g, url), db2Place(url)
	there, back := from.config(t, url, goldenCompression(g)), to.config(t, url, goldenCompression(g))
	o := kedge(t, "migrate", "--dontask", there, back).want(t, exitDocuments)
	kept := 0
	for _, r := range catalogRows(t, url) {
		unreadable := strings.ContainsAny(r.archiveID, "?#\t")
		if strings.HasPrefix(*r.url, from.prefix) != unreadable {
			t.Errorf("%q is at %s", r.archiveID, *r.url)
		}
		if unreadable {
			kept++
		}
	}
	if kept != 3 || !strings.Contains(o.stdout, "unreadable-key") {
		t.Errorf("%d documents kept, want 3, named:\n%s", kept, o.stdout)
	}
	files, err := from.raw.list(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, f := range files {
		if strings.HasSuffix(f, ".json") {
			count++
		}
	}
	if count != kept {
		t.Errorf("%d files are left at the source, want %d", count, kept)
	}
	kedge(t, "migrate", "--dontask", "--unreadable-keys=move", there, back).want(t, exitDone)
	empty(t, from.raw)
}
