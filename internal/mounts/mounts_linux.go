package mounts

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// magics are the kinds that statfs(2) tells of, for where /proc is not there.
var magics = map[uint32]string{
	unix.TMPFS_MAGIC: "tmpfs", unix.RAMFS_MAGIC: "ramfs", unix.OVERLAYFS_SUPER_MAGIC: "overlay", unix.FUSE_SUPER_MAGIC: "fuse",
}

// volatile is Volatile of a path that is there, without links in it.
func volatile(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return volatileByMagic(path)
	}
	defer f.Close()
	// The kernel knows better on which mount a file is than a comparison of paths:
	// one mount may hide another.
	info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", f.Fd()))
	if err != nil {
		return volatileByMagic(path)
	}
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return volatileByMagic(path)
	}
	for line := range strings.Lines(string(info)) {
		if name, id, _ := strings.Cut(line, ":"); name == "mnt_id" {
			return judge(readMounts(string(text)), strings.TrimSpace(id), path)
		}
	}
	return volatileByMagic(path)
}

// volatileByMagic judges by the kind alone.
func volatileByMagic(path string) string {
	var of unix.Statfs_t
	if err := unix.Statfs(path, &of); err != nil {
		return ""
	}
	m := mount{kind: magics[uint32(of.Type)], point: "a place that is not told"}
	if w := m.weakness(); w != "" {
		return fmt.Sprintf("%s lies on %s: %s", path, m, w)
	}
	return ""
}
