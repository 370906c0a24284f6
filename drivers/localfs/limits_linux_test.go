package localfs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kedge/kedge/drivers"
)

const insideVariable = "KEDGE_LOCALFS_INSIDE"

// inside runs the calling test once more, in a process of its own that is root
// of its own user and mount namespaces, and says whether this is that process.
func inside(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideVariable) == t.Name() {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), insideVariable+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSPC) {
		t.Skipf("this machine lets nobody have namespaces: %v", err)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

func mount(t *testing.T, what, dir, kind string, flags uintptr, data string) {
	t.Helper()
	if err := unix.Mount(what, dir, kind, flags, data); err != nil {
		t.Fatalf("mount %s: %v", kind, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// TestFullDisk fills a small file system.
func TestFullDisk(t *testing.T) {
	if !inside(t) {
		return
	}
	dir := t.TempDir()
	mount(t, "tmpfs", dir, "tmpfs", 0, "size=1m")
	s := openAt(t, dir)
	defer s.Close()
	kept := map[string]int64{}
	var full error
	for i := 0; full == nil && i < 100; i++ {
		uri, err := s.URI(drivers.Key{UserID: "admin", Bucket: "b", ArchiveID: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		if _, full = s.Put(t.Context(), uri, drivers.InMemory(make([]byte, 50_000), "")); full == nil {
			kept[uri] = 50_000
		}
	}
	if drivers.KindOf(full) != drivers.Full || !errors.Is(full, syscall.ENOSPC) {
		t.Errorf("on a full file system: %v", full)
	}
	listed := map[string]int64{}
	if err := s.List(t.Context(), func(uri string, info drivers.Info) error { listed[uri] = info.Bytes; return nil }); err != nil {
		t.Error(err)
	}
	if fmt.Sprint(listed) != fmt.Sprint(kept) || len(kept) < 5 {
		t.Errorf("listed %d, kept %d", len(listed), len(kept))
	}
	if left := leftovers(t, s); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}

// TestReadOnly checks that a store on a read-only file system can be read.
func TestReadOnly(t *testing.T) {
	if !inside(t) {
		return
	}
	dir := t.TempDir()
	mount(t, "tmpfs", dir, "tmpfs", 0, "size=1m")
	before := openAt(t, dir)
	uri, err := before.URI(drivers.Key{UserID: "admin", Bucket: "b", ArchiveID: "doc"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := before.Put(t.Context(), uri, drivers.InMemory([]byte("x"), "")); err != nil {
		t.Fatal(err)
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	s := openAt(t, dir)
	defer s.Close()
	if info, err := s.Stat(t.Context(), uri); err != nil || info.Bytes != 1 {
		t.Errorf("stat: %+v, %v", info, err)
	}
	if body, _, err := s.Get(t.Context(), uri); err != nil {
		t.Errorf("get: %v", err)
	} else {
		body.Close()
	}
	for what, err := range map[string]error{
		"delete":    s.Delete(t.Context(), uri),
		"overwrite": func() error { _, err := s.Put(t.Context(), uri, drivers.InMemory([]byte("y"), "")); return err }(),
		"put": func() error {
			_, err := s.Put(t.Context(), strings.Replace(uri, "/b/", "/c/", 1), drivers.InMemory([]byte("y"), ""))
			return err
		}(),
	} {
		if drivers.KindOf(err) != drivers.Denied || !errors.Is(err, syscall.EROFS) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestOtherFileSystem checks that files on a file system that is mounted inside
// the root are synced by themselves.
func TestOtherFileSystem(t *testing.T) {
	if !inside(t) {
		return
	}
	dir := t.TempDir()
	user := filepath.Join(dir, md5Hex("admin"))
	if err := os.Mkdir(user, 0o755); err != nil {
		t.Fatal(err)
	}
	mount(t, "tmpfs", user, "tmpfs", 0, "size=1m")
	s := openAt(t, dir)
	defer s.Close()
	for name, want := range map[string]int{"someone": 0, "admin": 1} {
		uri, err := s.URI(drivers.Key{UserID: name, Bucket: "b", ArchiveID: "doc"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Put(t.Context(), uri, drivers.InMemory([]byte("x"), "")); err != nil {
			t.Fatal(err)
		}
		if n := len(s.sync.paths); n != want {
			t.Errorf("%s: %d files to be synced by themselves, want %d", name, n, want)
		}
		if err := s.Sync(t.Context()); err != nil || len(s.sync.paths) != 0 {
			t.Errorf("sync: %v, %d files wait", err, len(s.sync.paths))
		}
		if err := s.Delete(t.Context(), uri); err != nil {
			t.Errorf("delete: %v", err) // the mount point stays
		}
	}
}

// TestDenied works on a directory of somebody else's.
func TestDenied(t *testing.T) {
	if os.Getenv(insideVariable) != t.Name() {
		dir := filepath.Join(os.TempDir(), fmt.Sprintf("kedge-denied-%d", os.Getpid()))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		if os.Geteuid() != 0 { // whoever is not root is refused by the mode alone
			if err := os.Chmod(dir, 0o555); err != nil {
				t.Fatal(err)
			}
			denied(t, dir)
			return
		}
		binary := filepath.Join(dir, md5Hex("admin"))
		if err := os.Link(os.Args[0], binary); err != nil {
			copyTo(t, os.Args[0], binary)
		}
		defer os.Remove(binary)
		archive := filepath.Join(dir, "archive")
		if err := os.Mkdir(archive, 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(binary, "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), insideVariable+"="+t.Name(), "KEDGE_LOCALFS_DIR="+archive)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	denied(t, os.Getenv("KEDGE_LOCALFS_DIR"))
}

func copyTo(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func denied(t *testing.T, dir string) {
	t.Helper()
	s := openAt(t, dir)
	defer s.Close()
	uri, err := s.URI(drivers.Key{UserID: "admin", Bucket: "b", ArchiveID: "doc"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Put(t.Context(), uri, drivers.InMemory([]byte("x"), ""))
	if drivers.KindOf(err) != drivers.Denied || !errors.Is(err, syscall.EACCES) {
		t.Errorf("put: %v", err)
	}
	if err := s.Delete(t.Context(), uri); err != nil {
		t.Errorf("delete of what is not there: %v", err)
	}
	if _, err := Open(t.Context(), Options{ArchiveDataDir: dir + "/below"}, true); drivers.KindOf(err) != drivers.Denied {
		t.Errorf("open of a directory that cannot be made: %v", err)
	}
}

// TestKilled kills a process in the middle of a Put and looks at what a next
// one makes of it.
func TestKilled(t *testing.T) {
	if os.Getenv(insideVariable) == t.Name() {
		s := openAt(t, os.Getenv("KEDGE_LOCALFS_DIR"))
		uri, err := s.URI(drivers.Key{UserID: "admin", Bucket: "b", ArchiveID: "doc"})
		if err != nil {
			t.Fatal(err)
		}
		delivered := make(chan struct{})
		go func() {
			<-delivered
			if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		}()
		_, err = s.Put(t.Context(), uri, stuck(make([]byte, 1<<20), delivered))
		t.Fatalf("survived: %v", err)
	}
	dir := t.TempDir()
	s := openAt(t, dir)
	defer s.Close()
	uri, err := s.URI(drivers.Key{UserID: "admin", Bucket: "b", ArchiveID: "doc"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), uri, drivers.InMemory([]byte("old"), "")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), insideVariable+"="+t.Name(), "KEDGE_LOCALFS_DIR="+dir)
	out, err := cmd.CombinedOutput()
	if status, ok := errors.AsType[*exec.ExitError](err); !ok || status.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("%v\n%s", err, out)
	}
	if left := leftovers(t, s); len(left) != 1 || !strings.HasSuffix(left[0], partialSuffix) {
		t.Errorf("left: %q", left)
	}
	if info, err := s.Stat(t.Context(), uri); err != nil || info.Bytes != 3 {
		t.Errorf("the old payload: %+v, %v", info, err)
	}
	next := openAt(t, dir)
	defer next.Close()
	if _, err := next.Put(t.Context(), uri, drivers.InMemory([]byte("newer"), "")); err != nil {
		t.Fatal(err)
	}
	if left := leftovers(t, next); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
	if info, err := next.Stat(t.Context(), uri); err != nil || info.Bytes != 5 {
		t.Errorf("the new payload: %+v, %v", info, err)
	}
}
