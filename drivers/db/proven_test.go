package db

import (
	"testing"

	"github.com/kedge/kedge/drivers"
)

// A text that decode() would refuse ends no listing: such a payload has no MD5. White
// space is none of a payload's.
func TestAProvenListingPassesOverUnsoundPayloads(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, base Database, run exec) {
		d := mustOpen(t, openers()[0], base)
		of := func(payload string) string { return sum([]byte(payload)) }
		want := map[string]string{}
		for _, row := range []struct {
			id, text string
			encoded  bool
			md5      string
		}{
			{"plain", "héllo\n", false, of("héllo\n")},
			{"empty", "", false, of("")},
			{"lines", "aGVs\nbG8g\r\nd29y bGQ=\n", true, of("hello world")},
			{"empty base64", "\n", true, of("")},
			{"cut", "aGVsbG8", true, ""},
			{"symbols", "aGV*bG8=", true, ""},
			{"three", "a===", true, ""},
			{"inside", "aG==bG8=", true, ""},
		} {
			seed(t, run, row.id, row.id+".json", row.text, row.encoded)
			want[uriOf(t, d, row.id)] = row.md5
		}
		seen := 0
		err := d.(drivers.Prover).ListProven(t.Context(), func(uri string, info drivers.Info) error {
			seen++
			if info.MD5 != want[uri] {
				t.Errorf("%s has MD5 %q, want %q", uri, info.MD5, want[uri])
			}
			return nil
		})
		if err != nil || seen != len(want) {
			t.Errorf("%d of %d payloads, %v", seen, len(want), err)
		}
	})
}
