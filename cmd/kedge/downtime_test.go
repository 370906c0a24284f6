package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The commands of the runbook for minutes of downtime, in their order: there, back in
// seconds, there again, and the purge.
func TestTheRunbookForMinutesOfDowntimeIsFollowed(t *testing.T) {
	t.Parallel()
	book := readText(t, "../../docs/runbooks.md")
	_, text, _ := strings.Cut(book, "\n## Moving with minutes of downtime\n")
	text, _, _ = strings.Cut(text, "\n### ")
	var there, purge, back []string
	for _, m := range regexp.MustCompile(`(?m)^ {4,}(kedge .+)$`).FindAllStringSubmatch(text, -1) {
		switch command := m[1]; {
		case strings.Contains(command, "--follow"): // it does not end
		case strings.Contains(command, "purge"):
			purge = append(purge, command)
		case strings.Contains(command, "rollback"):
			back = append(back, command)
		default:
			there = append(there, command)
		}
	}
	if len(there) != 6 || len(purge) != 2 || len(back) != 1 {
		t.Fatalf("there %q, back %q, purge %q", there, back, purge)
	}
	r := newPageRig(t)
	here, toS3 := runbookPlaces(t), chapter(t, book, "From the database to S3")
	for i, name := range []string{"config.yaml", "dest-config.yaml"} {
		r.config(name, here.Replace(strings.TrimPrefix(toS3.blocks[i], "services:\n  catalog:\n")))
	}
	says := map[string]string{
		"kedge migrate":  "Anchore can be started now: every document's row names the destination.",
		"kedge rollback": "whose payloads were still there: only their rows were changed",
		"kedge verify":   ": 0 are not well",
	}
	for _, command := range slices.Concat(there, back, there[3:], purge) {
		words := strings.Fields(command)
		o := r.typed(command, "y\n")
		if want := says[strings.Join(words[:2], " ")]; o.exit != exitDone || !strings.Contains(o.stdout+o.stderr, want) {
			t.Fatalf("%s: exit status %d, want %q\n%s%s", command, o.exit, want, o.stdout, o.stderr)
		}
		if words[1] == "rollback" {
			r.are(everything(r.db), r.united)
		}
	}
	r.are(everything(r.united))
}
