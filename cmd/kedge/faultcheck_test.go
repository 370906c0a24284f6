package main

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"regexp"
	"slices"
	"strings"
)

// check fails the test unless every document can be read, with its bytes, at the
// place that its row names, and gives those that are still at the source.
func (w *wired) check() (left []wireDocument) {
	w.Helper()
	rows := catalogRows(w, w.database)
	if len(rows) != len(w.documents) {
		w.Fatalf("the catalog has %d rows, want %d", len(rows), len(w.documents))
	}
	for _, d := range w.documents {
		r := rows[d.UserID+"\x00"+d.Bucket+"\x00"+d.ArchiveID+"\x00"+d.ArchiveID+".json"]
		if r.url == nil {
			w.Fatalf("%s is not in the catalog", d.Key)
		}
		at := w.to
		if !strings.HasPrefix(*r.url, w.to.prefix) {
			at = w.from
			left = append(left, d)
			if d.noDigest {
				sum := md5.Sum(d.payload)
				text := hex.EncodeToString(sum[:])
				r.digest = &text
			}
		}
		sum := sha256.Sum256(d.plain)
		if err := checkStored(w.Context(), at.raw, r, hex.EncodeToString(sum[:])); err != nil {
			w.Errorf("%s is lost: %v", d.Key, err)
		}
	}
	return left
}

// sources gives the documents that are moved, and whose sources are there still. left are
// those that are not moved.
func (w *wired) sources(left []wireDocument) []wireDocument {
	w.Helper()
	there, err := w.from.raw.list(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	return slices.DeleteFunc(slices.Clone(w.documents), func(d wireDocument) bool {
		return !slices.Contains(there, w.uri(d)) || slices.ContainsFunc(left, func(l wireDocument) bool { return l.Key == d.Key })
	})
}

// checkComplete fails the test unless everything is moved, nothing is left at
// the source, and nothing at the destination but what rows name.
func (w *wired) checkComplete() {
	w.Helper()
	if left := w.check(); len(left) > 0 {
		w.Errorf("%d documents are left at the source, such as %s", len(left), left[0].Key)
	}
	empty(w, w.from.raw)
	named := make(map[string]bool)
	for _, r := range catalogRows(w, w.database) {
		named[*r.url] = true
	}
	list, err := w.to.raw.list(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	for _, uri := range list {
		if info, err := os.Stat(strings.TrimPrefix(uri, "file://")); err == nil && info.IsDir() {
			continue
		}
		if !named[uri] {
			w.Errorf("no row names %s", uri)
		}
	}
	w.checkTask("complete")
}

// checkTask fails the test unless this is the last task's state.
func (w *wired) checkTask(want string) {
	w.Helper()
	conn := connect(w, w.database)
	defer conn.Close(w.Context())
	var state string
	if err := conn.QueryRow(w.Context(), `SELECT state::text FROM tasks ORDER BY id DESC LIMIT 1`).Scan(&state); err != nil {
		w.Fatal(err)
	}
	if state != want {
		w.Errorf("the task is %s, want %s", state, want)
	}
}

// archiveID finds a workload's.
var archiveID = regexp.MustCompile(`sha256:[0-9a-f]{64}`)

// checkNamed fails the test unless the run has named these documents as failed,
// each for its reason, and no other.
func (w *wired) checkNamed(end wireEnd, failed map[string][]wireDocument) {
	w.Helper()
	named := make(map[string]string)
	for line := range strings.Lines(end.stderr) {
		if _, class, ok := strings.Cut(line, " class="); ok && strings.Contains(line, "document failed") {
			class, _, _ = strings.Cut(class, " ")
			named[archiveID.FindString(line)] = class
		}
	}
	total := 0
	for class, documents := range failed {
		total += len(documents)
		for _, d := range documents {
			if got := named[d.ArchiveID]; got != class {
				w.Errorf("%s is named as %q, want %s", d.Key, got, class)
			}
		}
	}
	if end.result.Failed != int64(total) || len(named) != total {
		w.Errorf("the run says that %d documents failed and names %d, want %d: %+v", end.result.Failed, len(named), total, end.result.Failures)
	}
}
