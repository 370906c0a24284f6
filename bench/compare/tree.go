package compare

import (
	"bufio"
	"crypto/md5"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/kedge/kedge/drivers"
)

// tree is a set of documents as files, in the layout of driver localfs.
type tree struct {
	root      string
	list      string // file that names the documents, as the bare client reads it
	documents []document
	bytes     int64
}

// document is one of a tree.
type document struct {
	key    drivers.Key
	path   string // below the tree's root
	digest string
	bytes  int64
}

// id is the document's name in a store that keeps keys as they are.
func (d document) id() string { return d.key.UserID + "/" + d.key.Bucket + "/" + d.key.ArchiveID }

// plant makes a set's tree in a folder of the test's.
func plant(tb testing.TB, s set) *tree {
	tb.Helper()
	folder := tb.TempDir()
	t := &tree{root: filepath.Join(folder, "archive"), list: filepath.Join(folder, "documents")}
	for n := range s.workload.Documents {
		if err := t.add(s.workload.Key(n), s.workload.Plain(n)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := t.writeList(); err != nil {
		tb.Fatal(err)
	}
	return t
}

func (t *tree) add(key drivers.Key, payload []byte) error {
	id := hexMD5([]byte(key.ArchiveID))
	d := document{
		key: key, digest: hexMD5(payload), bytes: int64(len(payload)),
		path: filepath.Join(hexMD5([]byte(key.UserID)), key.Bucket, id[:2], id+".json"),
	}
	t.documents, t.bytes = append(t.documents, d), t.bytes+d.bytes
	path := filepath.Join(t.root, d.path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, payload, 0o644)
}

func (t *tree) writeList() error {
	f, err := os.Create(t.list)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	for _, d := range t.documents {
		fmt.Fprintf(w, "%s\t%s\n", d.id(), d.path)
	}
	return errors.Join(w.Flush(), f.Close())
}

func hexMD5(b []byte) string { return fmt.Sprintf("%x", md5.Sum(b)) }
