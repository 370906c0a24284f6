package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kedge/kedge/internal/testenv"
)

// shelve writes a registry's storage with so many blobs and as many layer links
// into a folder.
func shelve(t testing.TB, folder string, blobs int) {
	t.Helper()
	write := func(path, content string) {
		path = filepath.Join(folder, "docker/registry/v2", path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i := range blobs {
		content := strconv.Itoa(i)
		sum := sha256.Sum256([]byte(content))
		digest := hex.EncodeToString(sum[:])
		write("blobs/sha256/"+digest[:2]+"/"+digest+"/data", content)
		write(fmt.Sprintf("repositories/team-%02d/app/_layers/sha256/%s/link", i%37, digest), "sha256:"+digest)
	}
}

// countFiles counts the files below a folder.
func countFiles(t testing.TB, folder string) (n int) {
	t.Helper()
	err := filepath.WalkDir(folder, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestRegistryMemory compares a migration with one of ten times as many files.
// KEDGE_TEST_FILES=200000 makes it as large as an installation.
func TestRegistryMemory(t *testing.T) {
	testenv.Alone(t, "it compares peaks of memory")
	const most = 150 << 20
	files := 10000
	if n, err := strconv.Atoi(os.Getenv("KEDGE_TEST_FILES")); err == nil {
		files = n
	}
	minio := testenv.MinIO(t)
	var sources [2]string
	for i, n := range []int{files / 10, files} {
		sources[i] = filepath.Join(t.TempDir(), "source")
		shelve(t, sources[i], n/2)
	}
	for _, to := range []string{"filesystem", "s3"} {
		if wanted := os.Getenv("KEDGE_TEST_TO"); wanted != "" && wanted != to {
			continue
		}
		var peaks [2]int64
		for i, n := range []int{files / 10, files} {
			root := filepath.Join(t.TempDir(), "destination")
			storage := testenv.RegistryFilesystem(root)
			if to == "s3" {
				storage = testenv.RegistryS3(minio, minio.Bucket(t))
			}
			began := time.Now()
			from, dest := storageConfig(t, testenv.RegistryFilesystem(sources[i])), storageConfig(t, storage)
			peaks[i] = peakBytes(t, "migrate", "--nodelete", "--quiet", from, dest)
			t.Logf("-> %s: %d files in %s, peak %d MiB", to, n, time.Since(began).Round(time.Millisecond), peaks[i]>>20)
			if to == "filesystem" && countFiles(t, root) != n {
				t.Errorf("%d of %d files were moved", countFiles(t, root), n)
			}
			began = time.Now()
			kedge(t, "migrate", "--nodelete", from, dest).want(t, exitDone).tells(t, fmt.Sprintf("%d of them the destination held before", n), "written    0 B")
			t.Logf("-> %s: once more in %s", to, time.Since(began).Round(time.Millisecond))
		}
		if peaks[1] > most || peaks[1] > peaks[0]*3/2+(24<<20) {
			t.Errorf("-> %s: the peak grew from %d to %d MiB with ten times the files", to, peaks[0]>>20, peaks[1]>>20)
		}
	}
}

// Configurations of two kinds, and flags that are about the other kind, are
// refused before anything is opened.
func TestRegistryRefused(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	registry := storageConfig(t, testenv.RegistryFilesystem(root))
	same := storageConfig(t, testenv.RegistryFilesystem(root+"/"))
	inside := storageConfig(t, testenv.RegistryFilesystem(root+"/docker/registry/v2/new"))
	other := storageConfig(t, testenv.RegistryFilesystem(t.TempDir()))
	missing := storageConfig(t, testenv.RegistryFilesystem(root+"/missing"))
	anchore := localfsPlace(archiveRoot(t)).config(t, "sqlite:////nowhere.db", compression{})
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(root, link); err != nil {
		t.Fatal(err)
	}
	linked := storageConfig(t, testenv.RegistryFilesystem(link))
	linkedInside := storageConfig(t, testenv.RegistryFilesystem(link+"/docker/registry/v2/new"))
	azure := storageConfig(t, "  azure: {accountname: x}\n")
	unknown := storageConfig(t, "  s3: {bukket: x}\n")
	front := storageConfig(t, testenv.RegistryFilesystem(root), "middleware: {storage: [{name: cloudfront, options: {baseurl: x, privatekey: y, keypairid: z}}]}\n")
	for _, test := range []struct {
		args []string
		exit int
		want string
	}{
		{[]string{"migrate", registry, anchore}, exitRefused, "cannot be moved into each other"},
		{[]string{"migrate", anchore, registry}, exitRefused, "cannot be moved into each other"},
		{[]string{"migrate", registry, other}, exitRefused, "not confirmed: the source will be emptied"},
		{[]string{"migrate", "--dontask", registry, same}, exitRefused, "are the same place"},
		{[]string{"migrate", "--dontask", registry, linked}, exitRefused, "are the same place"},
		{[]string{"migrate", "--dontask", registry, inside}, exitRefused, "lies inside of the registry's storage"},
		{[]string{"migrate", "--dontask", registry, linkedInside}, exitRefused, "lies inside of the registry's storage"},
		{[]string{"migrate", "--dontask", missing, other}, exitFailed, "storage.filesystem.rootdirectory: open file://"},
		{[]string{"migrate", "--dontask", "--checkpoint", root + "/docker/registry/x", registry, other}, exitRefused, "choose another --checkpoint"},
		{[]string{"migrate", "--dontask", "--bucket", "x", registry, other}, exitFailed, "--bucket is about an Anchore installation"},
		{[]string{"migrate", "--dontask", "--repository", "x", anchore, anchore}, exitFailed, "--repository and --no-exclude-uploads are about a registry's storage"},
		{[]string{"migrate", "--dontask", "--repository", "x/../y", registry, other}, exitFailed, "no name of a repository"},
		{[]string{"migrate", "--dontask", "--repository", "x", registry, other}, exitFailed, "the source has no repository of that name"},
		{[]string{"migrate", "--dontask", azure, other}, exitFailed, "storage.azure: a registry's storage is moved from and to filesystem and s3"},
		{[]string{"migrate", "--dontask", unknown, other}, exitFailed, "storage.s3.bukket: unknown key, did you mean bucket?"},
		{[]string{"migrate", "--dontask", front, other}, exitFailed, "the middleware cloudfront works with the storage driver s3 only"},
		{[]string{"purge", "--dontask", registry, other}, exitFailed, "kedge migrate without --nodelete empties a registry's old storage"},
		{[]string{"verify", "--sample", "5", registry}, exitFailed, "--bucket and --sample are about an Anchore installation"},
	} {
		kedge(t, test.args...).want(t, test.exit).tells(t, test.want)
	}
	if files := filesBelow(t, root); len(files) > 0 {
		t.Errorf("files were made: %q", files)
	}
}

// One repository moves with all that it needs and nothing else; the source keeps
// the blobs, which others may need.
func TestRegistryOneRepository(t *testing.T) {
	t.Parallel()
	first, last := filepath.Join(t.TempDir(), "first"), filepath.Join(t.TempDir(), "last")
	storages := []string{testenv.RegistryFilesystem(first), testenv.RegistryFilesystem(last)}
	pushed := clientOf(t, testenv.NewRegistry(t, storages[0])).fill(11, 4, 2000)
	from, to := storageConfig(t, storages[0]), storageConfig(t, storages[1])
	names := []string{"team.a/app07", "team-a/deep/er/app01"}
	for _, name := range names {
		if pushed[name] == nil {
			t.Fatalf("there is no %s", name)
		}
	}
	args := []string{"--repository", names[0], "--repository", names[1], from, to}
	kedge(t, append([]string{"migrate", "--nodelete"}, args...)...).want(t, exitDone)
	only := shelf{names[0]: pushed[names[0]], names[1]: pushed[names[1]]}
	clientOf(t, testenv.NewRegistry(t, storages[1])).serves(only)
	for _, path := range filesBelow(t, last) {
		if rest, ok := strings.CutPrefix(path, "docker/registry/v2/repositories/"); ok && !strings.HasPrefix(rest, names[0]+"/") && !strings.HasPrefix(rest, names[1]+"/") {
			t.Errorf("moved too: %s", path)
		}
	}
	if all, some := countFiles(t, filepath.Join(first, "docker/registry/v2/blobs")), countFiles(t, filepath.Join(last, "docker/registry/v2/blobs")); some >= all/2 {
		t.Errorf("%d of %d blobs were moved", some, all)
	}
	kedge(t, "verify", "--orphans", to).want(t, exitDone)
	blobs := countFiles(t, filepath.Join(first, "docker/registry/v2/blobs"))
	kedge(t, append([]string{"migrate", "--dontask"}, args...)...).want(t, exitDone)
	for _, name := range names {
		if files := filesBelow(t, filepath.Join(first, "docker/registry/v2/repositories", name)); len(files) > 0 {
			t.Errorf("left at the source of %s: %q", name, files)
		}
		delete(pushed, name)
	}
	if now := countFiles(t, filepath.Join(first, "docker/registry/v2/blobs")); now != blobs {
		t.Errorf("the source has %d blobs, had %d", now, blobs)
	}
	clientOf(t, testenv.NewRegistry(t, storages[0])).serves(pushed)
	clientOf(t, testenv.NewRegistry(t, storages[1])).serves(only)
}

// Verify names what is amiss: a damaged blob, links that name nothing, links that
// are none, tags of no manifest; and lists orphans.
func TestRegistryVerify(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "root")
	pushed := clientOf(t, testenv.NewRegistry(t, testenv.RegistryFilesystem(root))).fill(3, 3, 2000)
	conf := storageConfig(t, testenv.RegistryFilesystem(root))
	// The manifest that was deleted is an orphan until garbage is collected.
	kedge(t, "verify", conf).want(t, exitDone).tells(t, "orphan ", "orphans              1 blobs")
	kedge(t, "verify", "--orphans", conf).want(t, exitDocuments).tells(t, "not all is well: 1 orphans")

	base := filepath.Join(root, "docker/registry/v2")
	write := func(path, content string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(base, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(base, path), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	nobody := strings.Repeat("ab", 32)
	write("blobs/sha256/ab/"+nobody+"/data", "not that")
	write("repositories/x/_layers/sha256/"+strings.Repeat("cd", 32)+"/link", "sha256:"+strings.Repeat("cd", 32))
	write("repositories/x/_manifests/tags/empty/current/link", "")
	_, latest, _ := strings.Cut(pushed["library/base"]["latest"], ":")
	write("repositories/x/_manifests/tags/foreign/current/link", "sha256:"+latest)
	write("repositories/x/_manifests/README", "hello")
	for _, output := range []string{"text", "json"} {
		o := kedge(t, "verify", "--output", output, conf).want(t, exitDocuments)
		o.tells(t, "wrong-digest", nobody, "dangling-link", strings.Repeat("cd", 32), "bad-link", "tags/empty/current/link", "which is no manifest of the repository")
		if failures := strings.Count(o.stdout, `"kind":"failure"`); output == "json" && failures != 4 {
			t.Errorf("%d failures are named, want 4:\n%s", failures, o.stdout)
		}
	}
	// A migration says the same of them, leaves them where they are, and moves
	// the rest.
	to := testenv.RegistryFilesystem(filepath.Join(t.TempDir(), "to"))
	kedge(t, "migrate", "--dontask", conf, storageConfig(t, to)).want(t, exitDocuments).tells(t, "wrong-digest", "bad-link", "dangling-link", "dangling   1 links", "1 others")
	clientOf(t, testenv.NewRegistry(t, to)).serves(pushed)
	clientOf(t, testenv.NewRegistry(t, testenv.RegistryFilesystem(root))).serves(pushed)
}

// A registry that is pushed to between runs: the next run brings what is new, and
// tags that were moved; without --nodelete the source is emptied.
func TestRegistryPushedToBetweenRuns(t *testing.T) {
	t.Parallel()
	minio := testenv.MinIO(t)
	first, to := filepath.Join(t.TempDir(), "first"), testenv.RegistryS3(minio, minio.Bucket(t), "rootdirectory: /")
	client := clientOf(t, testenv.NewRegistry(t, testenv.RegistryFilesystem(first)))
	pushed := client.fill(4, 3, 2000)
	from, dest := storageConfig(t, testenv.RegistryFilesystem(first)), storageConfig(t, to)
	kedge(t, "migrate", "--nodelete", from, dest).want(t, exitDone)
	config := client.blob("library/base", mediaConfig, []byte(`{"new":true}`))
	layer := client.blob("library/base", mediaLayer, []byte("a new layer"))
	pushed["library/base"]["latest"] = client.manifest("library/base", "latest", mediaManifest, config, layer).Digest
	pushed["library/base"]["new"] = client.manifest("library/base", "new", mediaDocker, config, layer).Digest
	kedge(t, "migrate", "--nodelete", from, dest).want(t, exitDone)
	clientOf(t, testenv.NewRegistry(t, to)).serves(pushed)
	kedge(t, "migrate", "--dontask", "--no-exclude-uploads", from, dest).want(t, exitDone)
	if files := filesBelow(t, first); len(files) > 0 {
		t.Errorf("left at the source: %q", files)
	}
	clientOf(t, testenv.NewRegistry(t, to)).serves(pushed)
	if !slices.ContainsFunc(keysIn(t, minio, bucketOf(to)), func(key string) bool { return strings.Contains(key, "/_uploads/") }) {
		t.Error("the upload was not moved")
	}
}

func bucketOf(storage string) string {
	_, rest, _ := strings.Cut(storage, "bucket: ")
	name, _, _ := strings.Cut(rest, "\n")
	return name
}

// The environment overrides a registry's configuration for kedge as it does for
// the registry itself.
func TestRegistryEnvironment(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	shelve(t, root, 3)
	conf := storageConfig(t, testenv.RegistryFilesystem("/nowhere"))
	setenv(t, "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", root)
	kedge(t, "verify", conf).want(t, exitDone).tells(t, "3 blobs")
	kedge(t, "check", conf).want(t, exitDone).tells(t, "put, listed, got and deleted", "Storage config check completed successfully")
	setenv(t, "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "relative")
	kedge(t, "check", conf).want(t, exitFailed).tells(t, "environment variable REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: storage.filesystem", "is relative")
}

// Check says what a storage lacks.
func TestRegistryCheck(t *testing.T) {
	t.Parallel()
	minio := testenv.MinIO(t)
	storage := testenv.RegistryS3(minio, minio.Bucket(t))
	kedge(t, "check", storageConfig(t, storage)).want(t, exitDone).tells(t, "put, listed, got and deleted")
	o := kedge(t, "check", "--output=json", storageConfig(t, strings.Replace(storage, minio.SecretKey, "wrong", 1))).want(t, exitFailed)
	o.tells(t, "secretkey")
	if strings.Contains(o.stdout+o.stderr, minio.SecretKey) {
		t.Error("the secret is shown")
	}
}

// A destination that is down for a while pauses the migration, which then goes on
// by itself.
func TestRegistryDestinationDownForAWhile(t *testing.T) {
	t.Parallel()
	minio := testenv.NewMinIO(t)
	first := filepath.Join(t.TempDir(), "first")
	shelve(t, first, 2000)
	bucket := minio.Bucket(t)
	cmd := started(t, "migrate", "--dontask", storageConfig(t, testenv.RegistryFilesystem(first)), storageConfig(t, testenv.RegistryS3(minio, bucket)))
	time.Sleep(time.Second)
	minio.Stop(t)
	time.Sleep(3 * time.Second)
	minio.Start(t)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, log(cmd))
	}
	if files := filesBelow(t, first); len(files) > 0 {
		t.Errorf("%d files are left at the source", len(files))
	}
	if keys := keysIn(t, minio, bucket); len(keys) != 4000 {
		t.Errorf("%d objects at the destination, want 4000", len(keys))
	}
}
