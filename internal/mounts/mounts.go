// Package mounts judges places in the file tree: is what is written and synced below
// a path still there after a restart? It knows what the mounted file systems tell.
package mounts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Volatile says in one phrase why files below the path, made durable by fsync,
// may be gone after a restart: the kind of file system and where it is mounted. It
// is "" where nothing is known against the place, and on systems other than Linux.
// Of a path that is not there yet, the nearest parent that is there is judged.
// File systems mounted below the path count too.
func Volatile(path string) string {
	path, err := nearest(path)
	if err != nil {
		return "" // who opens it tells why
	}
	return volatile(path)
}

// nearest is the path with symbolic links resolved, or else that of the nearest
// parent that is there.
func nearest(path string) (string, error) {
	path, err := filepath.Abs(path)
	for err == nil {
		var real string
		if real, err = filepath.EvalSymlinks(path); !errors.Is(err, fs.ErrNotExist) || path == filepath.Dir(path) {
			return real, err
		}
		path, err = filepath.Dir(path), nil
	}
	return "", err
}

// mount is a line of /proc/self/mountinfo.
type mount struct {
	id string
	// root is the folder of the file system that is mounted, point where.
	root, point string
	// kind is the type with its subtype, as in fuse.rclone; source is what is
	// mounted, such as a device.
	kind, source string
}

// readMounts reads lines as proc_pid_mountinfo(5) describes them.
func readMounts(text string) (list []mount) {
	for line := range strings.Lines(text) {
		before, after, _ := strings.Cut(line, " - ")
		first, last := strings.Fields(before), strings.Fields(after)
		if len(first) < 5 || len(last) < 2 {
			continue
		}
		list = append(list, mount{
			id: first[0], root: unescape.Replace(first[3]), point: unescape.Replace(first[4]),
			kind: last[0], source: unescape.Replace(last[1]),
		})
	}
	return list
}

// unescape undoes what the kernel does to blanks in paths.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`, `\043`, "#")

const (
	inMemory  = "it is kept in memory, and gone after a restart"
	noPromise = "its fsync is not known to promise that a file is stored: a write-back cache may still hold it"
)

// memoryKinds are file systems that keep files in memory.
var memoryKinds = map[string]bool{"tmpfs": true, "ramfs": true, "rootfs": true, "devtmpfs": true, "hugetlbfs": true}

// layerKinds are file systems of layers, such as a container's own.
var layerKinds = map[string]bool{"overlay": true, "overlayfs": true, "aufs": true, "fuse.fuse-overlayfs": true}

// durableFuse are file systems in user space whose fsync is known to reach what
// is behind them. Others may answer from a write-back cache, as those of rclone,
// s3fs and JuiceFS do when they are told to, which nothing here can see.
var durableFuse = map[string]bool{
	"fuseblk":        true, // NTFS, exFAT, … on a block device
	"fuse.glusterfs": true,
	"fuse.ceph":      true, "fuse.ceph-fuse": true,
	"fuse.mfs": true, "fuse.moosefs": true, "fuse.lizardfs": true,
}

// weakness says why files on this mount may be gone after a restart.
func (m mount) weakness() string {
	switch fuse := m.kind == "fuse" || strings.HasPrefix(m.kind, "fuse"); {
	case memoryKinds[m.kind]:
		return inMemory
	case layerKinds[m.kind]:
		return "a layer such as a container's own goes with the container, or at a restart"
	case strings.Contains(m.root, "/kubernetes.io~empty-dir/"):
		return "it is an emptyDir of Kubernetes, which goes with the pod"
	case strings.HasPrefix(m.source, "/dev/ram"), strings.HasPrefix(m.source, "/dev/zram"):
		return inMemory
	case fuse && !durableFuse[m.kind] && !m.onImage():
		return noPromise
	}
	return ""
}

// onImage says whether a file system in user space lies in a file or on a device,
// as NTFS-3G does: it names itself no further then, and its fsync reaches that file.
func (m mount) onImage() bool {
	if m.kind != "fuse" || !filepath.IsAbs(m.source) {
		return false
	}
	info, err := os.Stat(m.source)
	return err == nil && !info.IsDir() && info.Mode()&os.ModeCharDevice == 0
}

// String names the mount for a message.
func (m mount) String() string { return fmt.Sprintf("%s, mounted at %s", m.kind, m.point) }

// judge says what is wrong with a path that lies on the mount of this id, or with
// what is mounted below it.
func judge(list []mount, id, path string) string {
	for _, m := range list {
		if m.id == id {
			if w := m.weakness(); w != "" {
				return fmt.Sprintf("%s lies on %s: %s", path, m, w)
			}
		}
	}
	below := strings.TrimSuffix(path, string(os.PathSeparator)) + string(os.PathSeparator)
	for _, m := range list {
		if w := m.weakness(); w != "" && path != "/" && strings.HasPrefix(m.point, below) {
			return fmt.Sprintf("%s has in it %s: %s", path, m, w)
		}
	}
	return ""
}
