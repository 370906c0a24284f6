package db

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
)

// base64Line is how many bytes make a line of 76 characters.
const base64Line = 57

// encodeBase64 writes bytes as Python's base64.encodebytes does, which Anchore
// uses: lines of 76 characters, a newline after each of them, nothing for no
// bytes.
func encodeBase64(p []byte) []byte {
	lines := (len(p) + base64Line - 1) / base64Line
	out := make([]byte, 0, base64.StdEncoding.EncodedLen(len(p))+lines)
	for len(p) > 0 {
		n := min(len(p), base64Line)
		out = base64.StdEncoding.AppendEncode(out, p[:n])
		out = append(out, '\n')
		p = p[n:]
	}
	return out
}

var errBase64Cut = errors.New("base64 text ends within a group of four")

// base64Writer decodes base64 text that is written to it in any pieces, and
// writes the bytes to w. White space may stand anywhere; anything else outside
// of the alphabet, and anything behind the padding, is an error, where Python's
// decoder would skip it: what Anchore has written holds neither. Close tells
// whether the text was complete.
type base64Writer struct {
	w     io.Writer
	group []byte // characters of a group that is not complete yet
	ended bool   // the padding has been seen
	out   []byte
}

func (d *base64Writer) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		piece := p[:min(len(p), 1<<16)]
		p = p[len(piece):]
		for _, c := range piece {
			switch c {
			case ' ', '\t', '\n', '\v', '\f', '\r':
			default:
				d.group = append(d.group, c)
			}
		}
		if err := d.decode(len(d.group) / 4 * 4); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// decode writes out the first n characters, whole groups.
func (d *base64Writer) decode(n int) error {
	if n == 0 {
		return nil
	}
	if d.ended {
		return errors.New("base64 text goes on behind its padding")
	}
	var err error
	if d.out, err = base64.StdEncoding.AppendDecode(d.out[:0], d.group[:n]); err != nil {
		return fmt.Errorf("not base64: %w", err)
	}
	d.ended = d.group[n-1] == '='
	d.group = append(d.group[:0], d.group[n:]...)
	_, err = d.w.Write(d.out)
	return err
}

func (d *base64Writer) Close() error {
	if len(d.group) > 0 {
		if d.ended {
			return errors.New("base64 text goes on behind its padding")
		}
		return errBase64Cut
	}
	return nil
}

// decodeBase64 decodes a whole text.
func decodeBase64(text []byte) ([]byte, error) {
	out := &buffer{data: make([]byte, 0, base64.StdEncoding.DecodedLen(len(text)))}
	d := base64Writer{w: out}
	if _, err := d.Write(text); err != nil {
		return nil, err
	}
	if err := d.Close(); err != nil {
		return nil, err
	}
	return out.data, nil
}

// buffer appends what is written to it.
type buffer struct{ data []byte }

func (b *buffer) Write(p []byte) (int, error) {
	b.data = append(b.data, p...)
	return len(p), nil
}
