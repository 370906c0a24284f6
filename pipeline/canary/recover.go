package canary

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Ending is that of a canary's file.
const Ending = ".canary"

// Recover looks after the canaries that killed runs have left beside the checkpoint:
// where the destination does not hold one, it is put back, and that is a LostError. So is
// what an earlier run has noted and nobody has seen to. It waits until Patience has passed
// since the run's own canary was written.
func (w *Watch) Recover(ctx context.Context) error {
	if w.LooksOnly {
		return w.others(ctx)
	}
	if err := w.forgetPart(); err != nil {
		return err
	}
	if err := w.recoverOwn(ctx); err != nil {
		return err
	}
	if noted, err := before(w.noted()); noted != nil || err != nil {
		return errors.Join(noted, err)
	}
	return w.others(ctx)
}

func (w *Watch) recoverOwn(ctx context.Context) error {
	k, err := open(w.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	info, err := k.file.Stat()
	if err := errors.Join(err, k.file.Close()); err != nil {
		return err
	}
	d := k.document
	if place := w.Destination.Place(); k.place != place {
		return fmt.Errorf("%s holds the document that a run to %s deleted first at its source, and that run did not end: run its command again, or, where %s is known to hold %s, remove the file", w.File, k.place, k.place, d.Name)
	}
	gone, err := w.gone(ctx, d)
	if rest := min(w.Patience, time.Until(info.ModTime().Add(w.Patience))); err == nil && !gone && rest > 0 {
		w.waits(ctx, rest)
		if err := pause(ctx, w.Stop, rest); err != nil {
			return err
		}
		if closed(w.Stop) {
			return ErrStopped
		}
		gone, err = w.gone(ctx, d)
	}
	switch {
	case err != nil:
		return err
	case gone:
		lost := w.putBack(ctx, w.File)
		lost.Others = true // nobody knows what else that run has deleted
		return w.lose(lost)
	}
	return w.forget()
}

// others looks at the files of other commands' runs in the same folder. They stay, for
// these runs may not have ended.
func (w *Watch) others(ctx context.Context) error {
	folder := filepath.Dir(w.File)
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look for what killed runs have left: %w", err)
	}
	for _, entry := range entries {
		path := filepath.Join(folder, entry.Name())
		switch {
		case strings.HasSuffix(path, Ending) && (path != w.File || w.LooksOnly):
			if err := w.other(ctx, path); err != nil {
				return err
			}
		case strings.HasSuffix(path, Ending+notedEnding):
			if noted, err := before(path); err == nil && noted != nil {
				w.Log.WarnContext(ctx, "another run has found that deletions reach its destination", "uri", "file://"+path, "reason", noted.Before)
			}
		}
	}
	return nil
}

// other looks after one of them, where it is about this destination and somebody says
// what is wanted there, and tells of it otherwise.
func (w *Watch) other(ctx context.Context, path string) error {
	k, err := open(path)
	if err != nil {
		w.Log.WarnContext(ctx, "what another run has left cannot be read", "uri", "file://"+path, "reason", err.Error())
		return nil
	}
	if err := k.file.Close(); err != nil {
		return err
	}
	if k.place != w.Destination.Place() || w.Wanted == nil || w.LooksOnly {
		w.Log.WarnContext(ctx, "another run has not ended, and has left the document whose source it deleted first", "uri", "file://"+path, "document", k.document.Name, "place", k.place)
		return nil
	}
	gone, err := w.gone(ctx, k.document)
	if err != nil || !gone {
		return err
	}
	lost := w.putBack(ctx, path)
	lost.Others = true
	return w.lose(lost)
}

// waits tells why nothing goes on.
func (w *Watch) waits(ctx context.Context, rest time.Duration) {
	if rest > time.Second {
		w.Log.InfoContext(ctx, "waiting before the destination is asked again for documents whose sources were deleted", "wait", rest.Round(time.Second).String())
	}
}
