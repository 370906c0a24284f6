package main

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
)

// twins are documents whose places differ only in the case of their bucket, but
// for the last two, which differ in more.
func twins() []hostile {
	at := func(what, bucket, id string) hostile {
		return hostile{what: what, key: drivers.Key{UserID: "admin", Bucket: bucket, ArchiveID: id}}
	}
	return []hostile{
		at("first", "Data", "x"), at("second", "data", "x"),
		at("accented first", "\u00c4rger", "x"), at("accented second", "\u00e4rger", "x"),
		at("alone in Data", "Data", "a"), at("alone in data", "data", "b"),
	}
}

func md5Of(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

func sha256Of(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// placesOf says where each document is, after having read it there.
func placesOf(t *testing.T, url string, documents []hostile, places ...place) map[string]int {
	t.Helper()
	rows := catalogRows(t, url)
	at := make(map[string]int)
	for _, h := range documents {
		at[h.what] = checkHostile(t, rows, h, places...)
	}
	return at
}

// Two buckets whose names differ only in case, onto a folder that ignores it.
func TestDestinationIgnoresCase(t *testing.T) {
	t.Parallel()
	root := filepath.Join(testenv.IgnoringCase(t), "archive")
	url := emptyInstallation(t)
	seedHostile(t, url, twins())
	from, to := dbPlace(url), localfsPlace(root)
	a, b := from.config(t, url, compression{}), to.config(t, url, compression{})

	kedge(t, "migrate", "--dontask", a, b).want(t, 2).tells(t, "place-taken", `"admin/Data/x"`)
	check := func() {
		t.Helper()
		at := placesOf(t, url, twins(), from, to)
		for what, want := range map[string]int{"first": 1, "second": 0, "accented first": 1, "accented second": 0, "alone in Data": 1, "alone in data": 1} {
			if at[what] != want {
				t.Errorf("%s is in place %d, want %d", what, at[what], want)
			}
		}
	}
	check()
	// Again, and by the bucket's name, nothing changes.
	kedge(t, "migrate", "--dontask", a, b).want(t, 2).tells(t, "place-taken")
	kedge(t, "migrate", "--dontask", "--bucket=data", a, b).want(t, 2).tells(t, "place-taken")
	check()
	// What is there is no orphan, whatever the folder's spelling.
	if out := kedge(t, "verify", "--orphans", "--output=json", b).want(t, 2).stdout; !strings.Contains(out, `"orphans":0`) {
		t.Errorf("verify: %s", out)
	}
	if left, err := filepath.Glob(filepath.Join(root, "*", "*probe*")); err != nil || len(left) > 0 {
		t.Errorf("left of the probe: %q, %v", left, err)
	}
	if s := kedge(t, "check", b).want(t, 0).stdout; !strings.Contains(s, "differ only in case, or in the form of their letters, are one here") {
		t.Errorf("check does not tell: %s", s)
	}
}

// Documents that lie in the destination already, by another spelling of its own
// name, would be overwritten: nothing is begun.
func TestDestinationNamedInAnotherSpelling(t *testing.T) {
	t.Parallel()
	folder := testenv.IgnoringCase(t)
	url := emptyInstallation(t)
	seedHostile(t, url, twins())
	from, there, to := dbPlace(url), localfsPlace(filepath.Join(folder, "Archive")), localfsPlace(filepath.Join(folder, "archive"))
	a, b := from.config(t, url, compression{}), to.config(t, url, compression{})
	kedge(t, "migrate", "--dontask", "--bucket=data", a, there.config(t, url, compression{})).want(t, 2)
	for _, more := range []string{"--elsewhere=report", "--elsewhere=ignore", "--elsewhere=move"} {
		kedge(t, "migrate", "--dontask", more, a, b).want(t, 3).tells(t, "by another spelling, such as "+there.prefix)
	}
	placesOf(t, url, twins(), from, there)
}

// What is at the place of two documents is neither's to overwrite.
func TestDestinationHoldsSomethingElse(t *testing.T) {
	t.Parallel()
	root := filepath.Join(testenv.IgnoringCase(t), "archive")
	url := emptyInstallation(t)
	seedHostile(t, url, twins())
	path := filepath.Join(root, md5Of("admin"), "data", md5Of("x")[:2], md5Of("x")+".json")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, path, "something else")
	from, to := dbPlace(url), localfsPlace(root)
	kedge(t, "migrate", "--dontask", from.config(t, url, compression{}), to.config(t, url, compression{})).want(t, 2).tells(t, "place-taken", `something else is at its place`)
	if at := placesOf(t, url, twins(), from, to); at["first"] != 0 || at["second"] != 0 {
		t.Errorf("%v", at)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "something else" {
		t.Errorf("%q, %v", text, err)
	}
}

// The one that stays is the same when only its bucket is asked for first.
func TestDestinationIgnoresCaseByBucket(t *testing.T) {
	t.Parallel()
	url := emptyInstallation(t)
	seedHostile(t, url, twins())
	from, to := dbPlace(url), localfsPlace(filepath.Join(testenv.IgnoringCase(t), "archive"))
	a, b := from.config(t, url, compression{}), to.config(t, url, compression{})
	kedge(t, "migrate", "--dontask", "--bucket=data", a, b).want(t, 2).tells(t, "place-taken")
	kedge(t, "migrate", "--dontask", a, b).want(t, 2).tells(t, "place-taken")
	if at := placesOf(t, url, twins(), from, to); at["first"] != 1 || at["second"] != 0 {
		t.Errorf("the first is in place %d, the second in %d", at["first"], at["second"])
	}
}

// At the source two rows name one file: Anchore has overwritten the first, and
// where the bytes were the same nothing was lost yet, and must not be.
func TestSourceIgnoresCase(t *testing.T) {
	t.Parallel()
	for _, order := range []string{"all", "by bucket"} {
		t.Run(order, func(t *testing.T) {
			root := filepath.Join(testenv.IgnoringCase(t), "archive")
			url := emptyInstallation(t)
			docs := twins()
			seedHostile(t, url, docs)
			from, to := localfsPlace(root), dbPlace(url)
			// As Anchore has put them, one after the other, to the folder.
			for _, h := range docs {
				uri := from.prefix + md5Of(h.key.UserID) + "/" + h.key.Bucket + "/" + md5Of(h.key.ArchiveID)[:2] + "/" + md5Of(h.key.ArchiveID) + ".json"
				path := strings.TrimPrefix(uri, "file://")
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				payload := h.payload()
				if strings.HasPrefix(h.what, "accented") {
					payload = []byte("the same bytes")
				}
				if err := os.WriteFile(path, payload, 0o644); err != nil {
					t.Fatal(err)
				}
				execute(t, url, `UPDATE archive_metadata SET content_url = $1, digest = $2, size = $3 WHERE bucket = $4 AND "archiveId" = $5`,
					uri, md5Of(string(payload)), len(payload), h.key.Bucket, h.key.ArchiveID)
			}
			execute(t, url, `DELETE FROM archive_document`)
			a, b := from.config(t, url, compression{}), to.config(t, url, compression{})
			if order == "by bucket" {
				kedge(t, "migrate", "--dontask", "--bucket=\u00c4rger", a, b).want(t, 0)
			}
			kedge(t, "migrate", "--dontask", a, b).want(t, 2).tells(t, "wrong-digest", `"admin/Data/x"`)
			rows := catalogRows(t, url)
			for _, h := range docs {
				r := rows[h.key.UserID+"\x00"+h.key.Bucket+"\x00"+h.key.ArchiveID+"\x00"+h.name()]
				moved := strings.HasPrefix(*r.url, to.prefix)
				if moved == (h.what == "first") {
					t.Errorf("%s is at %s", h.what, *r.url)
				}
				if !moved {
					continue
				}
				sum := sha256Of(h.payload())
				if strings.HasPrefix(h.what, "accented") {
					sum = sha256Of([]byte("the same bytes"))
				}
				if err := checkStored(t.Context(), to.raw, r, sum); err != nil {
					t.Errorf("%s: %v", h.what, err)
				}
			}
			// Only the file that a row still names is left.
			if files := filesBelow(t, root); len(files) != 1 {
				t.Errorf("left at the source: %q", files)
			}
		})
	}
}

// A destination that lists names in another spelling than they were put cannot say
// whose place one is: such a registry is not moved there.
func TestRegistryDestinationLosesCase(t *testing.T) {
	t.Parallel()
	first, last := filepath.Join(t.TempDir(), "first"), filepath.Join(testenv.IgnoringCase(t), "registry")
	shelve(t, first, 4)
	a, b := storageConfig(t, testenv.RegistryFilesystem(first)), storageConfig(t, testenv.RegistryFilesystem(last))
	kedge(t, "migrate", "--nodelete", a, b).want(t, exitDone)
	for _, name := range []string{"V1", "v1"} {
		dir := filepath.Join(first, "docker/registry/v2/repositories/team-00/app/_manifests/tags", name, "current")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "link"), "sha256:"+sha256Of([]byte("0")))
	}
	kedge(t, "migrate", "--dontask", a, b).want(t, exitRefused).tells(t, "lists them in another spelling")
}

// A run that is killed again and again, each time a little later, ends as one that
// was not.
func TestDestinationIgnoresCaseKilled(t *testing.T) {
	t.Parallel()
	root, url := filepath.Join(testenv.IgnoringCase(t), "archive"), emptyInstallation(t)
	var docs []hostile
	for i := range 40 {
		for _, bucket := range []string{"Data", "data"} {
			id := "id-" + strconv.Itoa(i)
			docs = append(docs, hostile{what: bucket + "/" + id, key: drivers.Key{UserID: "admin", Bucket: bucket, ArchiveID: id}})
		}
	}
	seedHostile(t, url, docs)
	from, to := dbPlace(url), localfsPlace(root)
	args := []string{"migrate", "--dontask", "--wait", "--workers=1", from.config(t, url, compression{}), to.config(t, url, compression{})}
	for wait := 100 * time.Millisecond; wait < 600*time.Millisecond; wait += 100 * time.Millisecond {
		cmd := started(t, args...)
		time.Sleep(wait)
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
		placesOf(t, url, docs, from, to) // reads each where its row says
	}
	kedge(t, args...).want(t, exitDocuments).tells(t, "place-taken")
	for what, at := range placesOf(t, url, docs, from, to) {
		if want := map[bool]int{true: 1, false: 0}[strings.HasPrefix(what, "Data/")]; at != want {
			t.Errorf("%s is in place %d, want %d", what, at, want)
		}
	}
}
