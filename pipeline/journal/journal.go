// Package journal writes and reads the audit journal of migrations: one record for
// each document, which says what was done with it.
//
// The file is append-only. It begins with the 8 bytes "kedgejl1". Each record is
// a frame: its length in bytes as a varint (encoding/binary's unsigned one), its
// CRC-32C in 4 bytes, little endian, and the record. A record is the fields of
// Record in their order: strings as a varint length and the bytes, integers as
// signed varints, booleans and results as one byte, times as Unix milliseconds.
// Later versions may add fields at the end. A reader takes missing fields as zero and
// ignores those it does not know.
//
// When a crash leaves a record half-written at the end, the next open recognises it by
// length and checksum, and cuts it off.
package journal

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"time"
)

const magic = "kedgejl1"

// maxRecordBytes bounds what a reader allocates for a damaged length.
const maxRecordBytes = 1 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Result is what became of a document.
type Result byte

// The results. A document that failed may have several records, one for each
// run that tried.
const (
	Moved  Result = 'm' // the catalog names the new place, the source is deleted
	Kept   Result = 'k' // the catalog names the new place, the source was left (--nodelete)
	Failed Result = 'f' // it stays at the old place, see Reason
	Left   Result = 'l' // moved, but its source could not be deleted, see Reason
	Purged Result = 'p' // the source of a document moved before was deleted
)

// String names the result.
func (r Result) String() string {
	switch r {
	case Moved:
		return "moved"
	case Kept:
		return "moved, source kept"
	case Failed:
		return "failed"
	case Left:
		return "moved, source left"
	case Purged:
		return "purged"
	default:
		return "unknown"
	}
}

// Record is what was done with one document.
type Record struct {
	When                                    time.Time
	Task                                    int64
	Result                                  Result
	UserID, Bucket, ArchiveID, DocumentName string
	From, To                                string // URIs; To is "" for a document that failed
	// Digests are MD5 in lower-case hex, of the plain document and of the
	// payload as stored at the new place; "" where unknown. Lengths are in
	// bytes, -1 where unknown.
	PlainDigest, StoredDigest string
	PlainBytes, StoredBytes   int64
	Compressed                bool
	Class, Reason             string // of a failure
}

// Writer appends records. It is not safe for concurrent use.
type Writer struct {
	file   *os.File
	buffer *bufio.Writer
	frame  []byte
	offset int64 // behind the last record appended
}

// Path is where the journal of a migration with this checkpoint is.
func Path(checkpoint string) string { return checkpoint + ".journal" }

// Open opens a journal to append to it, or makes a new one (mode 0600). A torn
// record at its end is cut off. good is an Offset that an earlier Writer of the
// file had after a Sync, 0 if there is none: what lies before it is not looked
// at again.
func Open(path string, good int64) (*Writer, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	w, err := appendTo(f, good)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open journal %s: %w", path, err), f.Close())
	}
	return w, nil
}

func appendTo(f *os.File, good int64) (*Writer, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	end := int64(0)
	if info.Size() > 0 {
		if end, err = lastGood(f, min(good, info.Size())); err != nil {
			return nil, err
		}
	}
	if err := f.Truncate(end); err != nil {
		return nil, err
	}
	if _, err := f.Seek(end, io.SeekStart); err != nil {
		return nil, err
	}
	w := &Writer{file: f, buffer: bufio.NewWriterSize(f, 64<<10), offset: max(end, int64(len(magic)))}
	if end == 0 {
		_, err = w.buffer.WriteString(magic)
	}
	return w, err
}

// lastGood finds the end of the last whole record.
func lastGood(f *os.File, good int64) (int64, error) {
	r, err := NewReader(f)
	if err != nil {
		return 0, err
	}
	if good > r.offset {
		if _, err := f.Seek(good, io.SeekStart); err != nil {
			return 0, err
		}
		r.in.Reset(f)
		r.offset = good
	}
	for {
		switch _, err := r.Next(); {
		case err == io.EOF, errors.Is(err, ErrTorn):
			return r.offset, nil
		case err != nil:
			return 0, err
		}
	}
}

// Offset is the length of the journal in bytes with all records appended.
func (w *Writer) Offset() int64 { return w.offset }

// Append adds a record. It is durable after Sync.
func (w *Writer) Append(r Record) error {
	w.frame = r.encode(w.frame[:0])
	var head [binary.MaxVarintLen64 + 4]byte
	n := binary.PutUvarint(head[:], uint64(len(w.frame)))
	binary.LittleEndian.PutUint32(head[n:], crc32.Checksum(w.frame, castagnoli))
	if _, err := w.buffer.Write(head[:n+4]); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	if _, err := w.buffer.Write(w.frame); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	w.offset += int64(n + 4 + len(w.frame))
	return nil
}

// Sync makes all records durable that were appended before.
func (w *Writer) Sync() error {
	if err := w.buffer.Flush(); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	if err := w.file.Sync(); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

// Close writes what is still buffered and closes the file.
func (w *Writer) Close() error {
	return errors.Join(w.buffer.Flush(), w.file.Close())
}

// ErrTorn says that the journal ends in the middle of a record, as a crash
// leaves it. All records before are good.
var ErrTorn = errors.New("the journal's last record is incomplete")

// Reader reads records in the order in which they were written. It is not safe
// for concurrent use.
type Reader struct {
	in     *bufio.Reader
	offset int64 // behind the last good record
	frame  []byte
}

// NewReader reads a journal from its beginning. It fails for what is none.
func NewReader(in io.Reader) (*Reader, error) {
	r := &Reader{in: bufio.NewReaderSize(in, 64<<10)}
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(r.in, head); err != nil || string(head) != magic {
		return nil, errors.New("not a journal of kedge")
	}
	r.offset = int64(len(magic))
	return r, nil
}

// Next gives the next record; io.EOF at the end, ErrTorn where a crash has left
// a part of one.
func (r *Reader) Next() (Record, error) {
	length, err := binary.ReadUvarint(r.in)
	if err == io.EOF {
		return Record{}, io.EOF
	}
	if err != nil || length > maxRecordBytes {
		return Record{}, ErrTorn
	}
	var sum [4]byte
	if _, err := io.ReadFull(r.in, sum[:]); err != nil {
		return Record{}, ErrTorn
	}
	if uint64(cap(r.frame)) < length {
		r.frame = make([]byte, length)
	}
	frame := r.frame[:length]
	if _, err := io.ReadFull(r.in, frame); err != nil || crc32.Checksum(frame, castagnoli) != binary.LittleEndian.Uint32(sum[:]) {
		return Record{}, ErrTorn
	}
	record, err := decode(frame)
	if err != nil {
		return Record{}, err
	}
	r.offset += int64(uvarintBytes(length)) + 4 + int64(length)
	return record, nil
}

func uvarintBytes(n uint64) int {
	return len(binary.AppendUvarint(nil, n))
}
