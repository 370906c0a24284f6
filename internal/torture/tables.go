package torture

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/kedge/kedge/internal/testenv"
)

// tableStore reaches archive_document or object_storage with plain SQL.
type tableStore struct {
	conn          *pgx.Conn
	table, prefix string
	layout        testenv.Layout
}

// parts takes a URI apart into user, bucket and archive id.
func (s *tableStore) parts(uri string) (user, bucket, id string) {
	parts := strings.SplitN(strings.TrimPrefix(uri, s.prefix), "/", 3)
	return parts[0], parts[1], parts[2]
}

func (s *tableStore) fill(ctx context.Context, payloads map[string][]byte) error {
	if len(payloads) == 0 {
		return nil
	}
	var rows [][]any
	var ids []string
	for uri, payload := range payloads {
		user, bucket, id := s.parts(uri)
		ids = append(ids, id)
		if s.table == "object_storage" {
			rows = append(rows, []any{user, bucket, id, "", payload, 1600000000, 1600000000})
			continue
		}
		text, encoded := string(payload), false
		if !utf8.Valid(payload) || strings.ContainsRune(text, 0) {
			text, encoded = pythonBase64(payload), true
		}
		rows = append(rows, []any{bucket, id, user, id + ".json", 1600000000, 1600000000, "active", text, encoded})
	}
	columns := []string{"bucket", "archiveId", "userId", "documentName", "created_at", "last_updated", "record_state_key", "jsondata", "b64_encoded"}
	if s.table == "object_storage" {
		columns = []string{"userId", "bucket", "key", "version", "content", "created_at", "last_updated"}
	}
	if _, err := s.conn.CopyFrom(ctx, pgx.Identifier{s.table}, columns, pgx.CopyFromRows(rows)); err != nil {
		return err
	}
	// Only these: kedge's copies that were moved along would be somebody else's to it,
	// which it leaves.
	return s.layout.Spread(ctx, s.conn, s.table, ids...)
}

// pythonBase64 encodes as Python's base64.encodebytes does.
func pythonBase64(b []byte) string {
	text := base64.StdEncoding.EncodeToString(b)
	var lines strings.Builder
	for len(text) > 0 {
		n := min(76, len(text))
		lines.WriteString(text[:n] + "\n")
		text = text[n:]
	}
	return lines.String()
}

func (s *tableStore) read(ctx context.Context, uris []string) (map[string][]byte, error) {
	wanted := make(map[string]bool, len(uris))
	for _, uri := range uris {
		wanted[uri] = true
	}
	query := `SELECT "userId", bucket, "archiveId", convert_to(jsondata, 'UTF8'), coalesce(b64_encoded, false) FROM archive_document`
	if s.table == "object_storage" {
		query = `SELECT "userId", bucket, key, content, false FROM object_storage WHERE version = ''`
	}
	rows, err := s.conn.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	payloads := make(map[string][]byte)
	var user, bucket, id string
	var content []byte
	var encoded bool
	_, err = pgx.ForEachRow(rows, []any{&user, &bucket, &id, &content, &encoded}, func() error {
		uri := s.prefix + user + "/" + bucket + "/" + id
		if !wanted[uri] {
			return nil
		}
		payload := append([]byte{}, content...)
		if encoded {
			var err error
			if payload, err = base64.StdEncoding.DecodeString(strings.ReplaceAll(string(content), "\n", "")); err != nil {
				return fmt.Errorf("%s: %w", uri, err)
			}
		}
		payloads[uri] = payload
		return nil
	})
	return payloads, err
}

func (s *tableStore) remove(ctx context.Context, uris []string) error {
	statement := `DELETE FROM archive_document WHERE "userId" = $1 AND bucket = $2 AND "archiveId" = $3`
	if s.table == "object_storage" {
		statement = `DELETE FROM object_storage WHERE "userId" = $1 AND bucket = $2 AND key = $3`
	}
	for _, uri := range uris {
		user, bucket, id := s.parts(uri)
		if _, err := s.conn.Exec(ctx, statement, user, bucket, id); err != nil {
			return err
		}
	}
	return nil
}

func (s *tableStore) list(ctx context.Context, _ []string) ([]string, error) {
	key := `"archiveId"`
	if s.table == "object_storage" {
		key = "key"
	}
	rows, err := s.conn.Query(ctx, fmt.Sprintf(`SELECT '%s' || "userId" || '/' || bucket || '/' || %s FROM %s`, s.prefix, key, s.table))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

func (s *tableStore) clear(ctx context.Context) error {
	_, err := s.conn.Exec(ctx, "TRUNCATE "+s.table)
	return err
}
