package liveview

import (
	"fmt"
	"math"
)

// Status is what is told of a run at one moment.
type Status struct {
	Done, Total int64  // by which the bar is drawn
	Beside      string // stands next to the bar
	Lines       []Line
}

// Line is one of a status, with what it means for the eye.
type Line struct {
	Text string
	Tone Tone
}

// Tone is the colour of a line, where there are colours.
type Tone string

// The tones, as the terminal's own colours.
const (
	Plain  Tone = ""
	Quiet  Tone = "\x1b[2m"
	Strong Tone = "\x1b[1m"
	Warn   Tone = "\x1b[33m"
	Bad    Tone = "\x1b[31m"
	bar    Tone = "\x1b[32m"
	reset       = "\x1b[0m"
)

// paint colours a text.
func (t Tone) paint(text string) string {
	if t == Plain {
		return text
	}
	return string(t) + text + reset
}

// Percent is how much of a whole is done, never more than is.
func Percent(done, total int64) float64 {
	if total <= 0 {
		return 0
	}
	return math.Floor(1000*float64(done)/float64(total)) / 10
}

// Text is the status without its bar, for who asks for it.
func (st Status) Text() []string {
	lines := []string{fmt.Sprintf("%.1f%% done, %s", Percent(st.Done, st.Total), st.Beside)}
	for _, line := range st.Lines {
		lines = append(lines, line.Text)
	}
	return lines
}

// Add adds a line.
func (st *Status) Add(t Tone, format string, args ...any) {
	st.Lines = append(st.Lines, Line{fmt.Sprintf(format, args...), t})
}
