package testenv

import "syscall"

// dieWithParent makes the kernel kill the child when the thread that started it
// ends. It is set after the change of user, which would clear it.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
