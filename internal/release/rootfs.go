package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// The user that a container runs as.
const (
	containerUser = 65532 // as other images without a distribution have it
	containerHome = "var/lib/kedge"
)

// rootfs makes the file system of a container: the program and the little that
// it needs around it. The certificate authorities are in the program.
func (r *release) rootfs(t target, binary []byte) error {
	archive, err := rootfsOf(binary, r.license, r.date)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("kedge-%s-%s.rootfs.tar.gz", r.version, t)
	return os.WriteFile(filepath.Join(r.out, name), archive, 0o644)
}

func rootfsOf(binary, license []byte, when time.Time) ([]byte, error) {
	files := []file{
		{"etc/group", 0o644, fmt.Appendf(nil, "root:x:0:\nkedge:x:%d:\n", containerUser)},
		{"etc/passwd", 0o644, fmt.Appendf(nil, "root:x:0:0::/:/sbin/nologin\nkedge:x:%d:%[1]d::/%s:/sbin/nologin\n", containerUser, containerHome)},
		{"usr/bin/kedge", 0o755, binary},
		{"usr/share/doc/kedge/copyright", 0o644, license},
	}
	return tarball("", files, when, ownedFolder{"tmp", 0o1777, 0}, ownedFolder{containerHome, 0o700, containerUser})
}
