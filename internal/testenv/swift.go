package testenv

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	ncw "github.com/ncw/swift/v2"

	"github.com/kedge/kedge/internal/testenv/tools"
)

// SwiftServer is a running OpenStack Swift: account, container and object
// server with one replica on one device, and a proxy. Its users have an account
// each; the one without rights is of the same account as the first.
type SwiftServer struct {
	// AuthVersion is 1 (tempauth) or 3 (Keystone).
	AuthVersion int
	// AuthURL is where tokens are given: http://127.0.0.1:PORT/auth/v1.0, or
	// Keystone's URL, which ends in /v3. It stays the same after Start.
	AuthURL string
	// User and Key are those of a user with all rights on its account. With
	// Keystone the user is of the project Project, both in the domain default.
	User, Key, Project string
	// Reader and ReaderKey are of a user without any right on the account.
	Reader, ReaderKey string
	// CAFile holds the certificate of the proxy's authority where it serves
	// https.
	CAFile string
	// Keystone is what answers at AuthURL, nil with tempauth.
	Keystone *KeystoneServer

	settings SwiftSettings
	folder   string
	ports    []int
	owned    bool // by one test, which may stop it
	process  *process
	client   *ncw.Connection
}

// SwiftSettings are what a test may want otherwise of its own Swift.
type SwiftSettings struct {
	// TokenLife is how long a token of tempauth is valid; 0 is a day.
	TokenLife time.Duration
	// TLS makes the proxy serve https, with a certificate that only CAFile
	// vouches for.
	TLS bool
}

var sharedSwift shared[*SwiftServer]

// Swift returns the shared Swift with tempauth (version 1). Give a test a
// Container of its own in it.
func Swift(tb testing.TB) *SwiftServer {
	tb.Helper()
	return sharedSwift.get(tb, func(env *environment) (*SwiftServer, error) {
		s, err := env.newSwift(SwiftSettings{}, nil)
		if err == nil {
			env.atEnd(s.discard)
		}
		return s, err
	})
}

// NewSwift starts a Swift with tempauth for one test, which ends with the test.
func NewSwift(tb testing.TB, settings SwiftSettings) *SwiftServer {
	tb.Helper()
	s, err := environmentOf(tb).newSwift(settings, nil)
	if err != nil {
		tb.Fatalf("testenv: %v", err)
	}
	s.owned = true
	tb.Cleanup(s.discard)
	return s
}

// newSwift starts a Swift with an empty device, with keystone for its identity
// service or, where that is nil, with tempauth.
func (e *environment) newSwift(settings SwiftSettings, keystone *KeystoneServer) (*SwiftServer, error) {
	python, err := tools.Swift()
	if err != nil {
		return nil, err
	}
	folder, err := e.serverFolder("swift")
	if err != nil {
		return nil, err
	}
	s := &SwiftServer{AuthVersion: 1, settings: settings, folder: folder, Keystone: keystone}
	if keystone == nil {
		s.User, s.Key, s.Reader, s.ReaderKey = "test:tester", randomName("key"), "test:reader", randomName("key")
	} else {
		s.AuthVersion, s.AuthURL = 3, keystone.URL
		s.User, s.Key, s.Project = keystone.User, keystone.Password, keystone.Project
		s.Reader, s.ReaderKey = keystone.Reader, keystone.ReaderPassword
	}
	err = onFreePort(func(port int) error {
		s.ports = []int{port}
		for range 3 {
			port, err := freePort()
			if err != nil {
				return err
			}
			s.ports = append(s.ports, port)
		}
		return s.install(python)
	})
	if err != nil {
		s.discard()
		return nil, err
	}
	return s, nil
}

// proxyURL is where the proxy listens.
func (s *SwiftServer) proxyURL() string {
	scheme := "http"
	if s.settings.TLS {
		scheme = "https"
	}
	return fmt.Sprintf("%s://127.0.0.1:%d", scheme, s.ports[0])
}

// install writes the configuration for the chosen ports, and starts.
func (s *SwiftServer) install(python string) error {
	if s.AuthVersion == 1 {
		s.AuthURL = s.proxyURL() + "/auth/v1.0"
	}
	if err := os.MkdirAll(filepath.Join(s.folder, "devices", "d1"), 0o755); err != nil {
		return err
	}
	files, err := s.configuration()
	if err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(s.folder, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	rings := s.command(python, "rings", fmt.Sprint(s.ports[1]), fmt.Sprint(s.ports[2]), fmt.Sprint(s.ports[3]))
	if out, err := rings.CombinedOutput(); err != nil {
		return fmt.Errorf("swift's rings: %w\n%s", err, out)
	}
	if s.Keystone != nil {
		// The account's name is the project's id.
		if err := s.Keystone.setEndpoint(s.proxyURL() + "/v1/AUTH_%(tenant_id)s"); err != nil {
			return err
		}
	}
	return s.start(python)
}

func (s *SwiftServer) command(python string, args ...string) *exec.Cmd {
	cmd := exec.Command(python, append([]string{filepath.Join(s.folder, "swift_servers.py"), s.folder}, args...)...)
	cmd.Dir = s.folder
	cmd.Env = []string{"HOME=" + s.folder, "PATH=" + os.Getenv("PATH"), "PYTHONDONTWRITEBYTECODE=1"}
	return cmd
}

// start starts the servers on their ports and waits until all of them answer.
func (s *SwiftServer) start(python string) error {
	p, err := startProcess("swift", s.command(python, "serve", "account", "container", "object", "proxy"),
		filepath.Join(s.folder, "server.log"))
	if err != nil {
		return err
	}
	s.process = p
	if s.client, err = s.newClient(); err != nil {
		p.stop(syscall.SIGKILL)
		return err
	}
	err = awaitReady(p, func(ctx context.Context) error {
		for _, port := range s.ports[1:] {
			if err := s.healthy(ctx, port); err != nil {
				return err
			}
		}
		// With keys that only this server knows: no other will do.
		if err := s.client.Authenticate(ctx); err != nil {
			return err
		}
		_, err := s.client.ContainerNames(ctx, nil)
		return err
	})
	if err != nil {
		p.stop(syscall.SIGKILL)
	}
	return err
}

func (s *SwiftServer) healthy(ctx context.Context, port int) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/healthcheck", port), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return errors.Join(err, resp.Body.Close())
}

// discard ends the servers at once and removes their files.
func (s *SwiftServer) discard() {
	if s.process != nil {
		s.process.stop(syscall.SIGKILL)
	}
	_ = os.RemoveAll(s.folder)
}

// Client returns a connection of the user with all rights, for a test to look
// or meddle behind the back of what it tests.
func (s *SwiftServer) Client() *ncw.Connection { return s.client }

func (s *SwiftServer) newClient() (*ncw.Connection, error) {
	transport, err := trusting(s.CAFile)
	if err != nil {
		return nil, err
	}
	c := &ncw.Connection{
		AuthVersion: s.AuthVersion, AuthUrl: s.AuthURL, UserName: s.User, ApiKey: s.Key,
		Retries: 1, Transport: withoutExpect{transport},
	}
	if s.AuthVersion == 3 {
		c.Tenant, c.DomainId, c.TenantDomainId, c.Region = s.Project, "default", "default", "RegionOne"
	}
	return c, nil
}

// withoutExpect drops a header after which Swift may close the connection.
type withoutExpect struct{ *http.Transport }

func (t withoutExpect) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Del("Expect")
	return t.Transport.RoundTrip(req)
}

// Container makes a new empty container for one test and returns its name. It
// is removed when the test ends, with what is in it and in the container of its
// segments, NAME_segments.
func (s *SwiftServer) Container(tb testing.TB) string {
	tb.Helper()
	name := randomName("kedge-")
	if err := s.Client().ContainerCreate(tb.Context(), name, nil); err != nil {
		tb.Fatalf("testenv: new container: %v", err)
	}
	s.RemoveContainerAfter(tb, name)
	s.RemoveContainerAfter(tb, name+"_segments")
	return name
}

// RemoveContainerAfter removes a container with what is in it when the test
// ends: for one that the test, or what it tests, makes itself. It need not
// exist.
func (s *SwiftServer) RemoveContainerAfter(tb testing.TB, name string) {
	tb.Helper()
	tb.Cleanup(func() {
		if s.process.exited() {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.removeContainer(ctx, name); err != nil {
			tb.Errorf("testenv: remove container %s: %v", name, err)
		}
	})
}

func (s *SwiftServer) removeContainer(ctx context.Context, name string) error {
	names, err := s.objectNames(ctx, name)
	if err == nil {
		err = s.removeObjects(ctx, name, names)
	}
	if err == nil {
		err = s.client.ContainerDelete(ctx, name)
	}
	if errors.Is(err, ncw.ContainerNotFound) {
		return nil
	}
	return err
}

// removeObjects removes them many at a time, or one by one those in whose
// company Swift does not understand the request (very long names).
func (s *SwiftServer) removeObjects(ctx context.Context, container string, names []string) error {
	for chunk := range slices.Chunk(names, 1000) {
		if _, err := s.client.BulkDelete(ctx, container, chunk); err == nil {
			continue
		}
		for _, name := range chunk {
			if err := s.client.ObjectDelete(ctx, container, name); err != nil && !errors.Is(err, ncw.ObjectNotFound) {
				return err
			}
		}
	}
	return nil
}

// Objects lists the names of the objects in a container, none where there is no
// such container.
func (s *SwiftServer) Objects(tb testing.TB, container string) []string {
	tb.Helper()
	names, err := s.objectNames(context.WithoutCancel(tb.Context()), container)
	if err != nil && !errors.Is(err, ncw.ContainerNotFound) {
		tb.Fatalf("testenv: list container %s: %v", container, err)
	}
	return names
}

// objectNames lists a container as JSON: a plain listing has a line for a name,
// which may hold line ends.
func (s *SwiftServer) objectNames(ctx context.Context, container string) ([]string, error) {
	objects, err := s.client.ObjectsAll(ctx, container, nil)
	names := make([]string, len(objects))
	for i, one := range objects {
		names[i] = one.Name
	}
	return names, err
}

// Stop ends a test's own server.
func (s *SwiftServer) Stop(tb testing.TB) {
	tb.Helper()
	if !s.owned {
		tb.Fatal("testenv: the shared swift must not be stopped: start one of your own")
	}
	s.process.stop(syscall.SIGKILL)
}

// Start starts a test's own server again after Stop, with the same data on the
// same ports. Its tokens are no longer valid.
func (s *SwiftServer) Start(tb testing.TB) {
	tb.Helper()
	if !s.process.exited() {
		tb.Fatal("testenv: swift runs already")
	}
	python, err := tools.Swift()
	if err == nil {
		err = s.start(python)
	}
	if err != nil {
		tb.Fatalf("testenv: %v", err)
	}
}
