package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/internal/testenv"
)

// smallDisk mounts a file system of that size, as "512k"; the test ends here
// where nobody may mount.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); errors.Is(err, unix.EPERM) {
		t.Skip("only root may mount a small file system")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// remount changes a mounted file system's size, and whether it can be written.
func remount(t *testing.T, dir string, flags uintptr, size string) {
	t.Helper()
	data := ""
	if size != "" {
		data = "size=" + size
	}
	// While a file is open for writing the system refuses to make it read-only.
	waitFor(t, func() bool {
		err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT|flags, data)
		if err != nil && !errors.Is(err, unix.EBUSY) {
			t.Fatal(err)
		}
		return err == nil
	})
}

// A destination that becomes full: what has no room stays at the source and is
// named, what was moved is whole; with more room the same command ends complete.
func TestAFullDestination(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		documents int
		size      string
		words     []string
	}{
		{"few documents stay", 300, "1m", []string{"put-failed", "no space left on device"}},
		// Room for some 4,000 files: more than can be in flight (a dozen batches of
		// 256), so that some are committed before the rest begins to fail.
		{"too many in a row", 6000, "16m", []string{"gave up", "no space left on device", "run the same command again"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := smallDisk(t, c.size)
			s := seedDB(t, bench.Workload{Documents: c.documents, MedianBytes: 2 << 10, Seed: 83})
			from, to := dbPlace(s.url), localfsPlace(filepath.Join(disk, "archive"))
			args := []string{"migrate", "--dontask", "--allow-volatile", from.config(t, s.url, compression{}), to.config(t, s.url, compression{})}
			ends(t, started(t, args...)).want(t, exitDocuments).says(t, c.words...)
			counts := s.check(t, from, to)
			if counts[0] == 0 || counts[1] == 0 {
				t.Fatalf("%v documents at source and destination: neither may be none", counts)
			}
			left, err := from.raw.list(t.Context())
			if err != nil || len(left) < counts[0] { // where it gave up, batches were in flight
				t.Errorf("%d payloads at the source (%v), the catalog names %d there", len(left), err, counts[0])
			}
			if tasks := migrations(t, s.url); tasks[0].State != "failed" {
				t.Errorf("list-migrations: %+v", tasks)
			}
			remount(t, disk, 0, "200m")
			kedge(t, args...).want(t, exitDone)
			if counts := s.check(t, from, to); counts[1] != c.documents {
				t.Errorf("%d documents at the destination", counts[1])
			}
			empty(t, from.raw)
			tasks := migrations(t, s.url)
			if last := tasks[len(tasks)-1]; last.State != "complete" || last.MigratedCount != last.Total {
				t.Errorf("list-migrations: %+v", tasks)
			}
			noPartialFiles(t, to)
		})
	}
}

// noPartialFiles fails the test if anything but documents is in an archive of
// driver localfs.
func noPartialFiles(t *testing.T, p place) {
	t.Helper()
	list, err := p.raw.list(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, uri := range list {
		if filepath.Base(uri)[0] == '.' {
			t.Errorf("%s is left", uri)
		}
	}
}

// The disk of the checkpoint, or that of the journal, becomes full in the middle
// of a run: it stops, since nothing may be done that cannot be recorded.
func TestAFullDiskOfTheCheckpoint(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, says string }{
		{"checkpoint", "write checkpoint"}, {"journal", "write journal"}, {"both", "no space left on device"},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk, roomy := smallDisk(t, "256k"), t.TempDir()
			checkpoint := filepath.Join(disk, "k.checkpoint")
			switch c.name {
			case "checkpoint": // the journal, which grows faster, has room elsewhere
				link(t, filepath.Join(roomy, "journal"), checkpoint+".journal")
			case "journal":
				checkpoint = filepath.Join(roomy, "k.checkpoint")
				link(t, filepath.Join(disk, "journal"), checkpoint+".journal")
			}
			s := seedDB(t, bench.Workload{Documents: 8000, MedianBytes: 512, Seed: 84})
			from, to := dbPlace(s.url), localfsPlace(archiveRoot(t))
			args := []string{"migrate", "--dontask", "--allow-volatile", "--checkpoint", checkpoint, from.config(t, s.url, compression{}), to.config(t, s.url, compression{})}
			ends(t, started(t, args...)).want(t, exitDocuments).says(t, c.says, "no space left on device", "run the same command again")
			if counts := s.check(t, from, to); counts[0] == 0 {
				t.Fatal("it did not fill the disk: make the disk smaller")
			}
			if tasks := migrations(t, s.url); len(tasks) != 1 || tasks[0].State == "complete" {
				t.Errorf("list-migrations: %+v", tasks)
			}
			// Still full: it neither goes on nor forgets.
			o := ends(t, started(t, args...)).says(t, "no space left on device")
			if o.exit != exitFailed && o.exit != exitDocuments { // could not begin, or could not go on
				t.Errorf("exit status %d", o.exit)
			}
			s.check(t, from, to)
			remount(t, disk, 0, "100m")
			s.finishes(t, from, to, args...)
			// One record at least for each document.
			o = kedge(t, "journal", checkpoint+".journal").want(t, exitDone)
			for n := range s.workload.Documents {
				if id := s.workload.Key(n).ArchiveID; n%97 == 0 {
					o.says(t, id)
				}
			}
		})
	}
}

// The disk of the record of copies becomes full: a copy stops, says once why, and goes on
// when there is room.
func TestAFullDiskOfTheRecord(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 4000, MedianBytes: 512, Seed: 86})
	disk := smallDisk(t, "256k")
	record := filepath.Join(disk, "k.checkpoint.copies")
	from, to := dbPlace(s.url), localfsPlace(archiveRoot(t))
	args := []string{"copy", "--checkpoint", filepath.Join(t.TempDir(), "k.checkpoint"), from.config(t, s.url, compression{}), to.config(t, s.url, compression{})}
	link(t, record, args[2]+".copies")
	o := ends(t, started(t, args...)).want(t, exitDocuments).says(t, "no space left on device")
	for line := range strings.Lines(o.stderr) {
		if strings.Count(line, "write record of copies") > 1 || strings.Count(line, "no space left on device") > 1 {
			t.Errorf("said twice: %s", line)
		}
	}
	if n := strings.Count(o.stderr, "kedge: write record of copies"); n != 1 {
		t.Errorf("said %d times:\n%s", n, o.stderr)
	}
	remount(t, disk, 0, "100m")
	kedge(t, args...).want(t, exitDone)
}

// An audit needs room beside its checkpoint to look for orphans.
func TestAFullDiskOfAnAudit(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 8000, MedianBytes: 512, Seed: 85})
	disk := smallDisk(t, "256k")
	args := []string{"verify", "--orphans", "--checkpoint", filepath.Join(disk, "k.checkpoint"), dbPlace(s.url).config(t, s.url, compression{})}
	ends(t, started(t, args...)).want(t, exitFailed).says(t, "no space left on device", "run the same command again")
	remount(t, disk, 0, "100m")
	kedge(t, args...).want(t, exitDone).says(t, "8000 documents")
	left, err := os.ReadDir(disk)
	if err != nil || len(left) > 0 {
		t.Errorf("left on the disk: %v (%v)", left, err)
	}
}

func link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}

// A destination that cannot be written is found out before anything is begun.
func TestAReadOnlyDestination(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 200, Seed: 86})
	db := dbPlace(s.url)
	refuses := func(t *testing.T, to place, words ...string) {
		t.Helper()
		o := ends(t, started(t, "migrate", "--dontask", "--allow-volatile", db.config(t, s.url, compression{}), to.config(t, s.url, compression{})))
		o.want(t, exitFailed).says(t, words...)
		if counts := s.check(t, db); counts[0] != 200 {
			t.Errorf("%d documents at the source", counts[0])
		}
		if tasks := migrations(t, s.url); len(tasks) > 0 {
			t.Errorf("a migration that never began is listed: %+v", tasks)
		}
	}
	t.Run("s3", func(t *testing.T) {
		minio := testenv.MinIO(t)
		refuses(t, limitedPlace(t, minio, minio.Bucket(t), "s3:PutObject"), "the destination cannot be written")
	})
	t.Run("localfs", func(t *testing.T) {
		disk := smallDisk(t, "100m")
		to := localfsPlace(filepath.Join(disk, "archive"))
		remount(t, disk, unix.MS_RDONLY, "")
		refuses(t, to, "read-only")
		remount(t, disk, 0, "")
		if err := os.Mkdir(filepath.Join(disk, "archive"), 0o755); err != nil {
			t.Fatal(err)
		}
		remount(t, disk, unix.MS_RDONLY, "")
		refuses(t, to, "the destination cannot be written", "read-only")
		remount(t, disk, 0, "")
		s.finishes(t, db, to, "migrate", "--dontask", "--allow-volatile", db.config(t, s.url, compression{}), to.config(t, s.url, compression{}))
	})
}

// A file system turns read-only in the middle of a run, as Linux makes one whose
// disk fails: at the destination nothing more is moved, at the source nothing
// more is deleted.
func TestAFileSystemThatTurnsReadOnly(t *testing.T) {
	t.Parallel()
	t.Run("destination", func(t *testing.T) {
		disk := smallDisk(t, "400m")
		s := seedDB(t, bench.Workload{Documents: 8000, MedianBytes: 1 << 10, Seed: 87})
		from, to := dbPlace(s.url), localfsPlace(filepath.Join(disk, "archive"))
		args := []string{"migrate", "--dontask", "--allow-volatile", from.config(t, s.url, compression{}), to.config(t, s.url, compression{})}
		cmd := startedSlow(t, args...)
		someMoved(t, s.url, to.prefix)
		remount(t, disk, unix.MS_RDONLY, "")
		ends(t, cmd).want(t, exitDocuments).says(t, "read-only", "run the same command again")
		if counts := s.check(t, from, to); counts[0] == 0 {
			t.Fatal("it was done before: make the migration larger")
		}
		remount(t, disk, 0, "")
		s.finishes(t, from, to, args...)
		noPartialFiles(t, to)
	})
	t.Run("source", func(t *testing.T) {
		disk := smallDisk(t, "400m")
		s := seedDB(t, bench.Workload{Documents: 8000, MedianBytes: 1 << 10, Seed: 88})
		db, from := dbPlace(s.url), localfsPlace(filepath.Join(disk, "archive"))
		kedge(t, "migrate", "--dontask", "--allow-volatile", db.config(t, s.url, compression{}), from.config(t, s.url, compression{})).want(t, exitDone)
		execute(t, s.url, `TRUNCATE archive_migration_tasks, tasks`)
		to := db2Place(s.url)
		args := []string{"migrate", "--dontask", "--allow-volatile", from.config(t, s.url, compression{}), to.config(t, s.url, compression{})}
		cmd := startedSlow(t, args...)
		someMoved(t, s.url, to.prefix)
		remount(t, disk, unix.MS_RDONLY, "")
		ends(t, cmd).want(t, exitDocuments).says(t, "read-only", "source could not be deleted")
		s.check(t, from, to)
		remount(t, disk, 0, "")
		s.finishes(t, from, to, args...)
	})
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}
