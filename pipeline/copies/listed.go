package copies

import (
	"bufio"
	"context"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/spread"
)

// A listing and the record are compared without holding either: both are spread over
// files by the MD5 of each URI, and then compared file by file.

// listed is what a listing tells of a payload.
type listed struct {
	bytes   int64
	md5     [16]byte
	version [8]byte
	told    told
}

// told says what of a payload a listing has told.
type told uint8

const (
	toldMD5 told = 1 << iota
	// toldTag: it is a version that may be the MD5, as an ETag is.
	toldTag
	toldVersion
	// toldTwice: two entries of the listing differ. Neither is believed.
	toldTwice
)

// listedBytes is how long an entry in the file is: the URI's sum, and listed.
const listedBytes = 16 + 8 + 16 + 8 + 1

func (l listed) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(l.bytes))
	b = append(b, l.md5[:]...)
	b = append(b, l.version[:]...)
	return append(b, byte(l.told))
}

func readListed(b []byte) (sum [16]byte, l listed) {
	return [16]byte(b), listed{bytes: int64(binary.BigEndian.Uint64(b[16:])), md5: [16]byte(b[24:]), version: [8]byte(b[40:]), told: told(b[48])}
}

func listedOf(info drivers.Info) listed {
	l := listed{bytes: info.Bytes}
	if sum, ok := unhex(info.MD5); ok && len(sum) == len(l.md5) {
		l.md5, l.told = [16]byte(sum), toldMD5
	}
	if info.Version != "" {
		l.version = sumOfVersion(info.Version)
		l.told |= toldVersion
		if sum, ok := unhex(info.Version); ok && len(sum) == len(l.md5) && l.told&toldMD5 == 0 {
			l.md5 = [16]byte(sum)
			l.told |= toldTag
		}
	}
	return l
}

// confirms says whether this is the payload of a side, for all that the listing tells:
// its length alone says nothing.
func (l listed) confirms(s Side) bool {
	switch {
	case l.told&toldTwice != 0 || l.bytes != s.Bytes:
		return false
	case l.proves(s.Digest):
		return true
	case l.told&toldMD5 != 0 || l.told&toldVersion == 0:
		return false
	}
	sum, known := s.versionSum()
	return known && sum == l.version
}

// leavesOpen says that only the version could tell whether this is the payload of a side,
// and that the record has none: it was not known when the entry was made.
func (l listed) leavesOpen(s Side) bool {
	_, known := s.versionSum()
	return !known && l.told&toldVersion != 0 && l.told&(toldMD5|toldTwice) == 0 && l.bytes == s.Bytes && !l.proves(s.Digest)
}

// proves says whether the listing tells that the payload has this MD5. An ETag that is
// equal to it is it.
func (l listed) proves(digest string) bool {
	return l.told&toldTwice == 0 && l.told&(toldMD5|toldTag) != 0 && hex.EncodeToString(l.md5[:]) == digest
}

// spreadListing lists a store into files. useful says whether it has told anything of
// some payload that is wanted, or has none.
func spreadListing(ctx context.Context, folder, name string, list listing, wanted told) (files [spread.Files]string, useful bool, err error) {
	useful = true
	first := true
	files, err = spread.Over(folder, name, func(put func([16]byte, []byte) error) error {
		var buffer []byte
		return list(ctx, func(uri string, info drivers.Info) error {
			one := listedOf(info)
			tells := one.told&wanted != 0
			useful, first = tells || useful && !first, false
			buffer = one.append(buffer[:0])
			return put(md5.Sum([]byte(uri)), buffer)
		})
	})
	return files, useful, err
}

// readListing reads a file of what a store lists, by the sums of the URIs.
func readListing(path string) (map[[16]byte]listed, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	all := make(map[[16]byte]listed, info.Size()/listedBytes)
	in := bufio.NewReaderSize(f, 64<<10)
	var b [listedBytes]byte
	for {
		switch _, err := io.ReadFull(in, b[:]); err {
		case nil:
		case io.EOF:
			return all, nil
		default:
			return nil, err
		}
		sum, l := readListed(b[:])
		if was, ok := all[sum]; ok && was != l {
			l.told = toldTwice
		}
		all[sum] = l
	}
}

// workFolder makes a folder in a folder, in place of those that were left there.
func workFolder(in string) (folder string, remove func() error, err error) {
	const name = "kedge-copies-"
	if err := os.MkdirAll(in, 0o700); err != nil {
		return "", nil, err
	}
	left, err := os.ReadDir(in)
	if err != nil {
		return "", nil, err
	}
	for _, entry := range left {
		if strings.HasPrefix(entry.Name(), name) {
			if err := os.RemoveAll(filepath.Join(in, entry.Name())); err != nil {
				return "", nil, err
			}
		}
	}
	if folder, err = os.MkdirTemp(in, name); err != nil {
		return "", nil, err
	}
	return folder, func() error {
		err := os.RemoveAll(folder)
		_ = os.Remove(in) // it stays where something else is in it
		return err
	}, nil
}

// list compares the record with a listing of the store.
func (c Check) list(ctx context.Context) (_ Checked, err error) {
	list, err := listingOf(c.Store, false)
	if err != nil {
		return Checked{}, err
	}
	folder, remove, err := workFolder(c.Folder)
	if err != nil {
		return Checked{}, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	both := &comparing{Check: c, folder: folder, list: list}
	if err := both.spread(ctx); err != nil {
		return Checked{}, err
	}
	v := c.reading()
	return v.run(ctx, func(read func([]Copy) error) error { return both.compareAll(ctx, v, read) })
}

// spreadRecord puts the entries to be compared as they stand in the record.
func (c Check) spreadRecord(ctx context.Context, some *samples, put func([16]byte, []byte) error) error {
	var cursor Cursor
	var buffer []byte
	for {
		given := 0
		var err error
		cursor, err = c.Record.scan(cursor, scanEntries, trusted, func(k, v []byte) error {
			given++
			entry, err := c.Record.read(k, v)
			if err != nil {
				return err
			}
			// A copy elsewhere is no place in this listing.
			if some.every > 0 && strings.HasPrefix(entry.Destination.URI, c.Store.Prefix()) {
				some.add(entry.Destination.URI)
			}
			buffer = appendBytes(appendBytes(buffer[:0], k), v)
			return put(md5.Sum([]byte(entry.Destination.URI)), buffer)
		})
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil || given == 0 {
			return err
		}
	}
}

// compare compares the i-th file of each. What the listing cannot tell of is read.
func (c *comparing) compare(ctx context.Context, v *verification, i int, missing func([16]byte, Copy) error, read func([]Copy) error) error {
	all, err := readListing(c.held[i])
	if err != nil {
		return err
	}
	var untold []Copy
	err = c.Record.eachSpread(ctx, c.recorded[i], func(sum [16]byte, entry Copy) error {
		switch l, there := all[sum]; {
		case !there && missing != nil && entry.State != entry.State.shown():
			v.say(entry, false) // as before: a copy that was taken back
		case !there && missing != nil:
			return missing(sum, entry)
		case there && l.leavesOpen(entry.Destination):
			untold = append(untold, entry)
		default:
			v.say(entry, there && l.confirms(entry.Destination))
		}
		if len(untold) < pageEntries {
			return nil
		}
		full := untold
		untold = nil
		return read(full)
	})
	if err != nil {
		return err
	}
	return read(untold)
}

// eachSpread calls fn with the entries of a file, each behind its sum.
func (r *Record) eachSpread(ctx context.Context, path string, fn func(sum [16]byte, entry Copy) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 64<<10)
	for {
		var sum [16]byte
		if _, err := io.ReadFull(in, sum[:]); err == io.EOF {
			return context.Cause(ctx)
		} else if err != nil {
			return err
		}
		k, err := readBytes(in)
		if err != nil {
			return err
		}
		value, err := readBytes(in)
		if err != nil {
			return err
		}
		entry, err := r.read(k, value)
		if err != nil {
			return err
		}
		if err := fn(sum, entry); err != nil {
			return err
		}
	}
}

// readBytes reads what appendBytes has written.
func readBytes(in *bufio.Reader) ([]byte, error) {
	n, err := binary.ReadUvarint(in)
	if err != nil {
		return nil, err
	}
	b := make([]byte, n)
	_, err = io.ReadFull(in, b)
	return b, err
}
