package main

import (
	"bytes"
	wire "encoding/binary"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// commitProxy stands before PostgreSQL and cuts a connection at a commit of the
// catalog: before the server hears of it, or when the server has done it and
// before the answer comes back.
type commitProxy struct {
	url    string // the database's, by way of the proxy
	server string
	all    sync.WaitGroup

	mu        sync.Mutex
	countdown int // commits until one is cut; 0 lets all pass
	forwarded bool
	conns     map[net.Conn]bool
}

func newCommitProxy(t *testing.T, databaseURL string) *commitProxy {
	t.Helper()
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &commitProxy{server: u.Host, conns: make(map[net.Conn]bool)}
	u.Host = listener.Addr().String()
	p.url = u.String()
	p.all.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			p.all.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		p.mu.Lock()
		for c := range p.conns {
			_ = c.Close()
		}
		p.mu.Unlock()
		p.all.Wait()
	})
	return p
}

// cut makes the nth commit from now on fail.
func (p *commitProxy) cut(nth int, forwarded bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.countdown, p.forwarded = nth, forwarded
}

func (p *commitProxy) armed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.countdown > 0
}

// due counts a commit and says whether it is the one to cut, and how.
func (p *commitProxy) due() (cut, forwarded bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.countdown == 0 {
		return false, false
	}
	p.countdown--
	return p.countdown == 0, p.forwarded
}

func (p *commitProxy) keep(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = true
}

// serve passes a connection on, message by message on the way to the server.
func (p *commitProxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	p.keep(client)
	p.keep(server)
	answers := &answers{to: client}
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(answers, server)
		answers.over()
		_ = client.Close()
	})
	defer back.Wait()
	defer server.Close()
	if err := passStartup(client, server); err != nil {
		return
	}
	committing := false
	for {
		kind, message, err := readMessage(client)
		if err != nil {
			return
		}
		switch kind {
		case 'P': // Parse
			committing = bytes.Contains(message, []byte("UPDATE archive_metadata m"))
		case 'E': // Execute; Sync follows and commits
			if !committing {
				break
			}
			cut, forwarded := p.due()
			if cut && !forwarded {
				return
			}
			if cut {
				done := answers.swallow()
				if _, err := server.Write(message); err != nil {
					return
				}
				if _, sync, err := readMessage(client); err != nil {
					return
				} else if _, err := server.Write(sync); err != nil {
					return
				}
				<-done
				return
			}
		}
		if _, err := server.Write(message); err != nil {
			return
		}
	}
}

// passStartup passes the messages on that have no type yet: a request for TLS,
// and the startup message.
func passStartup(client io.Reader, server io.Writer) error {
	const requestTLS = 80877103
	for {
		var head [8]byte
		if _, err := io.ReadFull(client, head[:]); err != nil {
			return err
		}
		length := wire.BigEndian.Uint32(head[:4])
		if length < 8 || length > 1<<16 {
			return errors.New("no startup message")
		}
		rest := make([]byte, length-8)
		if _, err := io.ReadFull(client, rest); err != nil {
			return err
		}
		if _, err := server.Write(append(head[:], rest...)); err != nil {
			return err
		}
		if wire.BigEndian.Uint32(head[4:]) != requestTLS {
			return nil
		}
	}
}

// readMessage reads a message of PostgreSQL's protocol: a byte that tells its
// kind, its length without that byte, and the rest.
func readMessage(r io.Reader) (kind byte, message []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	length := wire.BigEndian.Uint32(head[1:])
	if length < 4 || length > 1<<30 {
		return 0, nil, errors.New("no message")
	}
	message = make([]byte, 1+length)
	copy(message, head[:])
	_, err = io.ReadFull(r, message[5:])
	return head[0], message, err
}

// answers passes the server's answers on, until it swallows them.
type answers struct {
	to io.Writer

	mu        sync.Mutex
	swallowed []byte
	done      chan struct{} // nil while answers are passed on; closed at the end
}

// swallow passes nothing on any more; the channel is closed when the server has
// said that it is ready again, or is gone.
func (a *answers) swallow() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.done == nil {
		a.done = make(chan struct{})
	}
	return a.done
}

// Write takes the server's bytes.
func (a *answers) Write(b []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.done == nil {
		return a.to.Write(b)
	}
	a.swallowed = append(a.swallowed, b...)
	// ReadyForQuery, idle: the transaction is over.
	if bytes.HasSuffix(a.swallowed, []byte{'Z', 0, 0, 0, 5, 'I'}) {
		return 0, io.ErrClosedPipe // which ends the copying
	}
	return len(b), nil
}

// over says that nothing more comes from the server.
func (a *answers) over() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.done == nil {
		a.done = make(chan struct{})
	}
	close(a.done)
}
