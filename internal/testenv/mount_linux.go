package testenv

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kedge/kedge/internal/testenv/tools"
)

// volumeBytes is the size of a file system for tests; its image has holes.
const volumeBytes = 64 << 20

// IgnoringCase returns an empty folder on a file system of its own that takes names
// which differ only in case for one, as Windows' and macOS's do: NTFS, in user
// space. It is gone when the test ends. That needs root and /dev/fuse.
func IgnoringCase(tb testing.TB) string {
	tb.Helper()
	return mounted(tb, environmentOf(tb).mountNTFS)
}

// WriteBack returns an empty folder on a file system in user space, s3fs, which keeps
// files in a local cache before they reach a bucket of the shared MinIO. It is gone
// when the test ends. That needs root and /dev/fuse.
func WriteBack(tb testing.TB) string {
	tb.Helper()
	server := MinIO(tb)
	bucket := server.Bucket(tb)
	return mounted(tb, func() (string, func() error, error) { return environmentOf(tb).mountS3(server, bucket) })
}

// mounted gives what was mounted to a test.
func mounted(tb testing.TB, mount func() (dir string, unmount func() error, err error)) string {
	tb.Helper()
	dir, unmount, err := mount()
	if err != nil {
		tb.Fatalf("testenv: mount a file system: %v", err)
	}
	tb.Cleanup(func() {
		if err := unmount(); err != nil {
			tb.Errorf("testenv: unmount %s: %v", dir, err)
		}
	})
	return dir
}

func (e *environment) mountNTFS() (dir string, unmount func() error, err error) {
	mkfs, mount, err := tools.NTFS()
	if err != nil {
		return "", nil, err
	}
	folder, err := e.serverFolder("volume")
	if err != nil {
		return "", nil, err
	}
	image := filepath.Join(folder, "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		return "", nil, err
	}
	if err := os.Truncate(image, volumeBytes); err != nil {
		return "", nil, err
	}
	if out, err := exec.Command(mkfs, "--quick", "--force", "--quiet", image).CombinedOutput(); err != nil {
		return "", nil, fmt.Errorf("%s: %w: %s", mkfs, err, out)
	}
	dir = filepath.Join(folder, "volume")
	return e.mount(folder, dir, exec.Command(mount, "-o", "ignore_case,no_detach", image, dir))
}

func (e *environment) mountS3(server *S3Server, bucket string) (dir string, unmount func() error, err error) {
	folder, err := e.serverFolder("volume")
	if err != nil {
		return "", nil, err
	}
	dir = filepath.Join(folder, "volume")
	cmd := exec.Command("s3fs", bucket, dir, "-f", "-o", "use_path_request_style", "-o", "url="+server.URL)
	cmd.Env = append(os.Environ(), "AWSACCESSKEYID="+server.AccessKey, "AWSSECRETACCESSKEY="+server.SecretKey)
	return e.mount(folder, dir, cmd)
}

// mount makes dir, below folder, and runs the program that mounts it.
func (e *environment) mount(folder, dir string, cmd *exec.Cmd) (_ string, unmount func() error, err error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", nil, err
	}
	p, err := startProcess(cmd.Path, cmd, filepath.Join(folder, "mount.log"))
	if err != nil {
		return "", nil, err
	}
	unmount = func() error {
		err := unmountBelow(folder)
		p.stop(syscall.SIGTERM)
		return errors.Join(err, os.RemoveAll(folder))
	}
	err = awaitReady(p, func(context.Context) error {
		if mounted, err := mountsBelow(folder); err != nil || len(mounted) == 0 {
			return errors.Join(err, errors.New("not mounted yet"))
		}
		return nil
	})
	if err != nil {
		return "", nil, errors.Join(err, unmount())
	}
	e.atEnd(func() { _ = unmountBelow(folder) }) // of a test that ended without its cleanup
	return dir, unmount, nil
}

// mountsBelow lists what is mounted below a folder, the last one first.
func mountsBelow(folder string) (points []string, err error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// A blank in a path is written as \040: none of ours has one.
		if fields := strings.Fields(lines.Text()); len(fields) > 4 && strings.HasPrefix(fields[4], folder+"/") {
			points = append([]string{fields[4]}, points...)
		}
	}
	return points, lines.Err()
}

// unmountBelow unmounts everything below a folder, also what is in use, or whose
// process is gone.
func unmountBelow(folder string) error {
	points, err := mountsBelow(folder)
	for _, point := range points {
		err = errors.Join(err, unix.Unmount(point, unix.MNT_DETACH))
	}
	return err
}

// freeBytes is the room in a folder, 0 where that is not told.
func freeBytes(folder string) int64 {
	var of unix.Statfs_t
	if err := unix.Statfs(folder, &of); err != nil {
		return 0
	}
	return int64(of.Bavail) * of.Bsize
}
