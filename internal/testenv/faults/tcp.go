package faults

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Line is how good the line is, for every connection and in both directions.
// The zero Line is as good as the loopback.
type Line struct {
	// Latency delays everything that is passed on, by up to Jitter more.
	Latency, Jitter time.Duration
	// BytesPerSecond bounds what one connection passes on in one direction; 0
	// does not.
	BytesPerSecond int64
}

// Break is a fault of connections.
type Break struct {
	Rule
	// Sent makes an event of every time that a client sends this text; with ""
	// each new connection is one.
	Sent string
	// Bytes lets so many bytes pass after the event: with Sent of what the
	// server answers before the client sends more (a shorter answer is no hit),
	// else in both directions together.
	Bytes int64
	// How is what happens then.
	How Way

	counter
}

// Way is how a connection breaks.
type Way struct {
	kind   wayKind
	outage time.Duration
}

type wayKind uint8

const (
	wayReset wayKind = iota
	waySilence
	wayOutage
)

var (
	// Reset resets the connection at both its ends.
	Reset = Way{kind: wayReset}
	// Silence passes nothing on any more and says nothing: a black hole, until
	// the client closes the connection.
	Silence = Way{kind: waySilence}
)

// Outage resets all connections and refuses new ones for so long; 0 is until
// Lift.
func Outage(d time.Duration) Way { return Way{wayOutage, d} }

// TCP passes connections on to a server.
type TCP struct {
	target, address string
	seed            uint64
	closing         chan struct{}
	running         sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener // nil while connections are refused
	line     Line
	breaks   []*Break
	longest  int // text of a Break
	links    map[*link]struct{}
	accepted int
	closed   bool
}

// NewTCP starts a proxy on a free port of 127.0.0.1 for a server at host:port.
func NewTCP(target string, seed uint64) (*TCP, error) {
	p := &TCP{target: target, address: "127.0.0.1:0", seed: seed, closing: make(chan struct{}), links: make(map[*link]struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.listen(); err != nil {
		return nil, err
	}
	p.address = p.listener.Addr().String()
	return p, nil
}

// Address is host:port of the proxy.
func (p *TCP) Address() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.address
}

// Set changes the line, of connections that are open too.
func (p *TCP) Set(l Line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line = l
}

// Inject adds faults.
func (p *TCP) Inject(breaks ...*Break) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.breaks = append(p.breaks, breaks...)
	for _, b := range breaks {
		p.longest = max(p.longest, len(b.Sent))
	}
}

// Lift ends all faults. Connections that have fallen silent are reset.
func (p *TCP) Lift() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line, p.breaks, p.longest = Line{}, nil, 0
	for l := range p.links {
		if l.isSilent() {
			l.reset()
		}
	}
	return p.listen()
}

// Close ends the proxy and waits for all its goroutines.
func (p *TCP) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	close(p.closing)
	p.refuse()
	p.mu.Unlock()
	p.running.Wait()
	return nil
}

// listen takes connections again. The lock is held.
func (p *TCP) listen() error {
	if p.listener != nil || p.closed {
		return nil
	}
	l, err := net.Listen("tcp4", p.address)
	if err != nil {
		return fmt.Errorf("faults: %w", err)
	}
	p.listener = l
	p.running.Go(func() { p.accept(l) })
	return nil
}

// refuse resets all connections and takes no new ones. The lock is held.
func (p *TCP) refuse() {
	if p.listener != nil {
		_ = p.listener.Close() // it listens no more, whatever it says
		p.listener = nil
	}
	for l := range p.links {
		l.reset()
	}
}

// outage refuses connections for a while.
func (p *TCP) outage(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.listener == nil {
		return
	}
	p.refuse()
	if d == 0 {
		return
	}
	p.running.Go(func() {
		for wait := d; ; wait = 10 * time.Millisecond {
			select {
			case <-time.After(wait):
			case <-p.closing:
				return
			}
			p.mu.Lock()
			err := p.listen()
			p.mu.Unlock()
			if err == nil {
				return
			}
		}
	})
}

func (p *TCP) accept(l net.Listener) {
	for {
		client, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			p.running.Go(func() { p.serve(client.(*net.TCPConn)) })
		}
	}
}

// serve passes one connection on until it ends.
func (p *TCP) serve(client *net.TCPConn) {
	l := &link{proxy: p, client: client, done: make(chan struct{})}
	server, err := net.DialTimeout("tcp4", p.target, 10*time.Second)
	if err != nil {
		l.reset()
		return
	}
	l.server = server.(*net.TCPConn)
	p.mu.Lock()
	if p.listener == nil { // refused while it was being made
		p.mu.Unlock()
		l.reset()
		return
	}
	p.links[l] = struct{}{}
	p.accepted++
	l.number = p.accepted
	for _, b := range p.breaks {
		if b.Sent == "" && l.broken == nil {
			if _, ok := b.hit(b.Rule, p.seed); ok {
				l.broken, l.left = b, b.Bytes
			}
		}
	}
	p.mu.Unlock()
	var up sync.WaitGroup
	up.Go(func() { l.pump(l.server, l.client, true) })
	l.pump(l.client, l.server, false)
	up.Wait()
	l.close()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

// current gives the line as it is now, and the faults that texts set off.
func (p *TCP) current() (Line, []*Break, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.line, p.breaks, p.longest
}
