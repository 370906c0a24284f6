package canary

import (
	"bufio"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/kedge/kedge/drivers"
)

// The file in which a canary is kept is the Document in one line of JSON, and then its
// payload as the destination holds it.

// keep writes a document's payload into the file, durably, and gives the document with what
// is known of it now.
func (w *Watch) keep(ctx context.Context, d Document) (_ Document, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("keep a copy of %s in %s, before the first source is deleted: %w", d.Name, w.File, err)
		}
	}()
	part := w.File + ".part"
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return d, err
	}
	defer os.Remove(part)
	defer f.Close()
	if d.MD5 == "" || d.Bytes < 0 {
		if d.MD5, d.Bytes, err = read(ctx, w.Destination, d.Destination, io.Discard); err != nil {
			return d, err
		}
	}
	d.Place = w.Destination.Place()
	head, err := json.Marshal(d)
	if err != nil {
		return d, err
	}
	if _, err := f.Write(append(head, '\n')); err != nil {
		return d, err
	}
	digest, bytes, err := read(ctx, w.Destination, d.Destination, f)
	if err != nil {
		return d, err
	}
	if digest != d.MD5 || bytes != d.Bytes {
		return d, fmt.Errorf("the destination does not hold it any more as it was proved: the MD5 is %s, not %s", digest, d.MD5)
	}
	if err := f.Sync(); err != nil {
		return d, err
	}
	if err := os.Rename(part, w.File); err != nil {
		return d, err
	}
	return d, syncFolder(filepath.Dir(w.File))
}

func syncFolder(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// forget removes the file.
func (w *Watch) forget() error {
	if err := os.Remove(w.File); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the copy of the document whose source was deleted first: %w", err)
	}
	return nil
}

// Recover looks after the canary that a killed run has left: where the destination does not
// hold it, it is put back, and that is a LostError.
func (w *Watch) Recover(ctx context.Context) error {
	f, d, _, err := w.kept()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	f.Close()
	if place := w.Destination.Place(); d.Place != place {
		return fmt.Errorf("%s holds the document that a run to %s deleted first at its source, and that run did not end: run its command again, or, where %s is known to hold %s, remove the file", w.File, d.Place, d.Place, d.Name)
	}
	there, err := w.there(ctx, d)
	if err != nil {
		return err
	}
	if !there {
		return w.lose(w.putBack(ctx, d))
	}
	return w.forget()
}

// kept opens the file, and says where the payload begins.
func (w *Watch) kept() (f *os.File, d Document, at int64, err error) {
	if f, err = os.Open(w.File); err != nil {
		return nil, d, 0, err
	}
	head, err := bufio.NewReader(f).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(head, &d)
	}
	if err != nil {
		return nil, d, 0, errors.Join(fmt.Errorf("%s is no copy of a document that kedge has kept: %w", w.File, err), f.Close())
	}
	return f, d, int64(len(head)), nil
}

// putBack puts the canary back from the file, at the destination, and at the source where
// that is possible: else what carries deletions on might delete it once more.
func (w *Watch) putBack(ctx context.Context, canary Document) *LostError {
	ctx = context.WithoutCancel(ctx) // nothing is more urgent
	lost := &LostError{Document: canary, Kept: w.File}
	f, d, at, err := w.kept()
	if err != nil {
		lost.Err = err
		return lost
	}
	defer f.Close()
	payload := drivers.Payload{Length: d.Bytes, MD5: d.MD5, Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(io.NewSectionReader(f, at, d.Bytes)), nil
	}}
	if d.Back != "" {
		if err := put(ctx, w.Source, d.Back, payload); err != nil {
			w.Log.WarnContext(ctx, "the document could not be put back at the source", "document", d.Name, "uri", d.Back, "reason", err.Error())
		}
	}
	if lost.Err = put(ctx, w.Destination, d.Destination, payload); lost.Err == nil {
		var there bool
		if there, lost.Err = w.holds(ctx, d); lost.Err == nil && !there {
			lost.Err = errors.New("it was put, and cannot be read back")
		}
	}
	return lost
}

// put puts a payload durably.
func put(ctx context.Context, d drivers.Driver, uri string, payload drivers.Payload) error {
	if _, err := d.Put(ctx, uri, payload); err != nil {
		return err
	}
	if s, ok := d.(drivers.Syncer); ok && d.Capabilities().NeedsSync {
		return s.Sync(ctx)
	}
	return nil
}

// there says whether the destination holds a document, or need not.
func (w *Watch) there(ctx context.Context, d Document) (bool, error) {
	holds, err := w.holds(ctx, d)
	if err != nil || holds {
		return holds, err
	}
	wanted, err := w.wanted(ctx, d)
	if err != nil || !wanted {
		return !wanted, err
	}
	return w.holds(ctx, d) // somebody may have been at it
}

func (w *Watch) wanted(ctx context.Context, d Document) (bool, error) {
	if w.Wanted == nil {
		return true, nil
	}
	return w.Wanted(ctx, d)
}

// holds asks the destination itself.
func (w *Watch) holds(ctx context.Context, d Document) (bool, error) {
	ctx = drivers.WithFresh(ctx)
	info, err := w.Destination.Stat(ctx, d.Destination)
	switch {
	case drivers.KindOf(err) == drivers.NotFound:
		return false, nil
	case err != nil:
		return false, fmt.Errorf("ask the destination for %s, whose source was deleted: %w", d.Name, err)
	case info.Proves(d.MD5), d.MD5 == "":
		return d.Bytes < 0 || info.Bytes == d.Bytes, nil
	case info.Bytes != d.Bytes, info.MD5 != "":
		return false, nil
	}
	digest, _, err := read(ctx, w.Destination, d.Destination, io.Discard)
	if drivers.KindOf(err) == drivers.NotFound {
		return false, nil
	}
	return digest == d.MD5, err
}

// readAttempts is how often a payload is read whose body breaks off.
const readAttempts = 4

// read reads a payload into w, which is a file that is to hold it from its present position
// on, or discards it.
func read(ctx context.Context, d drivers.Driver, uri string, w io.Writer) (digest string, bytes int64, err error) {
	f, isFile := w.(*os.File)
	var from int64
	if isFile {
		if from, err = f.Seek(0, io.SeekCurrent); err != nil {
			return "", 0, err
		}
	}
	for range readAttempts {
		if isFile {
			if _, err = f.Seek(from, io.SeekStart); err == nil {
				err = f.Truncate(from)
			}
			if err != nil {
				return "", 0, err
			}
		}
		if digest, bytes, err = readOnce(ctx, d, uri, w); err == nil || drivers.KindOf(err) != drivers.Temporary {
			break
		}
	}
	return digest, bytes, err
}

func readOnce(ctx context.Context, d drivers.Driver, uri string, w io.Writer) (digest string, bytes int64, err error) {
	r, _, err := d.Get(ctx, uri)
	if err != nil {
		return "", 0, err
	}
	defer r.Close()
	sum := md5.New()
	bytes, err = io.Copy(io.MultiWriter(sum, w), r)
	return hex.EncodeToString(sum.Sum(nil)), bytes, err
}
