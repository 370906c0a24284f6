package localfs

import (
	"os"
	"syscall"
)

// owner is whom new files and directories are given to. Anchore's services run
// as an ordinary user and must be able to replace and remove what is in the
// archive; whoever migrates as root must not leave it root's.
type owner struct{ uid, gid int }

// ownerOf is the owner of the archive's root, nil where nothing has to be given
// away, or cannot be.
func ownerOf(root *os.Root) (*owner, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	info, err := root.Stat(".")
	if err != nil {
		return nil, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || (stat.Uid == 0 && int(stat.Gid) == os.Getegid()) {
		return nil, nil
	}
	return &owner{uid: int(stat.Uid), gid: int(stat.Gid)}, nil
}

// ofDirectory gives a directory below root to the owner.
func (o *owner) ofDirectory(root *os.Root, dir string) error {
	if o == nil {
		return nil
	}
	return root.Lchown(dir, o.uid, o.gid)
}

// ofFile gives an open file to the owner.
func (o *owner) ofFile(file *os.File) error {
	if o == nil {
		return nil
	}
	return file.Chown(o.uid, o.gid)
}
