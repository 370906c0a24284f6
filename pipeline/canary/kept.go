package canary

import (
	"bufio"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/kedge/kedge/drivers"
)

// leftError is why a document's source must not be deleted. It is no reason to end a run.
type leftError struct{ error }

// Unwrap gives the reason.
func (e leftError) Unwrap() error { return e.error }

// keep writes a document's payload into the file, durably, and gives the document with what
// is known of it now. A leftError says that the destination does not show it.
func (w *Watch) keep(ctx context.Context, d Document) (Document, error) {
	if _, err := w.Destination.Stat(drivers.WithFresh(ctx), d.Destination); err != nil {
		return d, leftError{fmt.Errorf("the destination could not be asked for it before: %w", err)}
	}
	d, err := w.write(ctx, d)
	if err == nil {
		err = context.Cause(ctx) // then somebody else may be about to look at the file as it is
	}
	if err == nil {
		err = w.replace()
	}
	left := leftError{}
	if err != nil && !errors.As(err, &left) {
		err = fmt.Errorf("keep a copy of %s in %s, before the first source is deleted: %w", d.Name, w.File, err)
	}
	return d, err
}

func (w *Watch) part() string { return w.File + ".part" }

// write writes the file that is to be in the place of the other one.
func (w *Watch) write(ctx context.Context, d Document) (_ Document, err error) {
	if err := w.forgetPart(); err != nil {
		return d, err
	}
	f, err := os.OpenFile(w.part(), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return d, err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			err = errors.Join(err, w.forgetPart())
		}
	}()
	line, err := headLine(d, w.Destination.Place())
	if err != nil {
		return d, err
	}
	if d.MD5, d.Bytes, err = w.copy(ctx, d, f, int64(len(line))); err != nil {
		return d, err
	}
	if line, err = headLine(d, w.Destination.Place()); err != nil {
		return d, err
	}
	if _, err := f.WriteAt(line, 0); err != nil {
		return d, err
	}
	return d, f.Sync()
}

// replace puts what was written in the file's place, durably.
func (w *Watch) replace() error {
	if err := os.Rename(w.part(), w.File); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(w.File))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// readAttempts is how often a payload is read that breaks off, or is not the one that was
// proved: it may have been spoilt on the way.
const readAttempts = 4

// copy copies a document's payload from the destination into a file, from a position on.
// A leftError is the destination's.
func (w *Watch) copy(ctx context.Context, d Document, f *os.File, from int64) (digest string, bytes int64, err error) {
	for range readAttempts {
		if err := f.Truncate(from); err != nil {
			return "", 0, err
		}
		sum := md5.New()
		into := &offsetWriter{f: f, at: from}
		bytes, err = read(ctx, w.Destination, d.Destination, io.MultiWriter(into, sum))
		digest = hex.EncodeToString(sum.Sum(nil))
		switch {
		case into.err != nil:
			return "", 0, into.err
		case err != nil && drivers.KindOf(err) != drivers.Temporary:
			return "", 0, leftError{fmt.Errorf("the destination does not show it: %w", err)}
		case err == nil && (d.MD5 == "" || digest == d.MD5):
			return digest, bytes, nil
		case err == nil:
			err = fmt.Errorf("the destination does not hold it any more as it was proved: the MD5 is %s, not %s", digest, d.MD5)
		}
	}
	return "", 0, leftError{err}
}

// offsetWriter writes to a file, and keeps an error of that apart from one of a reader's.
type offsetWriter struct {
	f   *os.File
	at  int64
	err error
}

// Write is io.Writer's.
func (w *offsetWriter) Write(p []byte) (n int, err error) {
	n, w.err = w.f.WriteAt(p, w.at)
	w.at += int64(n)
	return n, w.err
}

// read reads a payload, past caches.
func read(ctx context.Context, d drivers.Driver, uri string, into io.Writer) (bytes int64, err error) {
	r, _, err := d.Get(drivers.WithFresh(ctx), uri)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	return io.Copy(into, r)
}

// forget removes the file.
func (w *Watch) forget() error {
	if err := os.Remove(w.File); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the copy of the document whose source was deleted first: %w", err)
	}
	return nil
}

// forgetPart removes what a killed run has not finished writing.
func (w *Watch) forgetPart() error {
	if err := os.Remove(w.part()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove what an earlier run has left: %w", err)
	}
	return nil
}

// kept is an opened file of a canary. Its payload begins at at.
type kept struct {
	file     *os.File
	document Document
	place    string
	at       int64
}

// open opens the file of a canary.
func open(path string) (k kept, err error) {
	if k.file, err = os.Open(path); err != nil {
		return k, err
	}
	line, err := bufio.NewReader(k.file).ReadBytes('\n')
	if err == nil {
		k.at = int64(len(line))
		k.document, k.place, err = readHead(line)
	}
	if err != nil {
		return k, errors.Join(fmt.Errorf("%s is no copy of a document that kedge has kept: %w", path, err), k.file.Close())
	}
	return k, nil
}
