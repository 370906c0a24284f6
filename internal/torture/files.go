package torture

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// fileStore reaches the files below a root.
type fileStore struct{ root string }

func (fileStore) file(uri string) string { return strings.TrimPrefix(uri, "file://") }

func (s fileStore) fill(_ context.Context, payloads map[string][]byte) error {
	for uri, payload := range payloads {
		if err := os.MkdirAll(filepath.Dir(s.file(uri)), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(s.file(uri), payload, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (s fileStore) read(_ context.Context, uris []string) (map[string][]byte, error) {
	payloads := make(map[string][]byte)
	for _, uri := range uris {
		payload, err := os.ReadFile(s.file(uri))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		payloads[uri] = payload
	}
	return payloads, nil
}

func (s fileStore) remove(_ context.Context, uris []string) error {
	for _, uri := range uris {
		if err := os.Remove(s.file(uri)); err != nil {
			return err
		}
		// And the folders above, as far as they are empty.
		for dir := filepath.Dir(s.file(uri)); dir != s.root && os.Remove(dir) == nil; dir = filepath.Dir(dir) {
			continue
		}
	}
	return nil
}

// list lists all files, temporary ones too, and the folders that are empty.
func (s fileStore) list(context.Context, []string) ([]string, error) {
	var list []string
	err := filepath.WalkDir(s.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == s.root {
			return err
		}
		if d.IsDir() {
			entries, err := os.ReadDir(path)
			if err == nil && len(entries) == 0 {
				list = append(list, "empty folder "+path)
			}
			return err
		}
		list = append(list, "file://"+path)
		return nil
	})
	return list, err
}

func (s fileStore) clear(context.Context) error {
	if err := os.RemoveAll(s.root); err != nil {
		return err
	}
	return os.MkdirAll(s.root, 0o755)
}
