package compare

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// contestant is a program that moves or copies a scenario's documents.
type contestant struct {
	name string
	kind kind
	// command begins its command line; for the bare client clients says the rest.
	command []string
	clients int
}

type kind int

const (
	kedge kind = iota
	rclone
	ceiling
)

// contestants lists who can take part in a scenario between two sites, kedge
// first.
func (o Options) contestants(from, to *site) []contestant {
	var all []contestant
	for i, command := range o.Kedge {
		c := contestant{name: "kedge", kind: kedge, command: command}
		if len(o.Kedge) > 1 {
			c.name = fmt.Sprintf("kedge %c", 'A'+i)
		}
		all = append(all, c)
	}
	if o.Rclone != "" && from.remote != "" && to.remote != "" {
		all = append(all, contestant{name: "rclone", kind: rclone, command: []string{o.Rclone}},
			contestant{name: "rclone 32", kind: rclone, command: []string{o.Rclone, "--transfers", "32", "--checkers", "32", "--fast-list"}})
	}
	if from.remote != "" && to.endpoint != "" {
		for _, clients := range o.Clients {
			all = append(all, contestant{name: fmt.Sprintf("bare client, %d", clients), kind: ceiling, command: []string{o.Ceiling}, clients: clients})
		}
	}
	return all
}

// trial is one run of a contestant.
type trial struct {
	rig      *rig
	scenario scenario
	tree     *tree
	from, to *site
	home     *installation
}

// run has the contestant do its work and sees that it did.
func (t *trial) run(tb testing.TB, c contestant) measurement {
	tb.Helper()
	var m measurement
	switch c.kind {
	case kedge:
		m = t.kedge(tb, c)
	case rclone:
		m = t.rclone(tb, c)
	case ceiling:
		m = t.ceiling(tb, c)
	}
	t.rig.mustHold(tb, t.to, len(t.tree.documents))
	return m
}

// both says that rclone does the same work as kedge, which therefore leaves the
// source as it is.
func (t *trial) both() bool { return t.from.remote != "" && t.to.remote != "" }

func (t *trial) kedge(tb testing.TB, c contestant) measurement {
	tb.Helper()
	folder := tb.TempDir()
	database := t.home.clone(tb)
	source := configuration(tb, filepath.Join(folder, "source.yaml"), database, t.from)
	destination := configuration(tb, filepath.Join(folder, "destination.yaml"), database, t.to)
	command := append([]string{c.command[0], "migrate", source, destination, "--dontask", "--quiet"}, c.command[1:]...)
	if t.both() {
		command = append(command, "--nodelete")
	}
	m := t.measure(tb, environment(folder), command)
	mustBeAt(tb, database, t.to.prefix, len(t.tree.documents))
	return m
}

// configuration writes a configuration of kedge.
func configuration(tb testing.TB, path, database string, s *site) string {
	tb.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "credentials: {database: {db_connect: '%s'}}\nservices:\n  catalog:\n    object_store:\n", database)
	fmt.Fprintf(&text, "      compression: {enabled: False}\n      storage_driver:\n        name: %s\n        config:\n", s.driver)
	for _, option := range s.options {
		fmt.Fprintf(&text, "          %s\n", option)
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

func (t *trial) rclone(tb testing.TB, c contestant) measurement {
	tb.Helper()
	folder := tb.TempDir()
	path := filepath.Join(folder, "rclone.conf")
	var text strings.Builder
	for _, s := range []*site{t.from, t.to} {
		if name, _, ok := strings.Cut(s.remote, ":"); ok {
			fmt.Fprintf(&text, "[%s]\n%s\n", name, strings.Join(s.section, "\n"))
		}
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		tb.Fatal(err)
	}
	return t.measure(tb, environment(folder), append(c.command, "copy", t.from.remote, t.to.remote, "--config", path))
}

func (t *trial) ceiling(tb testing.TB, c contestant) measurement {
	tb.Helper()
	command := append(c.command, "-list", t.tree.list, "-put", t.to.endpoint, "-clients", fmt.Sprint(c.clients))
	if t.from.endpoint == "" {
		command = append(command, "-dir", t.from.folder)
	} else {
		command = append(command, "-get", t.from.endpoint)
	}
	return t.measure(tb, append(environment(tb.TempDir()), "CEILING_GET="+t.from.authorisation, "CEILING_PUT="+t.to.authorisation), command)
}

// measure waits until the disk has what was written before, and runs.
func (t *trial) measure(tb testing.TB, environment, command []string) measurement {
	tb.Helper()
	flush()
	m, err := measure(tb.Context(), environment, command)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// environment is a child's: nothing of the user's configuration gets into it.
func environment(home string) []string {
	return []string{"HOME=" + home, "XDG_STATE_HOME=" + filepath.Join(home, "state"), "PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}
}
