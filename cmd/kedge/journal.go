package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/kedge/kedge/pipeline/journal"
)

// journalCommand prints a migration's audit journal.
type journalCommand struct {
	Path   string `arg:"" help:"The journal: the checkpoint's path with .journal behind it."`
	Format string `enum:"csv,json" default:"csv" help:"csv with a header line, or json with an object a line (default ${default})."`
}

// Run prints the journal. One whose last record is incomplete, as after a
// crash, is printed up to there.
func (c *journalCommand) Run(a *app) error {
	f, err := os.Open(c.Path)
	if err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	defer f.Close()
	r, err := journal.NewReader(f)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Path, err)
	}
	print, flush := csvPrinter(a.stdout)
	if c.Format == "json" {
		print, flush = jsonPrinter(a.stdout)
	}
	for {
		record, err := r.Next()
		switch {
		case err == io.EOF:
			return flush()
		case errors.Is(err, journal.ErrTorn):
			fmt.Fprintf(a.stderr, "kedge: %s: %v, as after a crash; the next run cuts it off\n", c.Path, err)
			return flush()
		case err != nil:
			return errors.Join(fmt.Errorf("%s: %w", c.Path, err), flush())
		}
		if err := print(record); err != nil {
			return err
		}
	}
}

var journalColumns = []string{
	"when", "task", "result", "user_id", "bucket", "archive_id", "document_name", "from", "to",
	"plain_digest", "plain_bytes", "stored_digest", "stored_bytes", "is_compressed", "class", "reason",
}

func csvPrinter(w io.Writer) (print func(journal.Record) error, flush func() error) {
	out := csv.NewWriter(w)
	headed := false
	head := func() error {
		if headed {
			return nil
		}
		headed = true
		return out.Write(journalColumns)
	}
	number := func(n int64) string {
		if n < 0 {
			return ""
		}
		return strconv.FormatInt(n, 10)
	}
	print = func(r journal.Record) error {
		if err := head(); err != nil {
			return err
		}
		return out.Write([]string{
			r.When.Format(time.RFC3339Nano), strconv.FormatInt(r.Task, 10), r.Result.String(),
			r.UserID, r.Bucket, r.ArchiveID, r.DocumentName, r.From, r.To,
			r.PlainDigest, number(r.PlainBytes), r.StoredDigest, number(r.StoredBytes), strconv.FormatBool(r.Compressed), r.Class, r.Reason,
		})
	}
	flush = func() error {
		if err := head(); err != nil {
			return err
		}
		out.Flush()
		return out.Error()
	}
	return print, flush
}

type recordJSON struct {
	When         string `json:"when"`
	Task         int64  `json:"task"`
	Result       string `json:"result"`
	UserID       string `json:"user_id"`
	Bucket       string `json:"bucket"`
	ArchiveID    string `json:"archive_id"`
	DocumentName string `json:"document_name"`
	From         string `json:"from"`
	To           string `json:"to,omitempty"`
	PlainDigest  string `json:"plain_digest,omitempty"`
	PlainBytes   *int64 `json:"plain_bytes"`
	StoredDigest string `json:"stored_digest,omitempty"`
	StoredBytes  *int64 `json:"stored_bytes"`
	Compressed   bool   `json:"is_compressed"`
	Class        string `json:"class,omitempty"`
	Reason       string `json:"reason,omitempty"`
}

func jsonPrinter(w io.Writer) (print func(journal.Record) error, flush func() error) {
	out := json.NewEncoder(w)
	number := func(n int64) *int64 {
		if n < 0 {
			return nil
		}
		return &n
	}
	print = func(r journal.Record) error {
		return out.Encode(recordJSON{
			When: r.When.Format(time.RFC3339Nano), Task: r.Task, Result: r.Result.String(),
			UserID: r.UserID, Bucket: r.Bucket, ArchiveID: r.ArchiveID, DocumentName: r.DocumentName, From: r.From, To: r.To,
			PlainDigest: r.PlainDigest, PlainBytes: number(r.PlainBytes), StoredDigest: r.StoredDigest, StoredBytes: number(r.StoredBytes),
			Compressed: r.Compressed, Class: r.Class, Reason: r.Reason,
		})
	}
	return print, func() error { return nil }
}
