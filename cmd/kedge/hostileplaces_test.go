package main

import (
	"crypto/md5"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/kedge/kedge/bench"
)

// hostilePlace is a row whose content_url is meant to do harm.
type hostilePlace struct {
	what string
	// url is made of the source's prefix and of a folder that kedge must not
	// touch; it may plant links there.
	url func(t *testing.T, p place, secrets string) string
}

// layout is where driver localfs keeps a document below a root.
func layout(user, bucket, id string) string {
	sum := func(s string) string { m := md5.Sum([]byte(s)); return hex.EncodeToString(m[:]) }
	return sum(user) + "/" + bucket + "/" + sum(id)[:2] + "/" + sum(id) + ".json"
}

// plant makes a link inside of an archive of driver localfs.
func plant(t *testing.T, name, target string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	link(t, target, name)
}

// secretDocument puts a file of the layout's form below a folder that is no
// archive of this installation.
func secretDocument(t *testing.T, folder, path string) {
	t.Helper()
	path = filepath.Join(folder, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, path, secret)
}

// secret is what must not get anywhere.
const secret = "a secret that nobody may move, read or delete"

// hostileFiles are rows and links by which a file beside the archive's root
// might be reached. The row's key is admin/b and what.
func hostileFiles() []hostilePlace {
	own := func(what string) string { return layout("admin", "b", what) }
	return []hostilePlace{
		{"`..` below the root", func(t *testing.T, p place, secrets string) string {
			secretDocument(t, secrets, own("`..` below the root"))
			return p.prefix + "../canary/" + own("`..` below the root")
		}},
		{"`..` instead of the bucket", func(_ *testing.T, p place, _ string) string {
			return p.prefix + strings.Replace(own("`..` instead of the bucket"), "/b/", "/../", 1)
		}},
		{"a file not of the archive's form", func(_ *testing.T, p place, _ string) string { return p.prefix + "../canary/secret.json" }},
		{"an absolute path elsewhere", func(*testing.T, place, string) string { return "file:///etc/passwd" }},
		{"another root", func(t *testing.T, _ place, secrets string) string {
			secretDocument(t, secrets, own("another root"))
			return "file://" + secrets + "/" + own("another root")
		}},
		{"a newline in the path", func(_ *testing.T, p place, _ string) string { return p.prefix + own("a newline in the path") + "\n" }},
		{"a path of 4 KB", func(_ *testing.T, p place, _ string) string {
			return p.prefix + strings.Repeat("0123456789abcde/", 256) + own("a path of 4 KB")
		}},
		{"nothing but the root", func(_ *testing.T, p place, _ string) string { return p.prefix }},
		{"payload is a link out of the root", func(t *testing.T, p place, secrets string) string {
			path := own("payload is a link out of the root")
			secretDocument(t, secrets, path)
			plant(t, filepath.Join(p.raw.(fileStore).root, path), filepath.Join(secrets, path))
			return p.prefix + path
		}},
		{"payload is a relative link out of the root", func(t *testing.T, p place, secrets string) string {
			path := own("payload is a relative link out of the root")
			secretDocument(t, secrets, path)
			plant(t, filepath.Join(p.raw.(fileStore).root, path), "../../../../canary/"+path)
			return p.prefix + path
		}},
		{"folder is a link out of the root", func(t *testing.T, p place, secrets string) string {
			path := layout("linked", "b", "folder is a link out of the root")
			secretDocument(t, secrets, path)
			user, _, _ := strings.Cut(path, "/")
			plant(t, filepath.Join(p.raw.(fileStore).root, user), filepath.Join(secrets, user))
			return p.prefix + path
		}},
		{"a root below the root that is a link", func(t *testing.T, p place, secrets string) string {
			path := own("a root below the root that is a link")
			secretDocument(t, secrets, path)
			// Its name is one that the archive's root may hold.
			plant(t, filepath.Join(p.raw.(fileStore).root, strings.Repeat("a", 32)), secrets)
			return p.prefix + strings.Repeat("a", 32) + "/" + path
		}},
		{"payload is a folder", func(t *testing.T, p place, _ string) string {
			path := own("payload is a folder")
			if err := os.MkdirAll(filepath.Join(p.raw.(fileStore).root, path, "below"), 0o755); err != nil {
				t.Fatal(err)
			}
			return p.prefix + path
		}},
		{"payload is a link to itself", func(t *testing.T, p place, _ string) string {
			path := own("payload is a link to itself")
			plant(t, filepath.Join(p.raw.(fileStore).root, path), filepath.Base(path))
			return p.prefix + path
		}},
		{"payload is a named pipe", func(t *testing.T, p place, _ string) string {
			path := filepath.Join(p.raw.(fileStore).root, own("payload is a named pipe"))
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Mkfifo(path, 0o644); err != nil {
				t.Fatal(err)
			}
			return p.prefix + own("payload is a named pipe")
		}},
	}
}

// Rows and links that lead out of an archive of driver localfs lead nowhere:
// not when it is migrated from, with whatever flags, nor in an audit or a purge.
func TestHostilePlacesInFiles(t *testing.T) {
	t.Parallel()
	root, secrets := canaryWith(t)
	s := seedDB(t, bench.Workload{Documents: 20, Seed: 91})
	db, from := dbPlace(s.url), localfsPlace(root)
	source, destination := from.config(t, s.url, compression{}), db.config(t, s.url, compression{})
	kedge(t, "migrate", "--dontask", destination, source).want(t, exitDone)
	places := hostileFiles()
	for _, h := range places {
		// The digest is that of the secret: it must not get as far as comparing.
		sum := md5.Sum([]byte(secret))
		user := "admin"
		if h.what == "folder is a link out of the root" {
			user = "linked"
		}
		execute(t, s.url, `INSERT INTO archive_metadata (bucket, "archiveId", "userId", "documentName", content_url, is_compressed, digest, size) VALUES ('b', $1, $2, $3, $4, false, $5, $6)`,
			h.what, user, h.what+".json", h.url(t, from, secrets), hex.EncodeToString(sum[:]), len(secret))
	}
	before := catalogRows(t, s.url)
	above := filepath.Dir(root)
	untouched := snapshot(t, above, root)
	table := documented(t, "place")

	o := kedge(t, "verify", "--output=json", source).want(t, exitDocuments)
	audited, _, _ := failedIDs(t, o.stdout)
	kedge(t, "verify", "--orphans", source)
	checkpoint := filepath.Join(t.TempDir(), "k.checkpoint")
	args := []string{"migrate", "--dontask", "--checkpoint", checkpoint, "--unreadable-keys=move", "--verify=readback", source, destination}
	kedge(t, args...).want(t, exitDocuments)
	kedge(t, args...).want(t, exitDocuments)
	classes := classesOf(t, checkpoint)
	rows := catalogRows(t, s.url)
	for _, h := range places {
		for id, r := range rows {
			if r.archiveID != h.what {
				continue
			}
			if *r.url != *before[id].url {
				t.Errorf("%s: it was moved to %s", h.what, *r.url)
			}
			got, said := classes[id], audited[h.what]
			if got == "" {
				got = "elsewhere"
			}
			if said == "" {
				said = "read"
			}
			if want := table[h.what]; got != want["migrate"] || said != want["verify"] {
				t.Errorf("%s: migrate %s, verify %s; docs/safety.md says %q and %q", h.what, got, said, want["migrate"], want["verify"])
			}
		}
	}
	execute(t, s.url, `DELETE FROM archive_metadata WHERE "archiveId" = 'another root'`)
	o = kedge(t, "migrate", "--dontask", "--elsewhere=move", source, destination).want(t, exitDocuments)
	kedge(t, "purge", "--dontask", source, destination)
	if after := snapshot(t, above, root); after != untouched {
		t.Errorf("beside the archive's root something has changed:\n%s\nwas:\n%s", after, untouched)
	}
	if n := execute(t, s.url, `SELECT FROM archive_document WHERE jsondata LIKE '%secret%'`); n > 0 {
		t.Errorf("%d secrets were moved", n)
	}
	execute(t, s.url, `DELETE FROM archive_metadata WHERE bucket = 'b'`)
	s.check(t, db)
}

// canaryWith is canary without its own look at the end: a test plants more.
func canaryWith(t *testing.T) (root, secrets string) {
	t.Helper()
	above := t.TempDir()
	root, secrets = filepath.Join(above, "archive"), filepath.Join(above, "canary")
	if err := os.Mkdir(secrets, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(secrets, "secret.json"), secret)
	return root, secrets
}

// A destination in whose tree somebody has planted links: nothing is written
// through them, and where they stand for folders nothing is begun.
func TestLinksInTheDestination(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 40, Seed: 92})
	root, secrets := canary(t)
	from, to := dbPlace(s.url), localfsPlace(root)
	planted := make(map[string]bool)
	for n := range 8 {
		k := s.workload.Key(n)
		path := layout(k.UserID, k.Bucket, k.ArchiveID)
		name := filepath.Join(root, path)
		switch n % 4 {
		case 0: // the payload's place: replaced by the payload
			plant(t, name, filepath.Join(secrets, "secret.json"))
		case 1: // the temporary file's place: replaced as well
			plant(t, filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+".kedge-part"), filepath.Join(secrets, "secret"))
		case 2: // the folder
			if _, err := os.Lstat(filepath.Dir(name)); err == nil {
				continue
			}
			plant(t, filepath.Dir(name), filepath.Join(secrets, "b", "00"))
			planted[filepath.Dir(name)] = true
		case 3: // and one that leads to another one of the archive
			if _, err := os.Lstat(filepath.Dir(name)); err == nil {
				continue
			}
			plant(t, filepath.Dir(name), "..")
			planted[filepath.Dir(name)] = true
		}
	}
	if len(planted) == 0 {
		t.Fatal("no folder is a link: take another seed")
	}
	args := []string{"migrate", "--dontask", from.config(t, s.url, compression{}), to.config(t, s.url, compression{})}
	o := kedge(t, args...).want(t, exitFailed).says(t, "symbolic link", "put a directory in its place")
	if counts := s.check(t, from, to); counts[1] != 0 {
		t.Errorf("%v documents at source and destination", counts)
	}
	for name := range planted {
		o.says(t, strings.TrimPrefix(name, root+"/"))
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	kedge(t, args...).want(t, exitDone)
	s.check(t, to)
	empty(t, from.raw)
}
