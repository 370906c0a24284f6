package copies

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
	"github.com/kedge/kedge/pipeline/store"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

// harm replaces some copies by others of the same length, cuts some, and removes some.
// The numbers of those that are harmed are true.
func harm(t *testing.T, o opened, all []Copy) map[drivers.Key]bool {
	t.Helper()
	harmed := map[drivers.Key]bool{}
	put := func(uri string, payload []byte) error {
		_, err := o.Put(t.Context(), uri, drivers.InMemory(payload, md5Of(payload)))
		return err
	}
	for n := 5; n < len(all); n += 37 {
		uri := all[n].Destination.URI
		harmed[all[n].Key] = true
		var err error
		switch n % 3 {
		case 0:
			err = put(uri, payloadOf(n+1))
		case 1:
			err = put(uri, payloadOf(n)[:10])
		case 2:
			err = o.Delete(t.Context(), uri)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return harmed
}

// recordOf makes a record with these copies, and beside them one of each state that no
// check may look at.
func recordOf(t *testing.T, o opened, all []Copy) *Record {
	t.Helper()
	opening := opening
	opening.Destination = o.URI
	r := open(t, filepath.Join(t.TempDir(), "k.copies"), opening)
	for rest := all; len(rest) > 0; {
		n := min(len(rest), pageEntries)
		r.Put(rest[:n])
		rest = rest[n:]
	}
	wait(t, r.Put([]Copy{sample(1, Intended), sample(2, Intended)}))
	return r
}

// checkHarm runs a check over copies of which some are harmed: exactly these become
// doubted, and nothing else of the record changes.
func checkHarm(t *testing.T, o opened, all []Copy, harmed map[drivers.Key]bool, how Trust) {
	t.Helper()
	r := recordOf(t, o, all)
	var told atomic.Int64
	folder := filepath.Join(t.TempDir(), "check")
	if how == TrustList {
		if err := os.MkdirAll(filepath.Join(folder, "kedge-copies-of-a-killed-check"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	check := Check{Record: r, Store: store.Store{Driver: o.Driver}, How: how, Folder: folder, Checked: func(n int64) { told.Add(n) }}
	got, err := check.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	doubted := int64(len(harmed))
	if want := (Checked{Confirmed: int64(len(all)) - doubted, Doubted: doubted}); got != want || told.Load() != int64(len(all)) {
		t.Errorf("%s: %+v, and told of %d; want %+v", how, got, told.Load(), want)
	}
	found, err := r.Find(documents(all...))
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range found {
		want := keptCopy(all[i])
		if harmed[c.Key] {
			want.State = want.State.doubted()
		}
		if c != want {
			t.Fatalf("%s: found %+v\nwant %+v", how, c, want)
		}
	}
	if left, err := os.ReadDir(folder); err == nil {
		t.Errorf("%s leaves its folder, with %v", how, left)
	}
	// What is doubted is looked at again.
	if got, err := check.Run(t.Context()); err != nil || got.Doubted != doubted || got.Confirmed != int64(len(all))-doubted {
		t.Errorf("%s once more: %+v, %v", how, got, err)
	}
}

func TestHarmedCopiesAreDoubted(t *testing.T) {
	t.Parallel()
	for name, fresh := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := fresh(t)
			all := copied(t, o)
			harmed := harm(t, o, all)
			if how, want := Best(store.Store{Driver: o.Driver}), o.best; how != want {
				t.Errorf("best is %s, want %s", how, want)
			}
			for _, how := range []Trust{TrustVerify, TrustList} {
				checkHarm(t, o, all, harmed, how)
			}
		})
	}
}

func TestARecordThatIsTrustedIsNotCompared(t *testing.T) {
	t.Parallel()
	o := opened{Driver: openLocalfs(t), copies: 10}
	all := copied(t, o)
	harm(t, o, all)
	r := recordOf(t, o, all)
	before := r.Counts()
	got, err := Check{Record: r, Store: store.Store{Driver: o.Driver}, How: TrustRecord}.Run(t.Context())
	if err != nil || got != (Checked{}) || !maps.Equal(r.Counts(), before) {
		t.Errorf("%+v, %v; counts %v, want %v", got, err, r.Counts(), before)
	}
}

// On the way back the copies are what the record calls its sources.
func TestATurnedRecordIsComparedWithTheOldStore(t *testing.T) {
	t.Parallel()
	o := opened{Driver: openLocalfs(t), copies: 100}
	all := copied(t, o)
	harmed := harm(t, o, all)
	path := filepath.Join(t.TempDir(), "k.copies")
	there := Opening{Identity: opening.Identity, Source: o.URI, Destination: sourceURI}
	r := open(t, path, there)
	for i := range all {
		all[i] = all[i].turned()
	}
	wait(t, r.Put(all))
	closeRecord(t, r)
	r = open(t, path, Opening{Identity: opening.Identity, Source: sourceURI, Destination: o.URI, Turned: true})
	got, err := Check{Record: r, Store: store.Store{Driver: o.Driver}, How: TrustVerify}.Run(t.Context())
	if want := (Checked{Confirmed: int64(100 - len(harmed)), Doubted: int64(len(harmed))}); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

// saying is a store whose List says what a test wants.
type saying struct {
	drivers.Driver
	say   func(drivers.Info) drivers.Info
	twice bool
	// silentBut: of this payload its MD5 is told.
	silentBut Side
	err       error
}

func (s *saying) Capabilities() drivers.Capabilities {
	c := s.Driver.Capabilities()
	c.ListTells, c.ListProves = false, false
	return c
}

func (s *saying) List(ctx context.Context, fn func(string, drivers.Info) error) error {
	err := s.Driver.(drivers.Lister).List(ctx, func(uri string, info drivers.Info) error {
		if s.twice {
			if err := fn(uri, drivers.Info{Bytes: info.Bytes, MD5: digest}); err != nil {
				return err
			}
		}
		if uri == s.silentBut.URI {
			return fn(uri, drivers.Info{Bytes: info.Bytes, MD5: s.silentBut.Digest})
		}
		return fn(uri, s.say(info))
	})
	return errors.Join(err, s.err)
}

// Length alone confirms nothing, nor does an MD5 beside another length.
func TestAListingConfirmsByMD5OrVersionOnly(t *testing.T) {
	t.Parallel()
	o := opened{Driver: openLocalfs(t), copies: 1}
	all := copied(t, o)
	right := all[0].Destination
	all[0].Destination.Version = "version"
	for name, test := range map[string]struct {
		say     drivers.Info
		confirm bool
	}{
		"its MD5":                     {drivers.Info{Bytes: right.Bytes, MD5: right.Digest}, true},
		"its version":                 {drivers.Info{Bytes: right.Bytes, Version: "version"}, true},
		"its MD5 and another version": {drivers.Info{Bytes: right.Bytes, MD5: right.Digest, Version: "other"}, true},
		"its version and another MD5": {drivers.Info{Bytes: right.Bytes, MD5: digest, Version: "version"}, false},
		"another MD5":                 {drivers.Info{Bytes: right.Bytes, MD5: digest}, false},
		"another version":             {drivers.Info{Bytes: right.Bytes, Version: "other"}, false},
		"its MD5 and another length":  {drivers.Info{Bytes: right.Bytes + 1, MD5: right.Digest}, false},
		"its version, another length": {drivers.Info{Bytes: right.Bytes + 1, Version: "version"}, false},
		"its digest as its version":   {drivers.Info{Bytes: right.Bytes, Version: right.Digest}, true},
	} {
		d := &saying{Driver: o.Driver, say: func(drivers.Info) drivers.Info { return test.say }}
		check := Check{Record: recordOf(t, o, all), Store: store.Store{Driver: d}, How: TrustList, Folder: t.TempDir()}
		got, err := check.Run(t.Context())
		if err != nil || (got.Confirmed == 1) != test.confirm || got.Confirmed+got.Doubted != 1 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	// Of one payload nothing but the length is told.
	two := opened{Driver: openLocalfs(t), copies: 2}
	both := copied(t, two)
	d := &saying{Driver: two.Driver, say: func(i drivers.Info) drivers.Info { return drivers.Info{Bytes: i.Bytes} }, silentBut: both[0].Destination}
	if got, err := (Check{Record: recordOf(t, two, both), Store: store.Store{Driver: d}, How: TrustList, Folder: t.TempDir()}).Run(t.Context()); err != nil || got != (Checked{Confirmed: 1, Doubted: 1}) {
		t.Errorf("a length alone: %+v, %v", got, err)
	}
	// What is listed twice, and not as the same, is not believed.
	d = &saying{Driver: o.Driver, twice: true, say: func(drivers.Info) drivers.Info { return drivers.Info{Bytes: right.Bytes, MD5: right.Digest} }}
	if got, err := (Check{Record: recordOf(t, o, all), Store: store.Store{Driver: d}, How: TrustList, Folder: t.TempDir()}).Run(t.Context()); err != nil || got.Doubted != 1 {
		t.Errorf("listed twice: %+v, %v", got, err)
	}
}

// A store whose listing tells lengths only is verified, and not taken for one that has lost
// everything. Nor is one whose listing fails.
func TestAListingOfNoUseDoubtsNothing(t *testing.T) {
	t.Parallel()
	o := opened{Driver: openLocalfs(t), copies: 300}
	all := copied(t, o)
	harmed := harm(t, o, all)
	d := &saying{Driver: o.Driver, say: func(i drivers.Info) drivers.Info { return drivers.Info{Bytes: i.Bytes} }}
	s := store.Store{Driver: d}
	if how := Best(s); how != TrustVerify {
		t.Errorf("best is %s", how)
	}
	r := recordOf(t, o, all)
	before := r.Counts()
	folder := filepath.Join(t.TempDir(), "check")
	if got, err := (Check{Record: r, Store: s, How: TrustList, Folder: folder}).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "--trust-copies=verify") {
		t.Errorf("%+v, %v", got, err)
	}
	d.err = errors.New("the listing broke off")
	d.say = func(i drivers.Info) drivers.Info { return i }
	if _, err := (Check{Record: r, Store: s, How: TrustList, Folder: folder}).Run(t.Context()); !errors.Is(err, d.err) {
		t.Error(err)
	}
	if got := r.Counts(); !maps.Equal(got, before) {
		t.Errorf("counts %v, want %v", got, before)
	}
	if left, err := os.ReadDir(folder); err == nil {
		t.Errorf("the folder is left, with %v", left)
	}
	checkHarm(t, opened{Driver: d, copies: len(all)}, all, harmed, TrustVerify)
}

// failing is a store that answers no get.
type failing struct {
	drivers.Driver
	kind drivers.Kind
}

func (f *failing) Get(_ context.Context, uri string) (io.ReadCloser, drivers.Info, error) {
	return nil, drivers.Info{}, &drivers.Error{Op: "get", URI: uri, Kind: f.kind, Err: errors.New("no")}
}

// A store that fails everything, or is down, ends the check in place of every trust.
func TestAStoreAtFaultEndsTheCheck(t *testing.T) {
	t.Parallel()
	o := opened{Driver: openLocalfs(t), copies: 500}
	all := copied(t, o)
	for kind, most := range map[drivers.Kind]int64{drivers.Down: 0, drivers.Denied: faultsInARow} {
		r := recordOf(t, o, all)
		got, err := Check{Record: r, Store: store.Store{Driver: &failing{o.Driver, kind}}, How: TrustVerify, Workers: 1}.Run(t.Context())
		if drivers.KindOf(err) != kind || got.Doubted >= max(1, most) {
			t.Errorf("%v: %+v, %v", kind, got, err)
		}
	}
	r := recordOf(t, o, all)
	got, err := Check{Record: r, Store: store.Store{Driver: &failing{o.Driver, drivers.NotFound}}, How: TrustVerify}.Run(t.Context())
	if err != nil || got.Doubted != 500 {
		t.Errorf("an emptied store: %+v, %v", got, err)
	}
}

func TestAnInterruptedCheckDoubtsNothing(t *testing.T) {
	t.Parallel()
	o := opened{Driver: openLocalfs(t), copies: 500}
	r := recordOf(t, o, copied(t, o))
	ctx, cancel := context.WithCancel(t.Context())
	got, err := Check{Record: r, Store: store.Store{Driver: o.Driver}, How: TrustVerify, Checked: func(int64) { cancel() }}.Run(ctx)
	if !errors.Is(err, context.Canceled) || got.Doubted != 0 || r.Counts()[Doubted] != 0 {
		t.Errorf("%+v, %v, %v", got, err, r.Counts())
	}
}

// Copies whose version was not known when they were recorded are read back, where a listing
// tells nothing else: they are neither doubted for that nor believed.
func TestCopiesWithoutAVersionAreReadBack(t *testing.T) {
	t.Parallel()
	for name, fresh := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := fresh(t)
			o.copies = 1000
			all := copied(t, o)
			for n := range all {
				if n%3 > 0 {
					all[n].Destination.Version = ""
				}
			}
			checkHarm(t, o, all, harm(t, o, all), TrustList)
		})
	}
}
