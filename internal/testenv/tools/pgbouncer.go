package tools

import (
	"fmt"
	"os"
	"os/exec"
)

// pgBouncerPath is where Debian puts PgBouncer: a folder that is not always on
// the PATH.
const pgBouncerPath = "/usr/sbin/pgbouncer"

// PgBouncer returns the path of PgBouncer; its error says how to install it.
func PgBouncer() (string, error) {
	if path, err := exec.LookPath("pgbouncer"); err == nil {
		return path, nil
	}
	if _, err := os.Stat(pgBouncerPath); err != nil {
		return "", fmt.Errorf("PgBouncer is not installed: %w; %s", err, mend)
	}
	return pgBouncerPath, nil
}
