package main

import (
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
)

func TestBuildOf(t *testing.T) {
	t.Parallel()
	info := &debug.BuildInfo{Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "fedcba9876543210"}, {Key: "vcs.time", Value: "2025-06-07T08:09:10Z"}, {Key: "vcs.modified", Value: "true"},
	}}
	info.Main.Version = "v0.9.0"
	devel := &debug.BuildInfo{}
	devel.Main.Version = "(devel)"
	for _, test := range []struct {
		name                  string
		version, commit, date string
		info                  *debug.BuildInfo
		want                  string
	}{
		{"from the linker", "v1.2.0", "0123456789abcdef", "2026-01-02T01:00:00+02:00", info, "kedge v1.2.0 (commit 0123456789ab, 2026-01-01, go"},
		{"from the build", "", "", "", info, "kedge v0.9.0 (commit fedcba987654 with changes, 2025-06-07, go"},
		{"nothing known", "", "", "", nil, "kedge development (go"},
		{"not from a module's version", "", "abc", "nonsense", devel, "kedge development (commit abc, go"},
	} {
		if got := buildOf(test.version, test.commit, test.date, test.info).String(); !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: got %q, want %q…", test.name, got, test.want)
		}
	}
}

func TestVersionFlag(t *testing.T) {
	t.Parallel()
	o := kedge(t, "--version").want(t, exitDone)
	if !regexp.MustCompile(`^kedge \S+ \(.*go1\.\S+, \w+/\w+\)\n$`).MatchString(o.stdout) {
		t.Errorf("--version prints %q", o.stdout)
	}
}
