package pipeline

import (
	"bufio"
	"context"
	"crypto/md5"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
)

// The catalog's URIs and a store's listing are compared without holding either:
// both are spread over files by the MD5 of each URI, and then compared file by
// file.
const (
	orphanFiles    = 64
	orphanURIBytes = 8 << 10
)

// orphans lists the payloads of the stores that no row names.
func (a *audit) orphans(ctx context.Context) (found int64, err error) {
	folder, err := os.MkdirTemp(filepath.Dir(a.Checkpoint), "kedge-orphans-")
	if err != nil {
		return 0, fmt.Errorf("look for orphans: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	named, err := spread(folder, "named", func(put func(sum [16]byte, record []byte) error) error { return a.spreadCatalog(ctx, put) })
	if err != nil {
		return 0, fmt.Errorf("look for orphans: %w", err)
	}
	held, err := spread(folder, "held", func(put func(sum [16]byte, record []byte) error) error { return a.spreadStores(ctx, put) })
	if err != nil {
		return 0, fmt.Errorf("look for orphans: %w", err)
	}
	for i := range orphanFiles {
		n, err := a.compare(named[i], held[i])
		found += n
		if err != nil {
			return found, fmt.Errorf("look for orphans: %w", err)
		}
	}
	return found, cancelled(ctx)
}

func (a *audit) spreadCatalog(ctx context.Context, put func([16]byte, []byte) error) error {
	var position catalog.Position
	for {
		page, err := a.Catalog.Page(ctx, catalog.Selection{}, position, a.limits.pageRows)
		if err != nil {
			return err
		}
		for _, d := range page {
			position = d.After()
			if !d.NoURI {
				if err := put(md5.Sum([]byte(normal(d.URI))), nil); err != nil {
					return err
				}
			}
		}
		if len(page) < a.limits.pageRows {
			return nil
		}
	}
}

func (a *audit) spreadStores(ctx context.Context, put func([16]byte, []byte) error) error {
	for i := range a.Stores {
		s := &a.Stores[i]
		lister, ok := s.Driver.(drivers.Lister)
		if !ok || !s.Capabilities().Lists {
			return fmt.Errorf("driver %s cannot list what it holds", s.Name())
		}
		err := lister.List(ctx, func(uri string, info drivers.Info) error {
			if a.storeOf(uri) != s || strings.Contains(uri, "/kedge-probe/kedge-probe/") {
				return nil // another store lists it, or a migration is just looking
			}
			record := binary.AppendVarint(nil, info.Bytes)
			record = binary.AppendUvarint(record, uint64(len(uri)))
			return put(md5.Sum([]byte(normal(uri))), append(record, uri...))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// spread writes records to files by their sums, and gives the files' paths.
func spread(folder, name string, fill func(put func([16]byte, []byte) error) error) (paths [orphanFiles]string, err error) {
	var files [orphanFiles]*os.File
	var writers [orphanFiles]*bufio.Writer
	for i := range files {
		paths[i] = filepath.Join(folder, fmt.Sprintf("%s-%02d", name, i))
		if files[i], err = os.OpenFile(paths[i], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return paths, err
		}
		defer func() { err = errors.Join(err, files[i].Close()) }()
		writers[i] = bufio.NewWriterSize(files[i], 32<<10)
	}
	err = fill(func(sum [16]byte, record []byte) error {
		w := writers[sum[0]%orphanFiles]
		if _, err := w.Write(sum[:]); err != nil {
			return err
		}
		_, err := w.Write(record)
		return err
	})
	for _, w := range writers {
		err = errors.Join(err, w.Flush())
	}
	return paths, err
}

// compare reports what the one file holds and the other does not name.
func (a *audit) compare(named, held string) (orphans int64, err error) {
	sums, err := readSums(named)
	if err != nil {
		return 0, err
	}
	f, err := os.Open(held)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 64<<10)
	for {
		var sum [16]byte
		if _, err := io.ReadFull(in, sum[:]); err == io.EOF {
			return orphans, nil
		} else if err != nil {
			return orphans, err
		}
		bytes, err := binary.ReadVarint(in)
		if err != nil {
			return orphans, err
		}
		length, err := binary.ReadUvarint(in)
		if err != nil || length > orphanURIBytes {
			return orphans, fmt.Errorf("%s is damaged", held)
		}
		uri := make([]byte, length)
		if _, err := io.ReadFull(in, uri); err != nil {
			return orphans, err
		}
		if !sums[sum] {
			orphans++
			if a.Orphan != nil {
				a.Orphan(string(uri), drivers.Info{Bytes: bytes})
			}
		}
	}
}

func readSums(path string) (map[[16]byte]bool, error) {
	all, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	sums := make(map[[16]byte]bool, len(all)/16)
	for ; len(all) >= 16; all = all[16:] {
		sums[[16]byte(all)] = true
	}
	return sums, nil
}
