package faults

import (
	"bytes"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// link is one connection through a TCP proxy.
type link struct {
	proxy          *TCP
	client, server *net.TCPConn
	number         int
	done           chan struct{} // closed when it is over
	once           sync.Once

	mu     sync.Mutex
	tail   []byte // the end of what the client sent, where a text may have begun
	broken *Break // is going to happen
	left   int64  // after so many bytes more
	heard  bool   // the server has answered since the text that sets it off
	silent bool
}

// chunkBytes is how much is read and judged at once.
const chunkBytes = 16 << 10

// pump passes on what arrives in one direction, up being from client to server.
func (l *link) pump(to, from *net.TCPConn, up bool) {
	direction := 0
	if up {
		direction = 1
	}
	random := drawn(l.proxy.seed, 2*l.number+direction)
	buffer := make([]byte, chunkBytes)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			l.delay(random, n)
			pass, way := l.judge(buffer[:n], up)
			if pass > 0 {
				if _, werr := to.Write(buffer[:pass]); werr != nil {
					l.reset()
					return
				}
			}
			if way != nil && l.breakOff(*way) {
				return
			}
		}
		if err != nil {
			l.ended(to, up)
			return
		}
	}
}

// ended passes on that one side has nothing more to send. A client that has gone
// from a silent connection ends it: nobody else would.
func (l *link) ended(to *net.TCPConn, up bool) {
	if up && l.isSilent() {
		l.close()
		return
	}
	if l.isSilent() {
		return
	}
	if to.CloseWrite() != nil {
		l.close()
	}
}

// delay waits as long as n bytes take on this line.
func (l *link) delay(random *rand.Rand, n int) {
	line, _, _ := l.proxy.current()
	wait := line.Latency
	if line.Jitter > 0 {
		wait += time.Duration(random.Int64N(int64(line.Jitter)))
	}
	if line.BytesPerSecond > 0 {
		wait += time.Duration(int64(n) * int64(time.Second) / line.BytesPerSecond)
	}
	if wait > 0 {
		select {
		case <-time.After(wait):
		case <-l.done:
		}
	}
}

// judge says how much of a chunk is passed on, and how the connection breaks
// then, if it does.
func (l *link) judge(chunk []byte, up bool) (pass int, way *Way) {
	_, breaks, longest := l.proxy.current()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.silent {
		return 0, nil
	}
	if up {
		if l.broken != nil && l.broken.Sent != "" && l.heard {
			l.broken.missed()
			l.broken = nil
		}
		l.listenFor(chunk, breaks, longest)
	}
	if l.broken == nil || up && l.broken.Sent != "" {
		return len(chunk), nil
	}
	l.heard = true
	if int64(len(chunk)) <= l.left {
		l.left -= int64(len(chunk))
		return len(chunk), nil
	}
	pass, way = int(l.left), &l.broken.How
	l.broken = nil
	l.silent = way.kind == waySilence
	return pass, way
}

// listenFor looks for the texts that set off a fault, also where they came in
// two pieces. The lock is held.
func (l *link) listenFor(chunk []byte, breaks []*Break, longest int) {
	if longest == 0 {
		return
	}
	heard := append(l.tail, chunk...)
	for _, b := range breaks {
		if b.Sent == "" || l.broken != nil {
			continue
		}
		// What lies in the tail as a whole has been counted.
		fresh := heard[max(0, len(l.tail)-len(b.Sent)+1):]
		for range bytes.Count(fresh, []byte(b.Sent)) {
			if _, ok := b.hit(b.Rule, l.proxy.seed); ok && l.broken == nil {
				l.broken, l.left, l.heard = b, b.Bytes, false
			}
		}
	}
	l.tail = bytes.Clone(heard[max(0, len(heard)-longest+1):])
}

// breakOff does to the connection what a fault says, and tells whether it is
// over.
func (l *link) breakOff(way Way) bool {
	switch way.kind {
	case waySilence:
		return false
	case wayOutage:
		l.proxy.outage(way.outage)
	}
	l.reset()
	return true
}

func (l *link) isSilent() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.silent
}

// reset ends the connection with a reset at both ends.
func (l *link) reset() {
	l.once.Do(func() { close(l.done) })
	for _, c := range []*net.TCPConn{l.client, l.server} {
		if c != nil {
			_ = c.SetLinger(0) // fails only on a connection that is closed
			_ = c.Close()
		}
	}
}

// close ends the connection in order.
func (l *link) close() {
	l.once.Do(func() { close(l.done) })
	_ = l.client.Close() // nothing more is to be said on either
	_ = l.server.Close()
}
