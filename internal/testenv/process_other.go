//go:build !linux

package testenv

import "syscall"

// dieWithParent cannot be had here: servers of a killed test binary live on.
func dieWithParent(*syscall.SysProcAttr) {}
