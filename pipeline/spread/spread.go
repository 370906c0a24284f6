// Package spread helps to compare more names than memory holds. It spreads the names'
// sums over files by their first byte. The caller looks at one file after the other.
package spread

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Files is how many files there are.
const Files = 64

// Over writes records, each behind its sum, to files in the folder whose names
// begin with name, and gives the files' paths. Two records with one sum are in one
// file. It holds 2 MiB of memory.
func Over(folder, name string, fill func(put func(sum [16]byte, record []byte) error) error) (paths [Files]string, err error) {
	var files [Files]*os.File
	var writers [Files]*bufio.Writer
	for i := range files {
		paths[i] = filepath.Join(folder, fmt.Sprintf("%s-%02d", name, i))
		if files[i], err = os.OpenFile(paths[i], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return paths, err
		}
		defer func() { err = errors.Join(err, files[i].Close()) }()
		writers[i] = bufio.NewWriterSize(files[i], 32<<10)
	}
	err = fill(func(sum [16]byte, record []byte) error {
		w := writers[sum[0]%Files]
		if _, err := w.Write(sum[:]); err != nil {
			return err
		}
		_, err := w.Write(record)
		return err
	})
	for _, w := range writers {
		err = errors.Join(err, w.Flush())
	}
	return paths, err
}
