package audit

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
	"github.com/kedge/kedge/pipeline/folding"
	"github.com/kedge/kedge/pipeline/spread"
	"github.com/kedge/kedge/pipeline/store"
	"github.com/kedge/kedge/pipeline/survey"
)

// The catalog's URIs and a store's listing are compared without holding either:
// both are spread over files by the MD5 of each URI, and then compared file by
// file.
const orphanURIBytes = 8 << 10

// orphans lists the payloads of the stores that no row names.
func (a *audit) orphans(ctx context.Context) (found int64, err error) {
	folder, err := os.MkdirTemp(filepath.Dir(a.Checkpoint), "kedge-orphans-")
	if err != nil {
		return 0, fmt.Errorf("look for orphans: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	named, err := spread.Over(folder, "named", func(put func(sum [16]byte, record []byte) error) error { return a.spreadCatalog(ctx, put) })
	if err != nil {
		return 0, fmt.Errorf("look for orphans: %w", err)
	}
	held, err := spread.Over(folder, "held", func(put func(sum [16]byte, record []byte) error) error { return a.spreadStores(ctx, put) })
	if err != nil {
		return 0, fmt.Errorf("look for orphans: %w", err)
	}
	for i := range named {
		n, err := a.compare(ctx, named[i], held[i])
		found += n
		if err != nil {
			return found, fmt.Errorf("look for orphans: %w", err)
		}
	}
	return found, context.Cause(ctx)
}

func (a *audit) spreadCatalog(ctx context.Context, put func([16]byte, []byte) error) error {
	// By a scan: a row that an index leads past names its payload all the same.
	_, err := a.Catalog.Changed(ctx, catalog.Selection{}, 0, catalog.Strays{}, func(d catalog.Document) error {
		places := []string{d.URI}
		if s := a.storeOf(d.URI); s != nil {
			places = survey.Places(*s, d.URI)
		}
		for _, place := range places {
			if err := put(foldedSum(place), sumOf(place)); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

func (a *audit) spreadStores(ctx context.Context, put func([16]byte, []byte) error) error {
	for i := range a.Stores {
		s := &a.Stores[i]
		lister, ok := s.Driver.(drivers.Lister)
		if !ok || !s.Capabilities().Lists {
			return fmt.Errorf("driver %s cannot list what it holds", s.Name())
		}
		err := lister.List(ctx, func(uri string, info drivers.Info) error {
			if a.storeOf(uri) != s || strings.Contains(uri, "/kedge-probe/kedge-probe") {
				return nil // another store lists it, or a migration is just looking
			}
			record := binary.AppendVarint(nil, info.Bytes)
			record = binary.AppendUvarint(record, uint64(len(uri)))
			return put(foldedSum(uri), append(append(sumOf(uri), record...), uri...))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// foldedSum is the sum of a URI's name to a store that does not tell names apart,
// sumOf that of the URI itself.
func foldedSum(uri string) [16]byte { return md5.Sum([]byte(survey.Name(uri))) }

func sumOf(uri string) []byte {
	sum := md5.Sum([]byte(survey.Normal(uri)))
	return sum[:]
}

// compare reports what the one file holds and the other does not name.
func (a *audit) compare(ctx context.Context, named, held string) (orphans int64, err error) {
	rows, err := readNames(named)
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
		p, more, err := readPayload(in, held)
		if err != nil || !more {
			return orphans, err
		}
		if rows.exactly[p.sums] {
			continue
		}
		if rows.folded[[16]byte(p.sums[:16])] {
			// A row names it, if its store takes the row's spelling for it.
			if folds, err := a.folds(ctx, p.uri); err != nil {
				return orphans, err
			} else if folds {
				continue
			}
		}
		orphans++
		if a.Orphan != nil {
			a.Orphan(p.uri, drivers.Info{Bytes: p.bytes})
		}
	}
}

// payload is one that a store lists.
type payload struct {
	sums  [32]byte // folded, and its own
	bytes int64
	uri   string
}

// readPayload reads what put has written of the next one; more is false at the end.
func readPayload(in *bufio.Reader, file string) (p payload, more bool, err error) {
	if _, err := io.ReadFull(in, p.sums[:]); err == io.EOF {
		return p, false, nil
	} else if err != nil {
		return p, false, err
	}
	if p.bytes, err = binary.ReadVarint(in); err != nil {
		return p, false, err
	}
	length, err := binary.ReadUvarint(in)
	if err != nil || length > orphanURIBytes {
		return p, false, fmt.Errorf("%s is damaged", file)
	}
	uri := make([]byte, length)
	_, err = io.ReadFull(in, uri)
	p.uri = string(uri)
	return p, true, err
}

// folds says whether the store of a payload takes names for one that differ only in
// case, or in the form of their letters.
func (a *audit) folds(ctx context.Context, uri string) (bool, error) {
	s := a.storeOf(uri)
	if folds, asked := a.folding[s]; asked {
		return folds, nil
	}
	folds, known, err := folding.Of(ctx, s, uri)
	if err == nil && known {
		if a.folding == nil {
			a.folding = make(map[*store.Store]bool)
		}
		a.folding[s] = folds
	}
	return folds, err
}

// names are sums of what rows name.
type names struct {
	exactly map[[32]byte]bool
	folded  map[[16]byte]bool
}

func readNames(path string) (names, error) {
	all, err := os.ReadFile(path)
	if err != nil {
		return names{}, err
	}
	n := names{exactly: make(map[[32]byte]bool, len(all)/32), folded: make(map[[16]byte]bool, len(all)/32)}
	for ; len(all) >= 32; all = all[32:] {
		n.exactly[[32]byte(all)] = true
		n.folded[[16]byte(all)] = true
	}
	return n, nil
}
