package forms

// Compression is a store's rule: which payloads are compressed when they are
// put. Anchore compresses what is longer than MinBytes bytes as a plain
// document, with zlib (RFC 1950) at level 3.
type Compression struct {
	Enabled  bool
	MinBytes int64 // may be negative: everything is longer
}

// Compresses says whether a document of so many plain bytes is stored compressed.
func (c Compression) Compresses(plainBytes int64) bool { return c.Enabled && plainBytes > c.MinBytes }

// Change is what becomes of a payload on the way.
type Change int

// The changes of a payload.
const (
	Compress Change = iota
	Decompress
	Pass      // the same bytes at the destination
	Undecided // only the payload itself tells

	Changes // how many there are
)

// ChangeOf says what becomes of a payload of so many bytes, stored compressed or
// plain, where the rule is the destination's; known is whether its length is.
func (c Compression) ChangeOf(compressed bool, bytes int64, known bool) Change {
	switch {
	case compressed && !c.Enabled:
		return Decompress
	case !compressed && !c.Enabled:
		return Pass
	case !known:
		return Undecided
	case !compressed && c.Compresses(bytes):
		return Compress
	case !compressed || c.Compresses(leastPlain(bytes)):
		return Pass
	default:
		return Undecided
	}
}

// leastPlain is how many bytes the plain document in a zlib payload of so many
// bytes has at least: what cannot be compressed becomes longer by 5 bytes in
// 16 KiB, and a few more.
func leastPlain(bytes int64) int64 { return bytes - bytes/1000 - 64 }
