package copies

import (
	"bytes"
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kedge/kedge/drivers"
)

func sourceURI(k drivers.Key) (string, error) {
	return "db://" + k.UserID + "/" + k.Bucket + "/" + k.ArchiveID, nil
}

func destinationURI(k drivers.Key) (string, error) {
	return "s3://bucket/" + k.UserID + "/" + k.Bucket + "/" + k.ArchiveID, nil
}

var testPlaces = places{source: sourceURI, destination: destinationURI}

const (
	digest  = "0123456789abcdef0123456789abcdef"
	digest2 = "fedcba9876543210fedcba9876543210"
	hex64   = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	uuid    = "00112233-4455-6677-8899-aabbccddeeff"
)

// awkward are texts that a key may hold and that an encoding may take for another.
var awkward = []string{
	"", "a", "admin", "\x00", "\x00\x01", "\x00\xff", "a\x00b", "\xff\xfe", "\x01", ".json", "a.json",
	hex64, strings.ToUpper(hex64), hex64[:63] + "g", hex64[:32], hex64[:31], "sha256:" + hex64, "sha256:" + hex64[:63], "SHA256:" + hex64,
	uuid, strings.ToUpper(uuid), "00112233-4455-6677-8899-aabbccddee--", "----" + hex64[:32], strings.Repeat("-", 36),
	strings.Repeat("\x00", 600),
}

// tableFor gives one bucket a number.
func tableFor(bucket string) (byte, func(byte) (string, bool)) {
	return 7, func(n byte) (string, bool) { return bucket, n == 7 }
}

// kept is what is left of a side that was in the file.
func kept(s Side) Side {
	s.sum, s.versioned = s.versionSum()
	s.Version = ""
	return s
}

func checkRoundTrip(t *testing.T, c Copy, number byte, bucket func(byte) (string, bool)) {
	t.Helper()
	filed, long := inFile(number, c.Key, c.Name)
	value := testPlaces.value(c, long)
	got, err := testPlaces.read(filed, value, bucket)
	if err != nil {
		t.Fatalf("%+v: %v", c, err)
	}
	want := c
	want.Source, want.Destination = kept(c.Source), kept(c.Destination)
	want.When = c.When.UTC().Truncate(time.Second)
	if got != want {
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
	if s, err := stateOf(value); err != nil || s != c.State {
		t.Fatalf("state %v, %v; want %v", s, err, c.State)
	}
	if again := testPlaces.value(got, long); !bytes.Equal(again, value) {
		t.Fatalf("%+v is encoded otherwise when it was read: %x, %x", c, value, again)
	}
}

// Every text comes back, and no two keys have one place in the file.
func TestEveryKeySurvives(t *testing.T) {
	t.Parallel()
	seen := map[string][4]string{}
	for _, bucket := range []string{"", "b", "\x00", "\x00\x01", strings.Repeat("b", 1020)} {
		for _, archive := range awkward {
			for _, user := range awkward {
				for _, name := range append([]string{archive + ".json"}, awkward...) {
					k := drivers.Key{UserID: user, Bucket: bucket, ArchiveID: archive}
					c := Copy{Key: k, Name: name, State: Copied, When: time.Unix(1e9, 0)}
					checkRoundTrip(t, c, bucketInKey, nil)
					filed, _ := inFile(bucketInKey, k, name)
					if len(filed) > keyBytes {
						t.Fatalf("a key of %d bytes", len(filed))
					}
					is := [4]string{bucket, archive, user, name}
					if was, ok := seen[string(filed)]; ok && was != is {
						t.Fatalf("%q and %q are filed as one", was, is)
					}
					seen[string(filed)] = is
				}
			}
		}
	}
}

func TestEveryEntrySurvives(t *testing.T) {
	t.Parallel()
	key := drivers.Key{UserID: "admin", Bucket: "analysis_data", ArchiveID: hex64}
	number, bucket := tableFor(key.Bucket)
	made, _ := sourceURI(key)
	madeThere, _ := destinationURI(key)
	digests := []string{"", digest, digest2, strings.ToUpper(digest), "no digest", "\x00"}
	for _, uri := range []string{"", made, madeThere, "db://elsewhere\x00"} {
		for _, d := range digests {
			for _, other := range digests {
				for _, version := range []string{"", "v1", d, other, `"` + d + `"`, `"` + other + `"`} {
					for _, length := range []int64{-1, 0, 1, 1 << 40, -1 << 63} {
						for i := range 2 {
							checkRoundTrip(t, Copy{
								Key: key, Name: hex64 + ".json", State: Intended + State(length&3), When: time.Unix(length%(1<<40), 0), Kept: i == 0,
								Source:      Side{URI: uri, Digest: d, Bytes: length, Compressed: i == 0, Version: version},
								Destination: Side{URI: madeThere, Digest: other, Bytes: length + int64(i), Compressed: i == 1, Version: version},
							}, number, bucket)
						}
					}
				}
			}
		}
	}
	checkRoundTrip(t, Copy{Key: key, State: Doubted}, number, bucket) // the zero time
}

// Keys of one form sort as the catalog does: bucket, archiveId, userId, name.
func TestKeysSortAsTheCatalogDoes(t *testing.T) {
	t.Parallel()
	texts := []string{"", "\x00", "\x00\x00", "\x00\x01", "\x01", "a", "a\x00", "a\x00b", "a\x01", "aa", "b", "\xff"}
	type row [3]string
	var rows []row
	for _, a := range texts {
		for _, u := range texts {
			for _, n := range texts {
				rows = append(rows, row{a, u, n})
			}
		}
	}
	filed := func(r row) []byte {
		return whole(1, drivers.Key{ArchiveID: r[0], UserID: r[1]}, r[2]+"x") // none is usual
	}
	rand.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	slices.SortFunc(rows, func(a, b row) int { return bytes.Compare(filed(a), filed(b)) })
	if !slices.IsSortedFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]), cmp.Compare(a[2]+"x", b[2]+"x"))
	}) {
		t.Error("they do not")
	}
}

func TestAnUsualEntryIsShort(t *testing.T) {
	t.Parallel()
	key := drivers.Key{UserID: uuid, Bucket: "analysis_data", ArchiveID: hex64}
	number, _ := tableFor(key.Bucket)
	source, _ := sourceURI(key)
	destination, _ := destinationURI(key)
	c := Copy{Key: key, Name: hex64 + ".json", State: Copied, When: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
		Source:      Side{URI: source, Digest: digest, Bytes: 100_000},
		Destination: Side{URI: destination, Digest: digest, Bytes: 100_000, Version: `"` + digest + `"`}}
	filed, long := inFile(number, key, c.Name)
	if n := len(filed) + len(testPlaces.value(c, long)); n > 75 {
		t.Errorf("%d bytes", n)
	}
}

func TestVersionsAreCompared(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		side        Side
		version     string
		same, known bool
	}{
		{Side{Version: "a"}, "a", true, true},
		{Side{Version: "a"}, "b", false, true},
		{Side{Version: "a"}, "", false, false},
		{Side{}, "a", false, false},
		{Side{}, "", false, false},
		{kept(Side{Version: "a"}), "a", true, true},
		{kept(Side{Version: "a"}), "b", false, true},
		{kept(Side{Version: "a"}), "", false, false},
		{kept(Side{}), "a", false, false},
	} {
		if same, known := test.side.SameVersion(test.version); same != test.same || known != test.known {
			t.Errorf("%+v, %q: %v, %v", test.side, test.version, same, known)
		}
	}
}

// What is in the file comes back as it was, and whatever is in the file is read or refused.
func FuzzEntry(f *testing.F) {
	f.Add("analysis_data", hex64, uuid, hex64+".json", "db://x", digest, digest2, "v", int64(1), int64(2), byte(1), []byte{1, 2}, []byte{3})
	f.Add("", "", "", "", "", "", "", digest, int64(-1), int64(0), byte(7), []byte{}, []byte{})
	key := drivers.Key{UserID: "u", Bucket: "b", ArchiveID: "a"}
	filed, _ := inFile(bucketInKey, key, "n")
	f.Add("b", "a", "u", "n", "", digest, digest, digest, int64(0), int64(0), byte(2), filed, testPlaces.value(Copy{Key: key, State: Copied}, nil))
	f.Fuzz(func(t *testing.T, bucket, archive, user, name, uri, digest, other, version string, length, more int64, how byte, filed, value []byte) {
		c := Copy{
			Key: drivers.Key{UserID: user, Bucket: bucket, ArchiveID: archive}, Name: name,
			State: Intended + State(how&3), When: time.Unix(length%(1<<40), 0),
			Source:      Side{URI: uri, Digest: digest, Bytes: length, Compressed: how&4 != 0},
			Destination: Side{URI: uri, Digest: other, Bytes: more, Compressed: how&8 != 0, Version: version},
		}
		if how&16 != 0 {
			c.Source.URI, _ = sourceURI(c.Key)
			c.Destination.URI, _ = destinationURI(c.Key)
		}
		number, table := tableFor(bucket)
		if how&32 != 0 {
			number = bucketInKey
		}
		checkRoundTrip(t, c, number, table)

		if read, err := testPlaces.read(filed, value, table); err == nil {
			if n, _ := inFile(number, read.Key, read.Name); len(n) == 0 {
				t.Error("no key")
			}
			number := filed[0]
			if number == numberOfSums {
				return
			}
			checkRoundTrip(t, read, number, func(n byte) (string, bool) { return read.Key.Bucket, n == number })
		}
	})
}
