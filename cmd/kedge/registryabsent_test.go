package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/kedge/kedge/internal/testenv"
)

// A source that holds no registry's storage is not a registry without images: the
// program says so, and what rootdirectory should be.
func TestRegistryAbsent(t *testing.T) {
	t.Parallel()
	minio := testenv.MinIO(t)
	bucket := minio.Bucket(t)
	folder := t.TempDir()
	storage := filepath.Join(folder, "a registry")
	shelve(t, storage, 3)
	kedge(t, "migrate", "--nodelete", storageConfig(t, testenv.RegistryFilesystem(storage)),
		storageConfig(t, testenv.RegistryS3(minio, bucket, "rootdirectory: /some/root"))).want(t, exitDone)
	empty, proper, other := t.TempDir(), t.TempDir(), t.TempDir()
	if err := os.MkdirAll(filepath.Join(proper, "docker/registry/v2"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(other, "file"), "x")
	to := storageConfig(t, testenv.RegistryFilesystem(t.TempDir()))
	for _, test := range []struct {
		name, storage, want string
		check               int
	}{
		{"nothing there", testenv.RegistryFilesystem(filepath.Join(folder, "missing")), "is the path right", exitFailed},
		{"empty", testenv.RegistryFilesystem(empty), "is empty", exitDone},
		{"something else", testenv.RegistryFilesystem(other), "holds no registry's storage", exitFailed},
		{"above it", testenv.RegistryFilesystem(folder), `one lies in the folder "a registry" below it`, exitFailed},
		{"docker", testenv.RegistryFilesystem(storage + "/docker"), "write it without /docker at its end", exitFailed},
		{"docker/registry", testenv.RegistryFilesystem(storage + "/docker/registry"), "write it without /docker/registry at its end", exitFailed},
		{"docker/registry/v2", testenv.RegistryFilesystem(storage + "/docker/registry/v2"), "write it without /docker/registry/v2 at its end", exitFailed},
		{"S3, nothing there", testenv.RegistryS3(minio, bucket, "rootdirectory: /missing"), "is empty", exitDone},
		{"S3, no rootdirectory", testenv.RegistryS3(minio, bucket), "holds no registry's storage", exitFailed},
		{"S3, above it", testenv.RegistryS3(minio, bucket, "rootdirectory: /some"), `one lies in the folder "root" below it`, exitFailed},
		{"S3, below it", testenv.RegistryS3(minio, bucket, "rootdirectory: /some/root/docker"), "write it without /docker at its end", exitFailed},
	} {
		t.Run(test.name, func(t *testing.T) {
			from := storageConfig(t, test.storage)
			kedge(t, "migrate", "--dontask", from, to).want(t, exitFailed).tells(t, test.want)
			kedge(t, "verify", from).want(t, exitFailed).tells(t, test.want)
			o := kedge(t, "check", from).want(t, test.check)
			if test.check == exitFailed {
				o.tells(t, test.want)
			} else {
				o.tells(t, "none: the place is empty")
			}
		})
	}
	from := storageConfig(t, testenv.RegistryFilesystem(proper))
	for _, args := range [][]string{{"check", from}, {"verify", from}, {"migrate", "--dontask", from, to}} {
		kedge(t, args...).want(t, exitDone)
	}
}
