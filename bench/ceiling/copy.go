package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
)

// wholeBytes is up to which length a document is read into memory before it is
// sent on.
const wholeBytes = 256 << 10

// worker copies documents from files or an endpoint to an endpoint, to files,
// or nowhere.
type worker struct {
	dir      string
	from, to *endpoint
}

// copy copies one document; buffer, of wholeBytes, is the client's own.
func (w worker) copy(d document, buffer []byte) error {
	body, length, err := w.open(d)
	if err != nil {
		return err
	}
	defer body.Close()
	switch {
	case w.to == nil && w.dir != "":
		return w.save(d, body)
	case w.to == nil:
		_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, body, buffer)
		return err
	case length > int64(len(buffer)):
		return w.to.put(d.key, io.NopCloser(body), length)
	}
	whole := buffer[:length]
	if _, err := io.ReadFull(body, whole); err != nil {
		return err
	}
	return w.to.put(d.key, io.NopCloser(bytes.NewReader(whole)), length)
}

func (w worker) open(d document) (io.ReadCloser, int64, error) {
	if w.from != nil {
		return w.from.get(d.key)
	}
	f, err := os.Open(filepath.Join(w.dir, d.path))
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	return f, info.Size(), nil
}

func (w worker) save(d document, body io.Reader) error {
	path := filepath.Join(w.dir, d.path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, body); err != nil {
		return err
	}
	return f.Close()
}
