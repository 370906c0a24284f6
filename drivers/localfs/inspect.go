package localfs

import (
	"context"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/kedge/kedge/drivers"
)

var (
	_ drivers.Inspector = (*Store)(nil)
	_ drivers.Surveyor  = (*Store)(nil)
)

// SurveyPlace tells where the archive is and whose it is.
func (s *Store) SurveyPlace(ctx context.Context) ([]drivers.Finding, error) {
	if err := ctx.Err(); err != nil {
		return nil, failure("inspect", s.place, "looking at the archive", err)
	}
	info, err := s.root.Stat(".")
	if err != nil {
		return nil, failure("inspect", s.place, "looking at the archive", err)
	}
	findings := []drivers.Finding{
		{Name: "directory", Value: s.dir},
		{Name: "mode", Value: info.Mode().String()},
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		findings = append(findings, drivers.Finding{Name: "owner", Value: fmt.Sprintf("uid %d, gid %d (kedge runs as uid %d)", stat.Uid, stat.Gid, os.Geteuid())})
	}
	return findings, nil
}

// Inspect tells where the archive is, whose it is, and how much room is left.
func (s *Store) Inspect(ctx context.Context) ([]drivers.Finding, error) {
	findings, err := s.SurveyPlace(ctx)
	if err != nil {
		return nil, err
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(s.dir, &fs); err != nil {
		return nil, failure("inspect", s.place, "asking for the free space", err)
	}
	free := freeBytes(&fs)
	findings = append(findings,
		drivers.Finding{Name: "free space", Value: fmt.Sprintf("%d MiB, %d files", free>>20, fs.Ffree), Amiss: free < 1<<20},
		drivers.Finding{Name: "proof of a put", Value: "none: every payload is read back"},
		drivers.Finding{Name: "durability", Value: durability(s.sync.whole != nil)})
	return findings, nil
}

func durability(whole bool) string {
	if whole {
		return "one syncfs for many documents, before their rows are changed"
	}
	return "one fsync a document, before its row is changed"
}
