// Package tools knows the programs that the tests run and that are no part of
// the product: which ones, pinned where, installed where.
//
// Each Go program has a module of its own below this folder, so that the product's
// go.mod stays small. That module's go.mod pins the version, and its tool line names
// the package to build. A cache folder keeps the built programs under their version.
// They are built again only for another version or another Go release. PostgreSQL
// comes from the operating system.
package tools

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// mend tells what to do about a program that is not there.
const mend = `run "make test-deps"`

// A Tool is a Go program built from a pinned module.
type Tool struct {
	// Name is the program's name and that of its folder beside this file.
	Name string
	// Module is the module whose version counts.
	Module string
	// Package is the main package.
	Package string
}

// The tools.
var (
	MinIO       = Tool{"minio", "github.com/minio/minio", "github.com/minio/minio"}
	VersityGW   = Tool{"versitygw", "github.com/versity/versitygw", "github.com/versity/versitygw/cmd/versitygw"}
	Staticcheck = Tool{"staticcheck", "honnef.co/go/tools", "honnef.co/go/tools/cmd/staticcheck"}
	Registry    = Tool{"registry", "github.com/distribution/distribution/v3", "github.com/distribution/distribution/v3/cmd/registry"}
	Helm        = Tool{"helm", "helm.sh/helm/v3", "helm.sh/helm/v3/cmd/helm"}
	Rclone      = Tool{"rclone", "github.com/rclone/rclone", "github.com/rclone/rclone"}
)

// All lists the tools that the tests need.
func All() []Tool { return []Tool{MinIO, VersityGW, Staticcheck, Registry, Helm} }

// Peers lists the programs that "make bench" compares kedge with. No test needs
// them, and they take minutes to build.
func Peers() []Tool { return []Tool{Rclone} }

// Find returns the path of the installed program; its error says how to
// install one that is missing. root is the repository's top folder.
func (t Tool) Find(root string) (string, error) {
	path, err := t.path(root)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is not installed: %w; %s", t.Name, err, mend)
	}
	return path, nil
}

// path is where the program is, or will be.
func (t Tool) path(root string) (string, error) {
	version, err := t.version(root)
	if err != nil {
		return "", err
	}
	cache, err := cacheFolder()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, t.Name+"-"+version+"-"+runtime.Version()), nil
}

// folder holds the tool's go.mod.
func (t Tool) folder(root string) string {
	return filepath.Join(root, "internal", "testenv", "tools", t.Name)
}

// version reads the pinned version from the tool's go.mod.
func (t Tool) version(root string) (string, error) {
	path := filepath.Join(t.folder(root), "go.mod")
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("version of %s: %w", t.Name, err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		words := strings.Fields(strings.TrimPrefix(strings.TrimSpace(lines.Text()), "require "))
		if len(words) >= 2 && words[0] == t.Module {
			return words[1], nil
		}
	}
	if err := lines.Err(); err != nil {
		return "", fmt.Errorf("version of %s: %w", t.Name, err)
	}
	return "", fmt.Errorf("version of %s: %s requires no %s", t.Name, path, t.Module)
}

// cacheFolder is $KEDGE_TEST_TOOLS, or kedge-test-tools in the user's cache.
func cacheFolder() (string, error) {
	if dir := os.Getenv("KEDGE_TEST_TOOLS"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("folder for test tools: %w (set KEDGE_TEST_TOOLS)", err)
	}
	return filepath.Join(dir, "kedge-test-tools"), nil
}

// Root finds the repository's top folder, from the current one upwards.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("repository's top folder: %w", err)
	}
	for start := dir; ; dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), "module github.com/kedge/kedge\n") {
			return dir, nil
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("repository's top folder: %w", err)
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("repository's top folder: no go.mod of kedge at or above %s", start)
		}
	}
}

// postgresPattern is where Debian and its relatives put PostgreSQL's programs,
// which are not on the PATH.
const postgresPattern = "/usr/lib/postgresql/*/bin/postgres"

// PostgresFolder returns the folder of PostgreSQL's programs (initdb, postgres,
// psql), of the newest version if there are several; its error says how to
// install a missing one.
func PostgresFolder() (string, error) {
	found, err := filepath.Glob(postgresPattern)
	if err != nil {
		return "", fmt.Errorf("find PostgreSQL: %w", err)
	}
	best, folder := -1, ""
	for _, path := range found {
		bin := filepath.Dir(path)
		major, err := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
		if err == nil && major > best {
			best, folder = major, bin
		}
	}
	if folder == "" {
		return "", fmt.Errorf("PostgreSQL is not installed: no %s; %s", postgresPattern, mend)
	}
	return folder, nil
}
