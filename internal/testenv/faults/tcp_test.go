package faults_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/kedge/kedge/internal/testenv/faults"
)

// echoing starts a server that sends back what it gets.
func echoing(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-ended })
	return l.Addr().String()
}

func newTCP(t *testing.T) *faults.TCP {
	t.Helper()
	p, err := faults.NewTCP(echoing(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// through sends bytes over a new connection and reads what comes back.
func through(t *testing.T, p *faults.TCP, send []byte) ([]byte, error) {
	t.Helper()
	c, err := net.Dial("tcp4", p.Address())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(send); err != nil {
		return nil, err
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return nil, syscall.ECONNRESET // which has come by now: "not connected"
	}
	return io.ReadAll(c)
}

func TestTCPPassesEverything(t *testing.T) {
	p := newTCP(t)
	p.Set(faults.Line{Latency: time.Millisecond, Jitter: time.Millisecond})
	sent := bytes.Repeat([]byte("0123456789"), 20000)
	if got, err := through(t, p, sent); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d of %d bytes come back, %v", len(got), len(sent), err)
	}
}

func TestTCPBandwidth(t *testing.T) {
	p := newTCP(t)
	p.Set(faults.Line{BytesPerSecond: 1 << 20})
	began := time.Now()
	if _, err := through(t, p, make([]byte, 256<<10)); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < 240*time.Millisecond {
		t.Errorf("a quarter of a second's bytes took %v", took)
	}
}

func TestTCPResetAfterBytes(t *testing.T) {
	p := newTCP(t)
	fault := &faults.Break{Rule: faults.Rule{After: 1, Most: 1}, Bytes: 150, How: faults.Reset}
	p.Inject(fault)
	for i, broken := range []bool{false, true, false} {
		got, err := through(t, p, make([]byte, 100))
		if broken != errors.Is(err, syscall.ECONNRESET) || !broken && len(got) != 100 || broken && len(got) >= 100 {
			t.Errorf("connection %d: %d bytes, %v", i, len(got), err)
		}
	}
	if fault.Hits() != 1 {
		t.Errorf("%d hits", fault.Hits())
	}
}

// A text sets a fault off, also when it comes in pieces.
func TestTCPResetAtText(t *testing.T) {
	p := newTCP(t)
	fault := &faults.Break{Rule: faults.Rule{After: 2, Most: 1}, Sent: "UPDATE", How: faults.Reset}
	p.Inject(fault)
	c, err := net.Dial("tcp4", p.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	buffer := make([]byte, 100)
	for _, piece := range []string{"an UPDATE and an UPD", "ATE, ", "an UP"} {
		if _, err := io.WriteString(c, piece); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, buffer[:len(piece)]); err != nil {
			t.Fatal(err)
		}
	}
	if fault.Hits() != 0 {
		t.Errorf("%d hits after two texts", fault.Hits())
	}
	if _, err := io.WriteString(c, "DATE"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(buffer); !errors.Is(err, syscall.ECONNRESET) || fault.Hits() != 1 {
		t.Errorf("%v, %d hits", err, fault.Hits())
	}
}

func TestTCPSilence(t *testing.T) {
	p := newTCP(t)
	fault := &faults.Break{How: faults.Silence}
	p.Inject(fault)
	c, err := net.Dial("tcp4", p.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "x"); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	_, err = c.Read(make([]byte, 1))
	if timeout := net.Error(nil); !errors.As(err, &timeout) || !timeout.Timeout() || fault.Hits() != 1 {
		t.Errorf("%v, %d hits", err, fault.Hits())
	}
	if err := p.Lift(); err != nil {
		t.Fatal(err)
	}
	if got, err := through(t, p, []byte("x")); err != nil || string(got) != "x" {
		t.Errorf("lifted: %q, %v", got, err)
	}
}

func TestTCPOutage(t *testing.T) {
	for name, d := range map[string]time.Duration{"for a while": 200 * time.Millisecond, "until lifted": 0} {
		t.Run(name, func(t *testing.T) {
			p := newTCP(t)
			p.Inject(&faults.Break{Rule: faults.Rule{Most: 1}, How: faults.Outage(d)})
			if _, err := through(t, p, []byte("x")); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the first connection: %v", err)
			}
			if _, err := through(t, p, []byte("x")); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("the second one: %v", err)
			}
			time.Sleep(2 * d)
			if d == 0 {
				if err := p.Lift(); err != nil {
					t.Fatal(err)
				}
			}
			var err error
			for range 100 {
				if _, err = through(t, p, []byte("x")); err == nil {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
			t.Errorf("afterwards: %v", err)
		})
	}
}
