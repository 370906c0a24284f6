package copies

import (
	"encoding/binary"
	"encoding/hex"
	"time"

	"github.com/kedge/kedge/drivers"
)

// A value in the file is
//
//	flags        two bytes, big endian, of the bits below
//	when         a varint of twice the seconds since epoch, and one more where it is kept
//	key          the whole one, where the entry is filed under its sum
//	source       what the flags do not tell of it: URI, digest, length, version
//	destination  likewise
//	put          where it is Intended: the MD5s of what may stand there, if all are known
//
// Texts have their length before them, as a varint. Lengths of payloads are varints.
const (
	flagState = 0x07 // State - 1
	flagSame  = 0x08 // the destination's digest and length are the source's

	sourceShift      = 4  // where the flags of the source begin
	destinationShift = 10 // and those of the destination
	sideFlags        = 0x3f

	sideMade       = 0x01 // the URI is what the store makes of the key
	sideCompressed = 0x02
	sideDigest     = 0x0c // one of those below
	digestSum      = 0x04 // 16 bytes
	digestText     = 0x08
	sideVersion    = 0x30 // one of those below
	versionSum     = 0x10 // 8 bytes
	versionDigest  = 0x20 // the version is the digest, as S3 has it
	versionQuoted  = 0x30 // it is the digest in quotation marks
)

// epoch makes the times of the record short.
var epoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).Unix()

// places make the URIs that the two stores of the file have for a key.
type places struct {
	source, destination func(drivers.Key) (string, error)
}

func (p places) turned() places { return places{source: p.destination, destination: p.source} }

// madeBy says whether a store makes this URI of this key.
func madeBy(store func(drivers.Key) (string, error), key drivers.Key, uri string) bool {
	made, err := store(key)
	return err == nil && made == uri
}

// value encodes what the key does not say. long is the whole key, where the entry is filed
// under its sum.
func (p places) value(c Copy, long []byte) []byte {
	flags := uint16(c.State-1) & flagState
	same := c.Source.Digest == c.Destination.Digest && c.Source.Bytes == c.Destination.Bytes
	source := c.Source.flags(madeBy(p.source, c.Key, c.Source.URI))
	destination := c.Destination.flags(madeBy(p.destination, c.Key, c.Destination.URI))
	if same {
		flags |= flagSame
		destination &^= sideDigest
	}
	flags |= source<<sourceShift | destination<<destinationShift
	b := binary.BigEndian.AppendUint16(make([]byte, 0, 64), flags)
	when := 2 * (c.When.Unix() - epoch)
	if c.Kept {
		when++
	}
	b = binary.AppendVarint(b, when)
	if long != nil {
		b = appendBytes(b, long)
	}
	b = c.Source.append(b, source, false)
	b = c.Destination.append(b, destination, same)
	if c.State == Intended {
		b = append(b, c.Put.sums...)
	}
	return b
}

// flags are what is told of a side in bits.
func (s Side) flags(made bool) (flags uint16) {
	if made {
		flags |= sideMade
	}
	if s.Compressed {
		flags |= sideCompressed
	}
	if _, ok := unhex(s.Digest); ok && len(s.Digest) == 32 {
		flags |= digestSum
	} else if s.Digest != "" {
		flags |= digestText
	}
	switch sum, ok := s.versionSum(); {
	case !ok:
	case sum == sumOfVersion(s.Digest):
		flags |= versionDigest
	case sum == sumOfVersion(quoted(s.Digest)):
		flags |= versionQuoted
	default:
		flags |= versionSum
	}
	return flags
}

func quoted(digest string) string { return `"` + digest + `"` }

// append writes what the flags do not tell; same leaves digest and length away.
func (s Side) append(b []byte, flags uint16, same bool) []byte {
	if flags&sideMade == 0 {
		b = appendBytes(b, []byte(s.URI))
	}
	if !same {
		switch flags & sideDigest {
		case digestSum:
			sum, _ := unhex(s.Digest)
			b = append(b, sum...)
		case digestText:
			b = appendBytes(b, []byte(s.Digest))
		}
		b = binary.AppendVarint(b, s.Bytes)
	}
	if flags&sideVersion == versionSum {
		sum, _ := s.versionSum()
		b = append(b, sum[:]...)
	}
	return b
}

func appendBytes(b, text []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(text)))
	return append(b, text...)
}

// reader reads a value's parts. After the first that is damaged it gives zeros.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) take(n int) []byte {
	if r.err != nil || n > len(r.rest) {
		r.err = errEntry
		return make([]byte, min(n, 16))
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) varint() int64 {
	n, used := binary.Varint(r.rest)
	if r.err != nil || used <= 0 {
		r.err = errEntry
		return 0
	}
	r.rest = r.rest[used:]
	return n
}

func (r *reader) bytes() []byte {
	n, used := binary.Uvarint(r.rest)
	if r.err != nil || used <= 0 || n > uint64(len(r.rest)-used) {
		r.err = errEntry
		return nil
	}
	r.rest = r.rest[used:]
	return r.take(int(n))
}

// stateOf is the state of a value.
func stateOf(value []byte) (State, error) {
	if len(value) < 2 {
		return None, errEntry
	}
	s := State(value[1]&flagState) + 1
	if s >= states {
		return None, errEntry
	}
	return s, nil
}

// read is value's inverse. bucket gives a bucket by its number.
func (p places) read(filed, value []byte, bucket func(byte) (string, bool)) (c Copy, err error) {
	r := &reader{rest: value}
	flags := binary.BigEndian.Uint16(r.take(2))
	c.State = State(flags&flagState) + 1
	when := r.varint()
	c.When, c.Kept = time.Unix(when>>1+epoch, 0).UTC(), when&1 == 1
	if c.State >= states {
		return c, errEntry
	}
	if summed(filed) {
		filed = r.bytes()
	}
	if r.err != nil {
		return c, r.err
	}
	if c.Key, c.Name, err = readKey(filed, bucket); err != nil {
		return c, err
	}
	c.Source = r.side(flags>>sourceShift&sideFlags, nil)
	var same *Side
	if flags&flagSame != 0 {
		same = &c.Source
	}
	c.Destination = r.side(flags>>destinationShift&sideFlags, same)
	if c.State == Intended {
		var ok bool
		if c.Put, ok = tracesOf(r.rest); ok {
			r.rest = nil
		}
	}
	if r.err != nil || len(r.rest) != 0 {
		return c, errEntry
	}
	if err := made(p.source, c.Key, flags>>sourceShift, &c.Source.URI); err != nil {
		return c, err
	}
	return c, made(p.destination, c.Key, flags>>destinationShift, &c.Destination.URI)
}

// made fills in the URI that the store makes.
func made(store func(drivers.Key) (string, error), key drivers.Key, flags uint16, uri *string) (err error) {
	if flags&sideMade != 0 {
		*uri, err = store(key)
	}
	return err
}

// side reads what the flags do not tell of a side. same is the one whose digest and
// length it has, nil where it has its own.
func (r *reader) side(flags uint16, same *Side) (s Side) {
	if flags&sideMade == 0 {
		s.URI = string(r.bytes())
	}
	s.Compressed = flags&sideCompressed != 0
	switch kind := flags & sideDigest; {
	case same != nil && kind == 0:
		s.Digest, s.Bytes = same.Digest, same.Bytes
	case same != nil || kind == sideDigest:
		r.err = errEntry
	default:
		if kind == digestSum {
			s.Digest = hex.EncodeToString(r.take(16))
		} else if kind == digestText {
			s.Digest = string(r.bytes())
		}
		s.Bytes = r.varint()
	}
	switch flags & sideVersion {
	case versionSum:
		s.sum = [8]byte(r.take(8))
	case versionDigest:
		s.sum = sumOfVersion(s.Digest)
	case versionQuoted:
		s.sum = sumOfVersion(quoted(s.Digest))
	}
	s.versioned = flags&sideVersion != 0
	return s
}
