// Command ceiling copies documents with as little work as HTTP allows, to find out
// how fast the servers themselves are. It looks at the status of each answer and at
// nothing else: no digests, no catalog, no second attempt, payloads unsigned. The
// rate that it reaches with N clients is the most that a program with N requests in
// flight can reach.
//
//	ceiling -list FILE -clients 32 -dir DIR -put URL    files to objects
//	ceiling -list FILE -clients 32 -get URL             objects, read and dropped
//	ceiling -list FILE -clients 32 -get URL -put URL    objects to objects
//	ceiling -list FILE -clients 32 -get URL -dir DIR    objects to files
//
// FILE has a line for each document: its key, a tab, its path below DIR. URL is
// http://host:port/bucket, or Swift's storage URL with the container. The
// environment says how to authorise requests, in CEILING_GET and CEILING_PUT:
// "s3 REGION ACCESSKEY SECRETKEY" or "swift TOKEN".
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

func main() {
	list := flag.String("list", "", "file with a line for each document: key, tab, path")
	dir := flag.String("dir", "", "folder of the files: the source with -put, else the destination")
	get := flag.String("get", "", "URL of the S3 bucket or container to read")
	put := flag.String("put", "", "URL of the S3 bucket or container to write")
	clients := flag.Int("clients", 32, "requests in flight")
	flag.Parse()
	debug.SetGCPercent(400)
	if err := run(*list, *dir, *get, *put, *clients); err != nil {
		fmt.Fprintln(os.Stderr, "ceiling:", err)
		os.Exit(1)
	}
}

// document is a line of the list.
type document struct{ key, path string }

func run(list, dir, get, put string, clients int) error {
	documents, err := readList(list)
	if err != nil {
		return err
	}
	transport := &http.Transport{
		MaxIdleConns: 2 * clients, MaxIdleConnsPerHost: clients, DisableCompression: true,
		WriteBufferSize: 64 << 10, ReadBufferSize: 64 << 10, ResponseHeaderTimeout: 5 * time.Minute,
	}
	defer transport.CloseIdleConnections()
	w := worker{dir: dir}
	if w.from, err = newEndpoint(transport, get, os.Getenv("CEILING_GET")); err != nil {
		return err
	}
	if w.to, err = newEndpoint(transport, put, os.Getenv("CEILING_PUT")); err != nil {
		return err
	}
	if w.from == nil && (w.to == nil || dir == "") {
		return errors.New("give -get, or -dir and -put")
	}
	return spread(documents, clients, w)
}

// spread has the clients take one document after the other, until the first
// error.
func spread(documents []document, clients int, w worker) error {
	var next atomic.Int64
	failed := make(chan error, clients)
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			buffer := make([]byte, wholeBytes)
			for {
				n := int(next.Add(1)) - 1
				if n >= len(documents) {
					return
				}
				if err := w.copy(documents[n], buffer); err != nil {
					next.Store(int64(len(documents)))
					failed <- fmt.Errorf("%s: %w", documents[n].key, err)
					return
				}
			}
		})
	}
	all.Wait()
	close(failed)
	return <-failed
}

func readList(path string) ([]document, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var documents []document
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		key, path, ok := strings.Cut(lines.Text(), "\t")
		if !ok {
			return nil, fmt.Errorf("%s: a line without a tab", f.Name())
		}
		documents = append(documents, document{key, path})
	}
	return documents, lines.Err()
}
