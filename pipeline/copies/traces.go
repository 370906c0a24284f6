package copies

import (
	"encoding/hex"
	"strings"
)

// Traces are the MD5s of whatever kedge may have put at one place; the zero value knows
// nothing of them. By these a copy that nothing has proved is told from what somebody else
// has put there.
type Traces struct {
	known bool
	sums  string // 16 bytes each
}

const sumBytes = 16

// mostTraces is how many MD5s are kept. With more of them nothing is known.
const mostTraces = 16

// Traces are those of an entry: what may stand at its destination, as far as kedge has put
// it there.
func (c Copy) Traces() Traces {
	switch c.State {
	case None:
		return Traces{known: true}
	case Intended:
		return c.Put
	default:
		return Traces{known: true}.And(c.Destination.Digest)
	}
}

// And adds an MD5 in hex; "", of what is not known yet, leaves nothing known.
func (t Traces) And(digest string) Traces {
	sum, err := hex.DecodeString(digest)
	if !t.known || err != nil || len(sum) != sumBytes || len(t.sums) == mostTraces*sumBytes {
		return Traces{}
	}
	if t.Has(digest) {
		return t
	}
	return Traces{known: true, sums: t.sums + string(sum)}
}

// Known says whether there can be no others.
func (t Traces) Known() bool { return t.known }

// Has says whether an MD5 is one of them.
func (t Traces) Has(digest string) bool {
	for rest := t.sums; rest != ""; rest = rest[sumBytes:] {
		if strings.EqualFold(hex.EncodeToString([]byte(rest[:sumBytes])), digest) {
			return true
		}
	}
	return false
}

// tracesOf reads what stands behind an entry.
func tracesOf(rest []byte) (t Traces, ok bool) {
	return Traces{known: len(rest) > 0, sums: string(rest)}, len(rest)%sumBytes == 0 && len(rest) <= mostTraces*sumBytes
}
