package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/cmd/kedge/internal/cmdline"
	"github.com/kedge/kedge/cmd/kedge/internal/ending"
	"github.com/kedge/kedge/cmd/kedge/internal/liveview"
	"github.com/kedge/kedge/cmd/kedge/internal/progress"
	"github.com/kedge/kedge/cmd/kedge/internal/summary"
	"github.com/kedge/kedge/config"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/catalog"
)

// app is what a command works with.
type app struct {
	globals *globals
	stdin   *os.File
	stdout  *output
	stderr  io.Writer
	log     *slog.Logger
	// progress tells how far the command has come.
	progress *progress.Teller
	// line is the command line as it was given.
	line cmdline.Line
	// warned are the warnings that have been logged.
	warned []string
}

// results is where results go, in the form that --output says.
func (a *app) results() summary.Output {
	return summary.Output{Writer: a.stdout, JSON: a.globals.Output == "json"}
}

// output remembers whether anything was written.
type output struct {
	w       io.Writer
	written bool
}

// Write passes on.
func (o *output) Write(p []byte) (int, error) {
	o.written = true
	return o.w.Write(p)
}

// newApp makes what a command works with, of its flags and the command line.
func newApp(g *globals, line cmdline.Line) *app {
	a := &app{line: line, globals: g, stdin: os.Stdin, stdout: &output{w: os.Stdout}, stderr: os.Stderr}
	var screen *liveview.Screen
	if term.IsTerminal(int(os.Stderr.Fd())) {
		screen = liveview.NewScreen(os.Stderr)
		a.stderr = screen
		if term.IsTerminal(int(os.Stdout.Fd())) {
			a.stdout.w = screen.Besides(os.Stdout)
		}
	}
	a.log = newLog(a.stderr, g)
	a.progress = &progress.Teller{Stderr: a.stderr, Screen: screen, Log: a.log, Show: g.Progress, Quiet: g.Quiet, Records: g.LogFormat == "json"}
	return a
}

func newLog(w io.Writer, g *globals) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(g.LogLevel)); err != nil {
		level = slog.LevelInfo // kong has checked the flag
	}
	if g.Quiet {
		level = max(level, slog.LevelWarn)
	}
	options := &slog.HandlerOptions{Level: level}
	if g.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// status prints what went wrong, in one line, and gives the exit status.
func (a *app) status(err error) (status int) {
	if err == nil {
		return exitDone
	}
	message := strings.Join(strings.Fields(err.Error()+quoteLine(err)), " ")
	fmt.Fprintln(a.stderr, cmp.Or(a.line.Program, cmdline.Kedge)+":", message)
	defer func() {
		if a.globals.Output == "json" && !a.stdout.written {
			_ = json.NewEncoder(a.stdout).Encode(map[string]any{"error": message, "exit_status": status})
		}
	}()
	var (
		held     *catalog.HeldError
		mismatch *checkpoint.MismatchError
		inUse    *checkpoint.InUseError
		refused  *pipeline.RefusedError
		gaveUp   *pipeline.GaveUpError
		skipped  *pipeline.SkippedError
	)
	switch {
	case errors.As(err, &held), errors.As(err, &mismatch), errors.As(err, &inUse), errors.As(err, &refused):
		return exitRefused
	case ending.IsIncomplete(err), errors.As(err, &gaveUp), errors.As(err, &skipped):
		return exitDocuments
	case ending.IsInterrupted(err), errors.Is(err, context.Canceled):
		return exitInterrupted
	default:
		return exitFailed
	}
}

// loadConfig reads a configuration whose warnings are logged as they are found.
func (a *app) loadConfig(path string) (*config.File, error) {
	f, err := config.Load(path)
	if err == nil {
		f.OnWarning = func(w config.Warning) { a.warn(w.String()) }
	}
	return f, err
}

// warn logs a warning about what was given, each once.
func (a *app) warn(text string) {
	if slices.Contains(a.warned, text) {
		return
	}
	a.warned = append(a.warned, text)
	a.log.Warn(text)
}

// warnings are what a file has been warned of so far, as findings.
func warnings(f *config.File) (list []drivers.Finding) {
	for _, w := range f.Warnings() {
		list = append(list, drivers.Finding{Name: "warning", Value: w.String()})
	}
	return list
}
