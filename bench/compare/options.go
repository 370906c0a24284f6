package compare

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Options says what to compare.
type Options struct {
	// Count is how many documents the largest set has; the others shrink in
	// proportion. Zero means as in the table of scenarios.
	Count int
	// Rounds is how often each contestant runs, at least 1.
	Rounds int
	// Only are the beginnings of the wanted scenarios' names; none means all.
	Only []string
	// Kedge are command lines of kedge: a path, perhaps with flags of migrate.
	Kedge [][]string
	// Rclone is the path of rclone, "" to leave it out; Ceiling is that of the
	// bare client.
	Rclone, Ceiling string
	// Clients are how many requests the bare client has in flight, each number a
	// contestant.
	Clients []int
	// Durable keeps fsync on in PostgreSQL.
	Durable bool
	// Out is a file that gets the table too, "" for none.
	Out string
	// Version tells of which commit kedge was built.
	Version string
}

// settings are those of PostgreSQL.
func (o Options) settings() map[string]string {
	if o.Durable {
		return nil
	}
	return map[string]string{"fsync": "off", "full_page_writes": "off"}
}

// FromEnvironment reads the options from variables, as "make bench" sets them:
// COUNT, ROUNDS, ONLY, KEDGE, RCLONE, CEILING, CLIENTS, FSYNC, OUT, VERSION.
// Relative paths are below root.
func FromEnvironment(root string) (Options, error) {
	o := Options{
		Rounds: 3, Clients: []int{32}, Durable: os.Getenv("FSYNC") != "off",
		Rclone: os.Getenv("RCLONE"), Ceiling: absolute(root, os.Getenv("CEILING")),
		Only: list(os.Getenv("ONLY")), Out: absolute(root, os.Getenv("OUT")), Version: os.Getenv("VERSION"),
	}
	if o.Rclone == "off" {
		o.Rclone = ""
	}
	for _, command := range list(os.Getenv("KEDGE")) {
		words := strings.Fields(command)
		words[0] = absolute(root, words[0])
		o.Kedge = append(o.Kedge, words)
	}
	for name, to := range map[string]*int{"COUNT": &o.Count, "ROUNDS": &o.Rounds} {
		if text := os.Getenv(name); text != "" {
			if *to = atLeastOne(text); *to == 0 {
				return o, fmt.Errorf("%s=%s: want a number from 1", name, text)
			}
		}
	}
	if text := os.Getenv("CLIENTS"); text != "" {
		o.Clients = nil
		for _, one := range list(text) {
			o.Clients = append(o.Clients, atLeastOne(one))
		}
		if slices.Contains(o.Clients, 0) {
			return o, fmt.Errorf("CLIENTS=%s: want numbers from 1, with commas", text)
		}
	}
	if len(o.Kedge) == 0 || o.Ceiling == "" {
		return o, fmt.Errorf("KEDGE and CEILING must be set: use \"make bench\"")
	}
	return o, nil
}

// wanted says whether a scenario is to be run.
func (o Options) wanted(name string) bool {
	return len(o.Only) == 0 || slices.ContainsFunc(o.Only, func(only string) bool { return strings.HasPrefix(name, only) })
}

// atLeastOne reads a number from 1; 0 where it is none.
func atLeastOne(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return max(n, 0)
}

// list splits at commas.
func list(text string) []string {
	var words []string
	for _, word := range strings.Split(text, ",") {
		if word = strings.TrimSpace(word); word != "" {
			words = append(words, word)
		}
	}
	return words
}

func absolute(root, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(root, path)
}
