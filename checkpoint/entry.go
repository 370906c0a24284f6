package checkpoint

import (
	"encoding/binary"
	"errors"
)

// Entry is one document of a batch: its row's primary key and where it was when
// the batch was intended.
type Entry struct {
	UserID, Bucket, ArchiveID, Name string
	URI                             string
}

// Failure is a document that could not be moved, or whose source could not be
// deleted.
type Failure struct {
	Entry
	// Stage is where it failed; package failure has the names.
	Stage string
	// Class groups failures of one sort; a stable word.
	Class string
	// Reason is the whole reason, one line, without secrets.
	Reason string
}

var errShort = errors.New("record ends early")

// Strings are written as a varint length and the bytes: keys may hold any
// bytes, so no text format would do without escaping.
func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func cutString(b []byte) (s string, rest []byte, err error) {
	n, used := binary.Uvarint(b)
	if used <= 0 || n > uint64(len(b)-used) {
		return "", nil, errShort
	}
	return string(b[used : used+int(n)]), b[used+int(n):], nil
}

func (e Entry) append(b []byte) []byte {
	for _, s := range [...]string{e.UserID, e.Bucket, e.ArchiveID, e.Name, e.URI} {
		b = appendString(b, s)
	}
	return b
}

func (e *Entry) cut(b []byte) (rest []byte, err error) {
	for _, s := range [...]*string{&e.UserID, &e.Bucket, &e.ArchiveID, &e.Name, &e.URI} {
		if *s, b, err = cutString(b); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// documentKey is the key of a failure: the row's primary key.
func (e Entry) documentKey() []byte {
	var b []byte
	for _, s := range [...]string{e.Bucket, e.ArchiveID, e.UserID, e.Name} {
		b = appendString(b, s)
	}
	return b
}

func encodeEntries(entries []Entry) []byte {
	b := binary.AppendUvarint(nil, uint64(len(entries)))
	for _, e := range entries {
		b = e.append(b)
	}
	return b
}

func decodeEntries(b []byte) ([]Entry, error) {
	n, used := binary.Uvarint(b)
	if used <= 0 || n > uint64(len(b)) {
		return nil, errShort
	}
	b = b[used:]
	entries := make([]Entry, n)
	for i := range entries {
		var err error
		if b, err = entries[i].cut(b); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

func (f Failure) encode() []byte {
	b := f.Entry.append(nil)
	for _, s := range [...]string{f.Stage, f.Class, f.Reason} {
		b = appendString(b, s)
	}
	return b
}

func decodeFailure(b []byte) (f Failure, err error) {
	if b, err = f.cut(b); err != nil {
		return f, err
	}
	for _, s := range [...]*string{&f.Stage, &f.Class, &f.Reason} {
		if *s, b, err = cutString(b); err != nil {
			return f, err
		}
	}
	return f, nil
}
