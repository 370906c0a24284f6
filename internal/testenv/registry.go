package testenv

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/kedge/kedge/internal/testenv/tools"
)

// RegistryServer is a running registry: the program of distribution itself.
type RegistryServer struct {
	// URL is the registry's, http://127.0.0.1:PORT. It stays the same after Start.
	URL string
	// Config is the path of its config.yml.
	Config string

	env     *environment
	program string
	folder  string
	storage string
	port    int
	process *process
}

// NewRegistry starts a registry for one test, which ends with the test. storage
// are the lines below the key storage, such as those of RegistryFilesystem;
// more are further keys of its config.yml.
func NewRegistry(tb testing.TB, storage string, more ...string) *RegistryServer {
	tb.Helper()
	r, err := environmentOf(tb).newRegistry(storage, more)
	if err != nil {
		tb.Fatalf("testenv: %v", err)
	}
	tb.Cleanup(r.discard)
	return r
}

// RegistryFilesystem is the storage of a registry in a folder.
func RegistryFilesystem(folder string) string {
	return "  filesystem:\n    rootdirectory: " + folder + "\n"
}

// RegistryS3 is the storage of a registry in an S3 bucket. options are further
// lines, "key: value".
func RegistryS3(s *S3Server, bucket string, options ...string) string {
	lines := append([]string{
		"accesskey: " + s.AccessKey, "secretkey: " + s.SecretKey, "region: " + s.Region, "regionendpoint: " + s.URL,
		"forcepathstyle: true", "secure: false", "bucket: " + bucket,
	}, options...)
	return "  s3:\n    " + strings.Join(lines, "\n    ") + "\n"
}

// RegistryConfig is a config.yml for this storage, listening on an address.
func RegistryConfig(storage, address string, more ...string) string {
	return "version: 0.1\nlog: {level: warn}\nstorage:\n" + storage + "  delete: {enabled: true}\n  redirect: {disable: true}\n" +
		"http:\n  addr: " + address + "\n" + strings.Join(more, "")
}

func (e *environment) newRegistry(storage string, more []string) (*RegistryServer, error) {
	program, err := tools.Registry.Find(e.root)
	if err != nil {
		return nil, err
	}
	folder, err := e.serverFolder("registry")
	if err != nil {
		return nil, err
	}
	r := &RegistryServer{env: e, program: program, folder: folder, storage: storage, Config: filepath.Join(folder, "config.yml")}
	err = onFreePort(func(port int) error {
		r.port = port
		r.URL = "http://" + r.address()
		if err := os.WriteFile(r.Config, []byte(RegistryConfig(storage, r.address(), more...)), 0o600); err != nil {
			return err
		}
		return r.start()
	})
	if err != nil {
		r.discard()
		return nil, err
	}
	return r, nil
}

func (r *RegistryServer) address() string { return fmt.Sprintf("127.0.0.1:%d", r.port) }

func (r *RegistryServer) start() error {
	cmd := exec.Command(r.program, "serve", r.Config)
	cmd.Dir = r.folder
	cmd.Env = []string{"HOME=" + r.folder, "PATH=" + os.Getenv("PATH"), "OTEL_TRACES_EXPORTER=none"}
	p, err := startProcess("registry", cmd, filepath.Join(r.folder, "server.log"))
	if err != nil {
		return err
	}
	r.process = p
	err = awaitReady(p, func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.URL+"/v2/", nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK || response.Header.Get("Docker-Distribution-Api-Version") == "" {
			return fmt.Errorf("answered %s", response.Status)
		}
		return nil
	})
	if err != nil {
		p.stop(syscall.SIGKILL)
	}
	return err
}

// Log is the end of what the registry printed.
func (r *RegistryServer) Log() string { return r.process.tail() }

// discard ends the server at once and removes its files.
func (r *RegistryServer) discard() {
	if r.process != nil {
		r.process.stop(syscall.SIGKILL)
	}
	_ = os.RemoveAll(r.folder)
}
