package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// Set by the linker (see Makefile); what is empty comes from the build
// information that go build leaves in the binary.
var (
	version = ""
	// commit is the revision that was built.
	commit = ""
	// date is the commit's, as RFC 3339 has it.
	date = ""
)

// buildInfo says what was built.
type buildInfo struct {
	Version, Commit string
	Date            time.Time // of the commit; zero if it is not known
	Modified        bool      // beyond the commit
}

// thisBuild is the running program's.
func thisBuild() buildInfo {
	info, _ := debug.ReadBuildInfo()
	return buildOf(version, commit, date, info)
}

// buildOf prefers what the linker was told; info may be nil.
func buildOf(version, commit, date string, info *debug.BuildInfo) buildInfo {
	b := buildInfo{Version: version, Commit: commit}
	if info != nil {
		if v := info.Main.Version; b.Version == "" && v != "(devel)" {
			b.Version = v
		}
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision" && b.Commit == "":
				b.Commit = s.Value
			case s.Key == "vcs.time" && date == "":
				date = s.Value
			case s.Key == "vcs.modified" && commit == "":
				b.Modified = s.Value == "true"
			}
		}
	}
	if b.Version == "" {
		b.Version = "development"
	}
	if t, err := time.Parse(time.RFC3339, date); err == nil {
		b.Date = t.UTC()
	}
	return b
}

// String is what --version prints: "kedge v1.2.0 (commit 0123456789ab, 2026-01-02,
// go1.26.8, linux/amd64)".
func (b buildInfo) String() string {
	var about []string
	if b.Commit != "" {
		text := "commit " + b.Commit[:min(len(b.Commit), 12)]
		if b.Modified {
			text += " with changes"
		}
		about = append(about, text)
	}
	if !b.Date.IsZero() {
		about = append(about, b.Date.Format(time.DateOnly))
	}
	about = append(about, runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH)
	return fmt.Sprintf("kedge %s (%s)", b.Version, strings.Join(about, ", "))
}
