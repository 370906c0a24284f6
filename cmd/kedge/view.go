package main

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// viewInterval is how often a view is drawn.
const viewInterval = 250 * time.Millisecond

// view shows a status on a terminal, again and again.
type view struct {
	screen  *screen
	compose func(width, height int) status
	colours bool

	current  atomic.Pointer[status]
	progress *mpb.Progress
	bar      *mpb.Bar
	refresh  chan any
	stop     chan struct{}
	ended    sync.WaitGroup
	once     sync.Once
}

// show begins a view of what compose tells for a terminal's size. It is drawn
// until close is called.
func (s *screen) show(colours bool, compose func(width, height int) status) *view {
	v := &view{screen: s, compose: compose, colours: colours, refresh: make(chan any), stop: make(chan struct{})}
	v.current.Store(new(status))
	v.progress = mpb.New(mpb.WithConsoleWriter(s.open()), mpb.WithManualRefresh(v.refresh))
	style := mpb.BarStyle()
	if colours {
		style = style.FillerMeta(toneBar.paint).TipMeta(toneBar.paint)
	}
	v.bar = v.progress.New(0, style,
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string {
			st := v.current.Load()
			return fmt.Sprintf("%5.1f%%", percentOf(st.done, st.total))
		})),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return v.current.Load().beside })),
		mpb.BarExtender(mpb.BarFillerFunc(v.fill), false))
	v.ended.Go(v.draw)
	return v
}

// draw has the view drawn until it is closed.
func (v *view) draw() {
	tick := time.NewTicker(viewInterval)
	defer tick.Stop()
	for {
		st := v.compose(v.screen.size())
		v.current.Store(&st)
		v.bar.SetTotal(st.total, false)
		v.bar.SetCurrent(st.done)
		select {
		case v.refresh <- time.Now():
		case <-v.stop:
			return
		}
		select {
		case <-tick.C:
		case <-v.stop:
			return
		}
	}
}

// fill writes the lines below the bar.
func (v *view) fill(w io.Writer, s decor.Statistics) error {
	for _, line := range v.current.Load().lines {
		text := fit(line.text, s.AvailableWidth)
		if v.colours {
			text = line.tone.paint(text)
		}
		if _, err := io.WriteString(w, text+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// close ends the view and leaves the terminal as if there had been none. It may
// be called again.
func (v *view) close() {
	v.once.Do(func() {
		close(v.stop)
		v.ended.Wait()
		v.progress.Shutdown()
		v.screen.close()
	})
}
