package torture

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/kedge/kedge/drivers"
)

// fate is what must become of a document.
type fate int

const (
	moves   fate = iota // to the destination, whole
	stays               // it cannot be moved: row and payload stay as they are
	settled             // it is at the destination already, and stays so, row or not
	foreign             // its row names a place that the migration is not about
	stray               // no row names it; nobody may touch it
	away                // its row was given another place during the migration
	gone                // row and payload were deleted during the migration
)

// document is one document of the model.
type document struct {
	key   drivers.Key
	names []string // of its rows
	plain []byte
	fate  fate
	kind  string // what is special about it, for messages

	// As it is stored at the beginning: payload is nil where there is none.
	payload    []byte
	compressed bool
	url        *string // content_url of its rows
	digest     *string
	size       *int64
	flag       *bool // is_compressed
	large      bool  // streamed by kedge
	// torn: a service was stopped between payload and row. Only a copy of the
	// version that the row tells of can mend that.
	torn bool
}

// compression is a store's rule.
type compression struct {
	enabled bool
	minKB   int
}

// compresses says how a document of so many bytes is stored at a place.
func (c compression) compresses(p *place, bytes int) bool {
	return p.compresses && c.enabled && bytes > c.minKB<<10
}

// model is every document of a round.
type model struct {
	documents []*document
	// sameURIs: the catalog cannot tell source from destination.
	sameURIs bool
}

// author makes documents.
type author struct {
	r              *rand.Rand
	from, to       *place
	rule           compression // of the source
	toRule         compression
	documents      []*document
	users, buckets []string
}

var (
	users   = []string{"admin", "team-a", "ci.builds", "ünï"}
	buckets = []string{"analysis_data", "image_content_data", "manifest_data", "policy_evaluations"}
)

// newModel makes the documents of a round, few of them if small. Half of the
// rounds have some that cannot be moved.
func newModel(r *rand.Rand, from, to *place, rule, toRule compression, small bool) *model {
	m := &model{sameURIs: from.prefix == to.prefix}
	a := &author{r: r, from: from, to: to, rule: rule, toRule: toRule, users: users, buckets: buckets}
	count := 60 + r.IntN(250)
	switch {
	case small:
		count = 60
	case r.IntN(10) == 0:
		count = 700 + r.IntN(700)
	}
	for range count {
		a.ordinary()
	}
	for range 3 + r.IntN(4) {
		a.large(1200<<10 + r.IntN(2<<20))
	}
	if !small && r.IntN(4) == 0 {
		a.large(9<<20 + r.IntN(4<<20)) // several parts of an S3 upload
	}
	a.awkward()
	if r.IntN(2) == 0 {
		a.rotten()
	}
	a.bystanders(m.sameURIs)
	m.documents = a.documents
	return m
}

// key draws a key that every backend can hold and Anchore can read back.
func (a *author) key(id string) drivers.Key {
	return drivers.Key{
		UserID: a.users[a.r.IntN(3)], Bucket: a.buckets[a.r.IntN(len(a.buckets))],
		ArchiveID: fmt.Sprintf("%s%016x%016x", id, a.r.Uint64(), a.r.Uint64()),
	}
}

// streamed is a length beyond which kedge may stream a payload.
const streamed = 600 << 10

// add adds a document that is at the source, with a row that says all of it.
func (a *author) add(kind, id string, plain []byte) *document {
	d := &document{kind: kind, key: a.key(id), plain: plain, payload: plain, large: len(plain) > streamed}
	if d.compressed = a.rule.compresses(a.from, len(plain)); d.compressed {
		d.payload = deflate(plain)
	}
	d.names = []string{d.key.ArchiveID + ".json"}
	uri, digest, size := a.from.uri(d.key), hexMD5(d.payload), int64(len(d.payload))
	d.url, d.digest, d.size, d.flag = &uri, &digest, &size, &d.compressed
	a.documents = append(a.documents, d)
	return d
}

func deflate(plain []byte) []byte {
	var b bytes.Buffer
	w, err := zlib.NewWriterLevel(&b, 3)
	if err == nil {
		_, err = w.Write(plain)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err) // memory does not fail
	}
	return b.Bytes()
}

// report makes a JSON document of about so many bytes.
func (a *author) report(bytes int) []byte {
	out := []byte(`{"document": {"report": [`)
	for len(out) < bytes-60 {
		out = fmt.Appendf(out, `{"name": "pkg-%d", "digest": "%016x"}, `, a.r.IntN(1000), a.r.Uint64())
	}
	return fmt.Appendf(out, `{"number": %d}]}}`, a.r.Uint64())
}

func (a *author) ordinary() {
	a.add("ordinary", "sha256:", a.report(100+a.r.IntN(1<<(8+a.r.IntN(7)))))
}

// large adds a document that is streamed; it hardly compresses.
func (a *author) large(bytes int) *document { return a.add("large", "large:", a.random(bytes)) }

// random makes a JSON document of about so many random bytes.
func (a *author) random(bytes int) []byte {
	raw := make([]byte, bytes*3/4)
	for i := 0; i < len(raw); i += 8 {
		v := a.r.Uint64()
		for j := i; j < min(i+8, len(raw)); j++ {
			raw[j] = byte(v)
			v >>= 8
		}
	}
	return []byte(`{"document": "` + base64.StdEncoding.EncodeToString(raw) + `"}`)
}

// awkward adds documents that can be moved but need care.
func (a *author) awkward() {
	for range 4 {
		d := a.add("two rows", "twin:", a.report(2000))
		d.names = append(d.names, "another name")
	}
	for range 6 {
		d := a.add("no digest", "old:", a.report(3000))
		d.digest = nil
		if a.r.IntN(2) == 0 {
			d.size = nil
		}
		if !d.compressed {
			d.flag = nil
		}
	}
	a.add("old name", "", a.report(500)).names = []string{"some old name"}
	a.add("not text", "bin:", []byte("\x00\xff binary \x80"+strings.Repeat("x\x00", 400)))
	a.add("empty", "empty:", []byte{})
	for _, id := range []string{"with space ", "pre%41cent+", "größe ✓ ", "a/b/", "quote'\";", strings.Repeat("long", 40)} {
		a.add("awkward key", id, a.report(300))
	}
	a.add("user in Unicode", "", a.report(300)).rename(a.from, func(k *drivers.Key) { k.UserID = "team b" })
}

// rename gives a document another key.
func (d *document) rename(p *place, change func(*drivers.Key)) {
	change(&d.key)
	uri := p.uri(d.key)
	d.url = &uri
}

// rotten adds documents that must stay where they are.
func (a *author) rotten() {
	wrong := "00000000000000000000000000000000"
	rot := func(d *document, kind string) *document {
		d.fate, d.kind = stays, kind
		return d
	}
	rot(a.add("", "rot1:", a.report(900)), "wrong digest").digest = &wrong
	rot(a.large(1300<<10), "large, wrong digest").digest = &wrong
	rot(a.add("", "rot5:", a.report(100<<10)), "held, wrong digest").digest = &wrong
	rot(a.add("", "rot2:", a.report(900)), "no content_url").url = nil
	rot(a.add("", "rot3:", a.report(900)), "no payload").payload = nil
	if a.from.compresses {
		d := rot(a.add("", "rot4:", a.report(900)), "corrupt zlib")
		d.payload = append(deflate(d.plain)[:60], "garbage"...)
		digest, size, yes := hexMD5(d.payload), int64(len(d.payload)), true
		d.digest, d.size, d.flag = &digest, &size, &yes
	}
	d := a.add("question mark", "what?", a.report(300))
	if !d.readableAt(a.to) {
		d.fate = stays
	}
}

// readableAt says whether Anchore would find the document again at a place.
func (d *document) readableAt(p *place) bool {
	return !p.parses || !strings.Contains(d.key.ArchiveID, "?")
}

// bystanders adds what the migration has nothing to do with.
func (a *author) bystanders(sameURIs bool) {
	for i := range 6 {
		d := a.add("foreign row", "foreign:", a.report(100))
		d.fate, d.payload = foreign, nil
		uri := "tape://cold/" + d.key.UserID + "/" + d.key.Bucket + "/" + d.key.ArchiveID
		if a.from.elsewhere != "" && i%2 == 0 {
			uri = a.from.elsewhere + a.from.path(d.key)
		}
		d.url = &uri
	}
	for range 3 {
		d := a.add("no row", "stray:", a.report(200))
		d.fate, d.names = stray, nil
	}
	if sameURIs {
		return
	}
	for range 5 {
		d := a.add("at the destination already", "settled:", a.report(1500))
		d.fate, d.payload, d.compressed = settled, d.plain, false
		uri, digest, size, no := a.to.uri(d.key), hexMD5(d.plain), int64(len(d.plain)), false
		d.url, d.digest, d.size, d.flag = &uri, &digest, &size, &no
	}
}

// atSource and atDestination say where a document's payload is stored at the
// beginning.
func (d *document) atSource() bool {
	return d.payload != nil && (d.fate == moves || d.fate == stays || d.fate == stray)
}
func (d *document) atDestination() bool { return d.fate == settled }

// count counts rows of documents of these fates.
func (m *model) count(fates ...fate) int64 {
	var n int64
	for _, d := range m.documents {
		if slices.Contains(fates, d.fate) {
			n += int64(len(d.names))
		}
	}
	return n
}
