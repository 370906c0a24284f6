package torture

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kedge/kedge/internal/testenv"
)

// program is kedge with its crash points, built once.
var program string

func TestMain(m *testing.M) { os.Exit(build(m)) }

func build(m *testing.M) int {
	folder, err := os.MkdirTemp("", "kedge-torture-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	program = filepath.Join(folder, "kedge")
	command := exec.Command("go", "build", "-trimpath", "-tags", "torture", "-o", program, "../../cmd/kedge")
	command.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is handed out
	if out, err := command.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return testenv.Main(m)
}

// fixedSeed is the seed of what runs in every check of a commit.
const fixedSeed = 20240607

// TestTorture is what "make torture" runs, with KILLS, DURATION, SEED, PAIRS
// (names of sites, s3 for both servers), FIRST and ROUNDS (to repeat rounds),
// PARALLEL, MEDDLE (a change by somebody else in one run of so many, 0 for
// none) and COPY (one round of so many copies ahead while services write, 0 for
// none; 3 by itself) from the environment. By itself it is the short run: 100 kills
// with a fixed seed.
func TestTorture(t *testing.T) {
	o := Options{
		Program: program, Seed: number(t, "SEED", fixedSeed), Parallel: int(number(t, "PARALLEL", 2)),
		First: int(number(t, "FIRST", 0)), Rounds: int(number(t, "ROUNDS", 0)), Report: os.Stdout,
	}
	if o.MeddleOneIn = int(number(t, "MEDDLE", 10)); o.MeddleOneIn == 0 {
		o.MeddleOneIn = -1
	}
	o.CopyOneIn = int(number(t, "COPY", 3))
	if s := os.Getenv("DURATION"); s != "" {
		var err error
		if o.Duration, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	}
	if s := os.Getenv("KILLS"); s != "" || o.Duration == 0 && o.Rounds == 0 {
		o.Kills = int(number(t, "KILLS", 100))
	}
	if s := os.Getenv("PAIRS"); s != "" {
		o.Pairs = Pairs(strings.Split(s, ",")...)
	} else {
		o.Pairs = Pairs()
	}
	fmt.Printf("seed %d, %d pairs\n", o.Seed, len(o.Pairs))
	result, err := Run(t, o)
	fmt.Print(result)
	if err != nil {
		t.Fatal(err)
	}
	if result.Bad() {
		t.Errorf("lost %d, orphaned %d, wrong %d: see above; seed %d", result.Lost, result.Orphaned, result.Wrong, o.Seed)
	}
}

// number reads a number from the environment.
func number(t *testing.T, name string, otherwise uint64) uint64 {
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// alone says that "make torture" asks for the torture itself, and not for what
// checks the harness.
func alone() bool {
	for _, name := range []string{"KILLS", "DURATION", "ROUNDS", "SERVICES"} {
		if os.Getenv(name) != "" {
			return true
		}
	}
	return false
}

// TestEveryPointOnEveryPair kills a migration at each named point, one after the
// other, on every pair of db, localfs, s3 and swift; "make torture" does so with
// db2 and a second S3 server too.
func TestEveryPointOnEveryPair(t *testing.T) {
	pairs := Pairs("db", "localfs", "minio", "swift")
	if alone() {
		pairs = Pairs()
	}
	result, err := Run(t, Options{
		Program: program, Seed: fixedSeed, Pairs: pairs, Rounds: len(pairs), Parallel: 2, EveryPoint: true, Report: os.Stdout,
	})
	if err != nil {
		t.Fatal(err)
	}
	if result.Bad() || len(result.ByPair) != len(pairs) {
		t.Errorf("not every pair passed:\n%s", result)
	}
	for pair, totals := range result.ByPair {
		// "deleting" is reached only from localfs.
		if want := len(Points) - 1; totals.Kills < want {
			t.Errorf("%s: %d kills, want at least %d", pair, totals.Kills, want)
		}
	}
}

// TestEveryPointOfACutover kills a copy beside services, and then the cutover, at each
// named point, one after the other; "make torture" does so on every pair.
func TestEveryPointOfACutover(t *testing.T) {
	pairs := []Pair{{"db", "minio"}, {"localfs", "swift"}, {"swift", "localfs"}, {"minio", "db2"}}
	if alone() {
		pairs = slices.DeleteFunc(Pairs(), func(p Pair) bool { return strings.HasSuffix(p.From, "=") }) // these cannot tell source from destination
	}
	result, err := Run(t, Options{
		Program: program, Seed: fixedSeed, Pairs: pairs, Rounds: len(pairs), Parallel: 2, EveryPoint: true, CopyOneIn: 1, Report: os.Stdout,
	})
	if err != nil {
		t.Fatal(err)
	}
	if result.Bad() || len(result.ByPair) != len(pairs) {
		t.Errorf("not every pair passed:\n%s", result)
	}
	for pair, totals := range result.ByPair {
		if want := len(copyPoints) + len(everyCutover) - 1; totals.Kills < want {
			t.Errorf("%s: %d kills, want at least %d", pair, totals.Kills, want)
		}
	}
}

// TestItFindsWhatIsBroken breaks kedge on purpose: the harness must notice each
// fault within 100 kills.
func TestItFindsWhatIsBroken(t *testing.T) {
	if alone() {
		t.Skip("the harness is checked with all other tests")
	}
	for _, test := range []struct {
		mutate string
		meddle int
		copies int // of so many rounds one copies ahead
		texts  []string
	}{
		{"delete-before-commit", -1, 0, []string{"there is nothing at"}},
		{"skip-verify,corrupt-put", -1, 0, []string{"other bytes at", "zlib: "}},
		{"no-compare-and-swap", 1, 0, []string{"its row was changed", "other bytes at"}},
		{"row-unread", -1, 1, []string{"other bytes at", "there is nothing at"}},
		{"copy-unchecked", 1, 1, []string{"other bytes at", "there is nothing at"}},
		{"foreign-copy-removed", 1, 1, []string{"the payload at the destination was not left as it was"}},
	} {
		t.Run(strings.ReplaceAll(test.mutate, ",", " and "), func(t *testing.T) {
			result, err := Run(t, Options{
				Program: program, Seed: fixedSeed, Pairs: Pairs("db", "localfs", "minio"), Kills: 100, Parallel: 2,
				Mutate: test.mutate, MeddleOneIn: test.meddle, CopyOneIn: test.copies, StopAt: test.texts,
			})
			if err != nil {
				t.Fatal(err)
			}
			if !result.found(test.texts) {
				t.Fatalf("nothing like %q found in %d kills\n%s", test.texts, result.Kills, result)
			}
			t.Logf("found within %d kills", result.Kills)
		})
	}
}

// TestACorruptedPutIsNoticed corrupts some payloads on their way into the store:
// kedge must not commit them, and a later run moves them.
func TestACorruptedPutIsNoticed(t *testing.T) {
	if alone() {
		t.Skip("the harness is checked with all other tests")
	}
	result, err := Run(t, Options{
		Program: program, Seed: fixedSeed, Pairs: Pairs("db", "localfs", "minio"), Rounds: 4, Parallel: 2,
		Mutate: "corrupt-put", MendAtLast: true, MeddleOneIn: -1, Report: os.Stdout,
	})
	if err != nil {
		t.Fatal(err)
	}
	if result.Bad() {
		t.Errorf("found:\n%s", result)
	}
}
