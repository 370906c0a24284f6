package forms

import (
	"bytes"
	"compress/zlib"
	"math/rand/v2"
	"testing"
)

// Whatever the payload, its plain document is at least so long as is said.
func TestLeastPlain(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, length := range []int{0, 1, 10, 1000, 16 << 10, 100 << 10, 1<<20 + 7} {
		noise := make([]byte, length)
		for i := range noise {
			noise[i] = byte(random.Uint32())
		}
		for _, plain := range [][]byte{noise, bytes.Repeat([]byte("a"), length)} {
			for level := zlib.NoCompression; level <= zlib.BestCompression; level++ {
				var payload bytes.Buffer
				w, err := zlib.NewWriterLevel(&payload, level)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := w.Write(plain); err != nil {
					t.Fatal(err)
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				if least := leastPlain(int64(payload.Len())); least > int64(length) {
					t.Errorf("a document of %d bytes in a payload of %d is said to have at least %d", length, payload.Len(), least)
				}
			}
		}
	}
}
