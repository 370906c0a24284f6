package tools

import (
	"fmt"
	"os/exec"
)

// NTFS finds the programs of Debian's package ntfs-3g that make an NTFS and mount
// it, in user space.
func NTFS() (mkfs, mount string, err error) {
	if mkfs, err = exec.LookPath("mkntfs"); err == nil {
		mount, err = exec.LookPath("lowntfs-3g")
	}
	if err != nil {
		return "", "", fmt.Errorf("ntfs-3g is not installed: %w; %s", err, mend)
	}
	return mkfs, mount, nil
}
