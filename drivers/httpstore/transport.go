package httpstore

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// SlowFactor is how much longer than Transport.Silence the first byte of an answer
// to a request that makes the server work may take.
const SlowFactor = 10

// idleConns keeps a connection for each worker of the largest sensible
// configuration: a transport that closes and reopens them is several times
// slower.
const idleConns = 256

// Transport says how a store's server is reached.
type Transport struct {
	// Workers is how many connections are worth keeping, if more than 256.
	Workers int
	// ConnectTimeout bounds dialling and, separately, the TLS handshake.
	ConnectTimeout time.Duration
	// Silence is how long a server may not take in what is sent.
	Silence time.Duration
	// ReadSilence is how long it may send nothing, whatever is waited for; 0 for
	// no bound beside that of the answer's first byte.
	ReadSilence time.Duration
	// InPieces sends bodies in longer pieces than net/http would.
	InPieces bool
	TLS      *tls.Config
}

// Until makes an HTTP transport whose every wait is bounded, that for the first
// byte of an answer by answerTimeout. It speaks HTTP/1.1 only: one connection a
// request is what object stores scale by.
func (t Transport) Until(answerTimeout time.Duration) *http.Transport {
	idle := max(idleConns, t.Workers)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           t.dial,
		TLSClientConfig:       t.TLS,
		TLSHandshakeTimeout:   t.ConnectTimeout,
		ResponseHeaderTimeout: answerTimeout,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConns:          2 * idle,
		MaxIdleConnsPerHost:   idle,
		// A payload that happens to be gzip must arrive as it is stored.
		DisableCompression: true,
		Protocols:          protocols,
	}
}

func (t Transport) dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: t.ConnectTimeout, KeepAlive: 30 * time.Second}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	patient := &patientConn{Conn: conn, silence: t.Silence, readSilence: t.ReadSilence}
	if t.InPieces {
		return pieceConn{patient}, nil
	}
	return patient, nil
}

// patientConn gives up where the transport would wait for ever: for a server that
// does not take in what is sent, and for the rest of an answer.
type patientConn struct {
	net.Conn
	silence, readSilence time.Duration
}

// Write fails when nothing of p could be sent for as long as the silence allows.
func (c *patientConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.silence)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// Read fails when nothing came for as long as the slowest answer may take.
func (c *patientConn) Read(p []byte) (int, error) {
	if c.readSilence > 0 {
		if err := c.SetReadDeadline(time.Now().Add(c.readSilence)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Read(p)
}

// pieceConn sends bodies in longer pieces.
type pieceConn struct{ *patientConn }

// ReadFrom implements io.ReaderFrom, which net/http makes use of.
func (c pieceConn) ReadFrom(r io.Reader) (int64, error) { return Copy(c.patientConn, r) }

// pieceBytes is how much is copied at once.
const pieceBytes = 128 << 10

var pieces = sync.Pool{New: func() any { b := make([]byte, pieceBytes); return &b }}

// Copy copies in pieces of 128 KiB, whatever else the two could do.
func Copy(w io.Writer, r io.Reader) (int64, error) {
	piece := pieces.Get().(*[]byte)
	defer pieces.Put(piece)
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, *piece)
}
