//go:build !linux

package localfs

import "os"

// beneath is nothing here: os.Root opens the files.
type beneath struct{}

func newBeneath(*os.Root) (*beneath, error) { return &beneath{}, nil }

func (*beneath) open(string) *os.File { return nil }

func (*beneath) openFolder(string, bool) folder { return nil }

func (*beneath) close() error { return nil }
