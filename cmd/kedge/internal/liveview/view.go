package liveview

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

// View shows a status on a terminal, again and again.
type View struct {
	screen  *Screen
	compose func(width, height int) Status
	colours bool

	current  atomic.Pointer[Status]
	progress *mpb.Progress
	bar      *mpb.Bar
	refresh  chan any
	stop     chan struct{}
	ended    sync.WaitGroup
	once     sync.Once
}

// Show begins a view of what compose tells for a terminal's size. It is drawn
// until Close is called.
func (s *Screen) Show(colours bool, compose func(width, height int) Status) *View {
	v := &View{screen: s, compose: compose, colours: colours, refresh: make(chan any), stop: make(chan struct{})}
	v.current.Store(new(Status))
	v.progress = mpb.New(mpb.WithConsoleWriter(s.open()), mpb.WithManualRefresh(v.refresh))
	style := mpb.BarStyle()
	if colours {
		style = style.FillerMeta(bar.paint).TipMeta(bar.paint)
	}
	v.bar = v.progress.New(0, style,
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string {
			st := v.current.Load()
			return fmt.Sprintf("%5.1f%%", Percent(st.Done, st.Total))
		})),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return v.current.Load().Beside })),
		mpb.BarExtender(mpb.BarFillerFunc(v.fill), false))
	v.ended.Go(v.draw)
	return v
}

// draw has the view drawn until it is closed.
func (v *View) draw() {
	tick := time.NewTicker(viewInterval)
	defer tick.Stop()
	for {
		st := v.compose(v.screen.size())
		v.current.Store(&st)
		v.bar.SetTotal(st.Total, false)
		v.bar.SetCurrent(st.Done)
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
func (v *View) fill(w io.Writer, s decor.Statistics) error {
	for _, line := range v.current.Load().Lines {
		text := fit(line.Text, s.AvailableWidth)
		if v.colours {
			text = line.Tone.paint(text)
		}
		if _, err := io.WriteString(w, text+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// Close ends the view and leaves the terminal as if there had been none. It may
// be called again.
func (v *View) Close() {
	v.once.Do(func() {
		close(v.stop)
		v.ended.Wait()
		v.progress.Shutdown()
		v.screen.close()
	})
}
