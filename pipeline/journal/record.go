package journal

import (
	"encoding/binary"
	"errors"
	"time"
)

func (r Record) encode(b []byte) []byte {
	b = binary.AppendVarint(b, r.When.UnixMilli())
	b = binary.AppendVarint(b, r.Task)
	b = append(b, byte(r.Result))
	for _, s := range [...]string{r.UserID, r.Bucket, r.ArchiveID, r.DocumentName, r.From, r.To, r.PlainDigest, r.StoredDigest} {
		b = appendString(b, s)
	}
	b = binary.AppendVarint(b, r.PlainBytes)
	b = binary.AppendVarint(b, r.StoredBytes)
	compressed := byte(0)
	if r.Compressed {
		compressed = 1
	}
	b = append(b, compressed)
	b = appendString(b, r.Class)
	return appendString(b, r.Reason)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// fields takes a record apart; after the end of the record all is zero.
type fields struct {
	rest []byte
	bad  bool
}

func (f *fields) integer() int64 {
	if len(f.rest) == 0 {
		return 0
	}
	n, used := binary.Varint(f.rest)
	if used <= 0 {
		f.bad, f.rest = true, nil
		return 0
	}
	f.rest = f.rest[used:]
	return n
}

func (f *fields) byte() byte {
	if len(f.rest) == 0 {
		return 0
	}
	b := f.rest[0]
	f.rest = f.rest[1:]
	return b
}

func (f *fields) string() string {
	if len(f.rest) == 0 {
		return ""
	}
	n, used := binary.Uvarint(f.rest)
	if used <= 0 || n > uint64(len(f.rest)-used) {
		f.bad, f.rest = true, nil
		return ""
	}
	s := string(f.rest[used : used+int(n)])
	f.rest = f.rest[used+int(n):]
	return s
}

func decode(frame []byte) (r Record, err error) {
	f := fields{rest: frame}
	r.When = time.UnixMilli(f.integer()).UTC()
	r.Task = f.integer()
	r.Result = Result(f.byte())
	for _, s := range [...]*string{&r.UserID, &r.Bucket, &r.ArchiveID, &r.DocumentName, &r.From, &r.To, &r.PlainDigest, &r.StoredDigest} {
		*s = f.string()
	}
	r.PlainBytes = f.integer()
	r.StoredBytes = f.integer()
	r.Compressed = f.byte() == 1
	r.Class = f.string()
	r.Reason = f.string()
	if f.bad {
		return Record{}, errors.New("the journal holds a record that cannot be read")
	}
	return r, nil
}
