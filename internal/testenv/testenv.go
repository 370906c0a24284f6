// Package testenv starts the real servers that tests and benchmarks run
// against: PostgreSQL, MinIO, versitygw, and OpenStack Swift with tempauth or
// with Keystone. Each is a child process on a free port of 127.0.0.1 with its data
// in a temporary folder. The package also unpacks the golden installations of
// testdata/golden.
//
// A package that uses it must hand its tests to Main:
//
//	func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }
//
// A shared server (Postgres, MinIO, VersityGW, Swift, SwiftKeystone) starts when a
// test first asks for it and lives until the test binary ends. The test's cleanup
// removes what the test makes in it. Other tests use the server at the same time:
// where it lists things of all its users (pg_locks, say), look only at the test's own
// database, bucket or container. A server made by a New function belongs to one test,
// which may stop and start it.
//
// The servers end with the test binary, even when that is killed. A server whose
// program is not installed fails the test: "make test-deps" installs them all.
//
// All functions are safe for concurrent use. Like testing.TB.FailNow, which they may
// call, they must be called from the test's own goroutine.
package testenv

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/kedge/kedge/internal/testenv/tools"
)

// startTimeout bounds how long a server may take to answer.
const startTimeout = 60 * time.Second

// environment is what Main sets up for one test binary.
type environment struct {
	root   string // the repository's top folder
	folder string // holds the folders of all servers
	// memory makes such a folder in memory, once; folder where there is no room.
	memory func() string

	mu      sync.Mutex
	stops   []func()            // end the shared servers
	folders map[string]*os.File // with the locks that say that they are in use
}

// current is the running Main's environment.
var current struct {
	sync.Mutex
	env *environment
}

// Main runs a test binary's tests and afterwards stops every server and removes
// its files. It returns the exit status for os.Exit.
func Main(m *testing.M) int {
	env, err := newEnvironment()
	if err != nil {
		fmt.Fprintln(os.Stderr, "testenv:", err)
		return 1
	}
	current.Lock()
	current.env = env
	current.Unlock()
	defer env.close()
	return m.Run()
}

func newEnvironment() (*environment, error) {
	root, err := tools.Root()
	if err != nil {
		return nil, err
	}
	folder, lock, err := makeFolder()
	if err != nil {
		return nil, err
	}
	e := &environment{root: root, folder: folder, folders: map[string]*os.File{folder: lock}}
	e.memory = sync.OnceValue(e.makeMemoryFolder)
	return e, nil
}

// environmentOf returns what Main set up.
func environmentOf(tb testing.TB) *environment {
	tb.Helper()
	current.Lock()
	defer current.Unlock()
	if current.env == nil {
		tb.Fatal("testenv: the package needs func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }")
	}
	return current.env
}

// atEnd remembers how to end a shared server.
func (e *environment) atEnd(stop func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stops = append(e.stops, stop)
}

func (e *environment) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	var ends sync.WaitGroup
	for _, stop := range e.stops {
		ends.Go(stop)
	}
	ends.Wait()
	for folder, lock := range e.folders {
		if err := errors.Join(os.RemoveAll(folder), lock.Close()); err != nil {
			fmt.Fprintln(os.Stderr, "testenv:", err)
		}
	}
}

// serverFolder makes a new folder for one server.
func (e *environment) serverFolder(name string) (string, error) {
	return serverFolderIn(e.folder, name)
}

// memoryFolder is serverFolder in memory, where a server that waits for its disk
// waits for nothing. It is on the disk where memory has no room.
func (e *environment) memoryFolder(name string) (string, error) {
	return serverFolderIn(e.memory(), name)
}

func serverFolderIn(folder, name string) (string, error) {
	dir, err := os.MkdirTemp(folder, name+"-")
	if err != nil {
		return "", fmt.Errorf("folder for %s: %w", name, err)
	}
	return dir, nil
}

// shared is a server that all tests of the binary use, started once.
type shared[S any] struct {
	once   sync.Once
	server S
	err    error
}

func (s *shared[S]) get(tb testing.TB, start func(*environment) (S, error)) S {
	tb.Helper()
	env := environmentOf(tb)
	s.once.Do(func() { s.server, s.err = start(env) })
	if s.err != nil {
		tb.Fatalf("testenv: %v", s.err)
	}
	return s.server
}

// portAttempts is how often a server is started anew because somebody else took
// its port between our choosing it and its listening there.
const portAttempts = 5

// errPortTaken is returned by a start function for a port that is in use.
var errPortTaken = errors.New("the port is taken")

// onFreePort calls start with free ports until one of them was not taken.
func onFreePort(start func(port int) error) error {
	for attempt := 1; ; attempt++ {
		port, err := freePort()
		if err != nil {
			return err
		}
		if err = start(port); !errors.Is(err, errPortTaken) || attempt == portAttempts {
			return err
		}
	}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("free port: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return 0, fmt.Errorf("free port: %w", err)
	}
	return port, nil
}

// awaitReady polls probe until it succeeds, the process ends, or startTimeout
// is over.
func awaitReady(p *process, probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(p.alive, startTimeout)
	defer cancel()
	for {
		attempt, end := context.WithTimeout(ctx, 5*time.Second)
		err := probe(attempt)
		end()
		if err == nil && ctx.Err() == nil {
			return nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
			continue
		case <-ctx.Done():
		}
		switch {
		case !p.exited():
			return fmt.Errorf("%s does not answer after %v: %w; its last words:\n%s", p.name, startTimeout, err, p.tail())
		case p.portTaken():
			return fmt.Errorf("%s: %w", p.name, errPortTaken)
		default:
			return fmt.Errorf("%s ended while starting (%v); its last words:\n%s", p.name, p.err, p.tail())
		}
	}
}

// randomName gives a name that nobody else has: lower-case letters and digits.
func randomName(prefix string) string {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return prefix + hex.EncodeToString(b[:])
}

// withRoot gives an absolute path below the repository's top folder.
func (e *environment) withRoot(parts ...string) string {
	return filepath.Join(append([]string{e.root}, parts...)...)
}

// Alone marks a test that runs while no other of its package does, and says why:
// it measures time or memory, looks at what all of the process holds (goroutines,
// environment), or is of a program that needs the whole machine. It must not be
// parallel. All tests that are not marked call t.Parallel first of all.
func Alone(tb testing.TB, why string) {
	tb.Helper()
	if why == "" {
		tb.Error("testenv: why must it be alone?")
	}
}
