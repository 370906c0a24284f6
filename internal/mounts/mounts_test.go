package mounts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Lines as several systems have them.
const lines = `21 1 254:0 / / rw,relatime - ext4 /dev/vda rw
22 21 0:21 / /dev/shm rw - tmpfs tmpfs rw
23 21 0:40 / /mnt/with\040blank rw - fuse.rclone remote:bucket rw,user_id=0
24 21 8:1 / /mnt/ntfs rw - fuseblk /dev/sda1 rw
25 21 0:41 / /mnt/gluster rw - fuse.glusterfs host:/volume rw
26 21 0:42 / /merged rw - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w
27 21 254:0 /var/lib/kubelet/pods/x/volumes/kubernetes.io~empty-dir/scratch /scratch rw - ext4 /dev/vda rw
28 21 252:0 / /zram rw - ext4 /dev/zram0 rw
29 21 254:0 / /data rw - ext4 /dev/vdb rw
30 29 0:43 / /data/user rw - ramfs none rw
31 21 0:44 / /nfs rw shared:7 master:2 - nfs4 host:/export rw
32 21 0:45 / /plain rw - fuse something rw
33 21 0:46 / /image rw - fuse IMAGE rw
34 21 0:47 / /host rw - virtiofs share rw
35 21 0:48 / /rootless rw - fuse.fuse-overlayfs fuse-overlayfs rw
`

// Each kind of file system is judged by its mount, and by what is mounted below.
func TestJudge(t *testing.T) {
	image := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	list := readMounts(strings.ReplaceAll(lines, "IMAGE", image))
	for _, c := range []struct{ id, path, want string }{
		{"21", "/srv", ""},
		{"22", "/dev/shm/a", "/dev/shm/a lies on tmpfs, mounted at /dev/shm: it is kept in memory"},
		{"23", "/mnt/with blank/a", "fuse.rclone, mounted at /mnt/with blank: its fsync"},
		{"24", "/mnt/ntfs", ""},
		{"25", "/mnt/gluster", ""},
		{"26", "/merged/a", "overlay, mounted at /merged: a layer"},
		{"27", "/scratch", "ext4, mounted at /scratch: it is an emptyDir"},
		{"28", "/zram", "in memory"},
		{"29", "/data", "/data has in it ramfs, mounted at /data/user: it is kept in memory"},
		{"29", "/data/use", ""},
		{"31", "/nfs", ""},
		{"32", "/plain", "fuse, mounted at /plain: its fsync"},
		{"33", "/image", ""},
		{"34", "/host", ""},
		{"35", "/rootless", "a layer"},
	} {
		if got := judge(list, c.id, c.path); got != c.want && (c.want == "" || !strings.Contains(got, c.want)) {
			t.Errorf("%s: %q, want %q", c.path, got, c.want)
		}
	}
}
