// Package liveview draws how far a run has come on a terminal, again and again,
// below the lines that the program prints.
//
// A Screen is the terminal that both share. A View is what is drawn. A Status is what
// the View shows at one moment.
package liveview

import (
	"bytes"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/mattn/go-runewidth"
	"golang.org/x/term"
)

// Escape sequences that every terminal of today knows.
const (
	// escErase goes to the beginning of the line and clears the screen from
	// there. Between escHold and escShow a terminal that can shows nothing, so
	// that nobody sees a half-drawn view.
	escErase = "\r\x1b[J"
	escHold  = "\x1b[?2026h"
	escShow  = "\x1b[?2026l"
	escUp    = "\x1b[A"
)

// Screen shares a terminal between what is printed line by line and a view of a
// few lines below that is drawn again and again. While there is no view it
// passes everything on.
//
// Between two drawings the cursor stands at the view's beginning, not at its
// end. When the terminal's size changes, it takes the cursor along with the text,
// however it breaks its lines anew; so everything from the cursor on is the old
// view, and nothing before it is. The cursor is never hidden, and no mode of the
// terminal changed, so that nothing has to be restored if the program is killed.
//
// It is the mpb.ConsoleWriter of the view, and an io.Writer for all others. Safe
// for concurrent use, but for the methods of a ConsoleWriter, which are the
// view's.
type Screen struct {
	terminal *os.File

	mu   sync.Mutex
	view bool
	// lines are those of the view as it stands there.
	lines []string
	// partial is what was printed of a line whose end is not there yet.
	partial []byte
}

// frame is the view's side of a screen: what is being drawn.
type frame struct {
	*Screen
	drawing bytes.Buffer
}

// NewScreen makes a screen of a terminal.
func NewScreen(terminal *os.File) *Screen { return &Screen{terminal: terminal} }

// Besides is a writer to standard output, which is a terminal too.
func (s *Screen) Besides(output *os.File) io.Writer { return besides{s, output} }

// Write prints, above the view if there is one; an unfinished line waits then
// for its end.
func (s *Screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.view {
		return s.terminal.Write(p)
	}
	end := bytes.LastIndexByte(p, '\n') + 1
	if end == 0 {
		s.partial = append(s.partial, p...)
		return len(p), nil
	}
	whole := append(s.partial, p[:end]...)
	s.partial = append([]byte(nil), p[end:]...)
	if err := s.draw(string(whole)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// besides is standard output where that is a terminal, too, most likely the same
// one: while there is a view, what is written goes above it.
type besides struct {
	screen *Screen
	output *os.File
}

// Write prints.
func (b besides) Write(p []byte) (int, error) {
	b.screen.mu.Lock()
	view := b.screen.view
	b.screen.mu.Unlock()
	if view {
		return b.screen.Write(p)
	}
	return b.output.Write(p)
}

// open begins a view.
func (s *Screen) open() *frame {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view = true
	return &frame{Screen: s}
}

// close removes the view. It may be called again.
func (s *Screen) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.view {
		return
	}
	s.view, s.lines = false, nil
	// A terminal that cannot be written to is nobody's concern here.
	_, _ = io.WriteString(s.terminal, escErase+string(s.partial))
	s.partial = nil
}

// draw replaces the view by what is printed above it and the view's lines.
func (s *Screen) draw(above string) error {
	var b strings.Builder
	b.WriteString(escHold + escErase)
	b.WriteString(strings.ReplaceAll(above, "\n", "\r\n"))
	for i, line := range s.lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(line)
	}
	b.WriteString("\r" + strings.Repeat(escUp, max(0, len(s.lines)-1)) + escShow)
	_, err := io.WriteString(s.terminal, b.String())
	return err
}

// Write takes in a part of the drawing.
func (f *frame) Write(p []byte) (int, error) { return f.drawing.Write(p) }

// ReadFrom takes in a part of the drawing.
func (f *frame) ReadFrom(r io.Reader) (int64, error) { return f.drawing.ReadFrom(r) }

// IsTerminal is true: there is no view elsewhere.
func (f *frame) IsTerminal() bool { return true }

// GetTermSize tells the size as it is now, but for the last column: terminals
// differ in what they do when that is written to.
func (f *frame) GetTermSize() (width, height int, err error) {
	width, height = f.size()
	return max(1, width-1), height, nil
}

// size tells the terminal's size in columns and lines, that of an old terminal
// where it does not tell.
func (s *Screen) size() (width, height int) {
	width, height, err := term.GetSize(int(s.terminal.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		return 80, 24
	}
	return width, max(2, height)
}

// Flush shows the drawing.
func (f *frame) Flush(int) error {
	drawn := strings.TrimSuffix(f.drawing.String(), "\n")
	f.drawing.Reset()
	lines := strings.Split(drawn, "\n")
	_, height := f.size()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.view {
		return nil
	}
	// One line is left for what is printed.
	f.lines = lines[:min(len(lines), height-1)]
	return f.draw("")
}

// fit cuts a line to so many columns, and makes it harmless: no control
// character of a name may reach the terminal.
func fit(line string, width int) string {
	line = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, line)
	return runewidth.Truncate(line, max(0, width), "~")
}
