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

// aliases are the names of Anchore's own programs. Called by one of them kedge takes
// that program's command lines.
var aliases = []string{"anchore-enterprise-manager", "anchore-manager"}

// enterpriseBash is what the bash of Anchore Enterprise's migration Job reads first,
// see contrib/helm/enterprise-values.yaml. The Job's script ends with an echo: without
// -e the Job succeeds whatever the migration's end was.
const enterpriseBash = `# For BASH_ENV: kedge in place of anchore-enterprise-manager, and an end with the
# first command that fails.
PATH="${BASH_SOURCE[0]%/share/kedge/*}/bin:$PATH"
set -e
`

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
		{"usr/share/kedge/anchore-enterprise.bash", 0o644, []byte(enterpriseBash)},
	}
	for _, name := range aliases {
		files = append(files, file{"usr/bin/" + name, 0o777 | os.ModeSymlink, []byte("kedge")})
	}
	return tarball("", files, when, ownedFolder{"tmp", 0o1777, 0}, ownedFolder{containerHome, 0o700, containerUser})
}
