package localfs

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"sync"
	"syscall"

	"github.com/kedge/kedge/drivers"
)

// startAttempts bounds how often Put makes directories that a Delete, or a
// failed Put of a neighbour, removes again under its hands.
const startAttempts = 1000

var buffers = sync.Pool{New: func() any { return new([streamBytes]byte) }}

// Put writes a payload to a temporary file in the folder it belongs in, checks
// its length and MD5, and renames it. When it fails, it has removed the
// temporary file and the directories that are empty then. Receipt.ProvenMD5 is "": a
// file system proves nothing.
func (s *Store) Put(ctx context.Context, uri string, payload drivers.Payload) (drivers.Receipt, error) {
	loc, err := s.locate("put", uri)
	if err != nil {
		return drivers.Receipt{}, err
	}
	if loc.root != s.dir {
		return drivers.Receipt{}, &drivers.Error{Op: "put", URI: uri, Kind: drivers.InvalidKey, Err: fmt.Errorf("lies outside of %s", s.dir)}
	}
	p := &put{store: s, ctx: ctx, uri: uri, loc: loc, payload: payload, hash: md5.New()}
	p.unhashed = payload.ReadBack && s.staging == nil
	if err := p.run(); err != nil {
		return drivers.Receipt{}, err
	}
	return drivers.Receipt{Bytes: p.written, MD5: p.md5(), Version: p.version}, nil
}

// put is one Put under way.
type put struct {
	store   *Store
	ctx     context.Context
	uri     string
	loc     location
	payload drivers.Payload

	body    io.ReadCloser // of a stream
	folder  folder        // the one that the payload belongs in
	file    *os.File      // the temporary one
	written int64
	hash    hash.Hash
	version string // of the file, once it is whole
	// unhashed: the MD5 is left out as long as nothing is replaced.
	unhashed bool
	staged   bool // written in the tree's folder for temporary files
}

// md5 is the MD5 of the payload as far as it was read.
func (p *put) md5() string {
	if p.trusted() {
		return p.payload.MD5
	}
	return hex.EncodeToString(p.hash.Sum(nil))
}

// trusted says that the MD5 of these bytes need not be computed: what was written
// is read back, and the caller has computed it before, or nothing is replaced.
func (p *put) trusted() bool {
	return (p.payload.Computed || p.unhashed) && !p.payload.Streamed() && p.payload.MD5 != ""
}

// know computes the MD5 that was left out, and compares it with what was announced.
func (p *put) know() error {
	p.unhashed = false
	p.hash.Write(p.payload.Bytes)
	return p.check(p.written, hex.EncodeToString(p.hash.Sum(nil)))
}

// fail makes an error of the file system's.
func (p *put) fail(doing string, err error) error { return failure("put", p.uri, doing, err) }

// corrupt makes the error of a payload that is not what it should be.
func (p *put) corrupt(format string, args ...any) error {
	return &drivers.Error{Op: "put", URI: p.uri, Kind: drivers.Corrupt, Err: fmt.Errorf(format, args...)}
}

// sourceFailed makes an error of the payload's source, whose kind it keeps: a
// full disk at the source is not one here.
func (p *put) sourceFailed(err error) error {
	return &drivers.Error{Op: "put", URI: p.uri, Kind: drivers.KindOf(err), Err: fmt.Errorf("reading the payload: %w", err)}
}

func (p *put) run() error {
	unlock, err := p.store.puts.lock(p.ctx, p.loc.path())
	if err != nil {
		return p.fail("waiting for another put of it", err)
	}
	defer unlock()
	if err := p.store.sync.makeRoom(p.ctx); err != nil {
		return p.fail("making earlier files durable", err)
	}
	if err := p.ctx.Err(); err != nil {
		return p.fail("starting", err)
	}
	if err := p.open(); err != nil {
		return err
	}
	if p.body != nil {
		defer p.body.Close() // read only: nothing can be lost by it
	}
	start, finish := p.start, p.finish
	if p.staged = p.store.staging.usable(); p.staged {
		start, finish = p.stage, p.place
	}
	if err := start(); err != nil {
		return p.undo(err)
	}
	defer p.folder.close() // nothing was written to it
	err = p.fill()
	if info, serr := p.file.Stat(); serr == nil {
		p.version = identity(info)
	}
	if cerr := p.file.Close(); cerr != nil && err == nil {
		err = p.fail("closing the temporary file", cerr)
	}
	if err == nil {
		err = finish()
	}
	if err != nil {
		return p.undo(err)
	}
	return nil
}

// open opens the payload. What is in memory already is checked here, before
// anything is made.
func (p *put) open() (err error) {
	if p.payload.Streamed() {
		if p.body, err = p.payload.Open(p.ctx); err != nil {
			return p.sourceFailed(err)
		}
		return nil
	}
	if !p.trusted() {
		p.hash.Write(p.payload.Bytes)
	}
	return p.check(int64(len(p.payload.Bytes)), p.md5())
}

// partial is the name of the temporary file in its folder.
func (p *put) partial() string {
	if p.staged {
		return stagedName(p.loc)
	}
	return p.loc.partial()
}

// check compares what was read with what was announced.
func (p *put) check(length int64, md5 string) error {
	switch {
	case p.payload.Length >= 0 && length != p.payload.Length:
		return p.corrupt("the payload ended after %d bytes of %d", length, p.payload.Length)
	case p.payload.MD5 != "" && md5 != p.payload.MD5:
		return p.corrupt("the payload has MD5 %s, announced was %s", md5, p.payload.MD5)
	default:
		return nil
	}
}

// start opens the folder, making the directories that are missing, and makes
// the temporary file in it. Neighbours may remove empty directories meanwhile:
// then it begins again.
func (p *put) start() error {
	for range startAttempts {
		if err := p.ctx.Err(); err != nil {
			return p.fail("making the directories", err)
		}
		folder, err := p.openFolder()
		if errors.Is(err, fs.ErrNotExist) {
			if err := p.mkdirs(); err != nil {
				return p.fail("making the directories", err)
			}
			continue
		}
		if err != nil {
			return p.fail("opening the directory", err)
		}
		file, err := create(folder, p.loc.partial())
		if err == nil {
			if err := p.store.owner.ofFile(file); err != nil {
				return p.fail("giving the file to the archive's owner", and(err, and(file.Close(), folder.close())))
			}
			p.folder, p.file = folder, file
			return nil
		}
		err = and(cause(err), folder.close())
		if !errors.Is(err, fs.ErrNotExist) {
			return p.fail("making the temporary file", err)
		}
	}
	return p.fail("making the directories", fmt.Errorf("removed again by others %d times: %w", startAttempts, syscall.EAGAIN))
}

// openFolder opens the folder; in an archive no link may lead to it.
func (p *put) openFolder() (folder, error) {
	if p.store.tree {
		return p.store.openFolder(p.store.root, p.loc.dir)
	}
	return p.store.openPlain(p.loc.dir)
}

// mkdirs makes the directories of the folder. One that others remove meanwhile is
// no error: start looks again.
func (p *put) mkdirs() error {
	for _, dir := range parents(p.loc.dir) {
		switch err := p.store.root.Mkdir(dir, 0o755); {
		case err == nil:
			if err := p.store.owner.ofDirectory(p.store.root, dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		case errors.Is(err, fs.ErrExist):
		case errors.Is(err, fs.ErrNotExist):
			return nil
		default:
			return err
		}
	}
	return nil
}

// parents lists a relative path and the directories above it, the uppermost
// first.
func parents(dir string) []string {
	var dirs []string
	for ; dir != "."; dir = path.Dir(dir) {
		dirs = append(dirs, dir)
	}
	slices.Reverse(dirs)
	return dirs
}

// fill copies the payload to the temporary file and checks it.
func (p *put) fill() error {
	if p.body == nil {
		return p.write(p.payload.Bytes)
	}
	buffer := buffers.Get().(*[streamBytes]byte)
	defer buffers.Put(buffer)
	for {
		n, rerr := p.body.Read(buffer[:])
		p.written += int64(n)
		if p.payload.Length >= 0 && p.written > p.payload.Length {
			return p.corrupt("the payload is longer than the %d bytes announced", p.payload.Length)
		}
		p.hash.Write(buffer[:n])
		if _, err := p.file.Write(buffer[:n]); err != nil {
			return p.fail("writing", err)
		}
		if err := p.ctx.Err(); err != nil {
			return p.fail("writing", err)
		}
		switch {
		case rerr == io.EOF:
			return p.check(p.written, p.md5())
		case rerr != nil:
			return p.sourceFailed(rerr)
		}
	}
}

// write writes what is in memory and was checked when it was opened.
func (p *put) write(payload []byte) error {
	for len(payload) > 0 {
		n, err := p.file.Write(payload[:min(len(payload), streamBytes)])
		if err != nil {
			return p.fail("writing", err)
		}
		if err := p.ctx.Err(); err != nil {
			return p.fail("writing", err)
		}
		p.written += int64(n)
		payload = payload[n:]
	}
	return nil
}

// finish puts the temporary file in its place.
func (p *put) finish() error {
	covered, err := p.store.sync.covers(p.folder)
	if err != nil {
		return p.fail("looking at the directory", err)
	}
	if err := p.rename(); err != nil {
		return err
	}
	if !covered {
		p.store.sync.remember(p.loc.path())
	}
	return nil
}

// rename gives the temporary file its name. What was not hashed replaces nothing:
// where something is there, or the file system cannot tell, it is hashed first.
func (p *put) rename() error {
	if p.unhashed && p.trusted() {
		err := p.folder.renameNew(p.loc.partial(), p.loc.name)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, fs.ErrNotExist):
			return p.fail("renaming the temporary file", err)
		}
		if err := p.know(); err != nil {
			return err
		}
	}
	if err := p.folder.rename(p.loc.partial(), p.loc.name); err != nil {
		return p.fail("renaming the temporary file", err)
	}
	return nil
}

// undo removes the temporary file and the directories above it as far as they are
// empty, as Delete does, and gives err, with what went wrong on the way.
func (p *put) undo(err error) error {
	var also error
	if p.file != nil {
		if rerr := p.folder.remove(p.partial()); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			also = fmt.Errorf("removing the temporary file: %w", cause(rerr))
		}
	}
	// Not only those that this Put made: a killed one before it may have.
	for _, dir := range slices.Backward(parents(p.loc.dir)) {
		if p.staged {
			break // made with the file, when it is moved to its place
		}
		rerr := p.store.removeEmpty(p.store.root, dir)
		if rerr != nil && stillUsed(rerr) {
			break
		}
		if rerr != nil {
			also = and(also, fmt.Errorf("removing a directory: %w", cause(rerr)))
			break
		}
	}
	if failed, ok := err.(*drivers.Error); ok && also != nil {
		failed.Err = and(failed.Err, also)
	}
	return err
}

// stillUsed says that a directory could not be removed because it is not empty,
// is the place where something is mounted, or is no directory but a link.
func stillUsed(err error) bool {
	return errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EEXIST) || errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.ENOTDIR)
}
