package db

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/kedge/kedge/drivers"
)

// postgresMaxBytes is the longest value that PostgreSQL forms (MaxAllocSize,
// less its header). Base64 text reaches it with three quarters of that.
const postgresMaxBytes = 1<<30 - 1 - 64

// mode makes a plan for each execution. A plan that is kept from when the table
// was empty would scan the whole of it when it has grown.
const mode = pgx.QueryExecModeCacheDescribe

// postgres is a table on PostgreSQL.
type postgres struct {
	pool      *pgxpool.Pool
	sql       postgresStatements
	encodes   bool
	asciiOnly bool          // the database's encoding is not UTF-8
	inherited bool          // the table has inherited children (partitions do not count)
	streams   chan struct{} // a token for each reader that keeps a connection
}

func openPostgres(ctx context.Context, pool *pgxpool.Pool, t table) (*postgres, error) {
	connections := int(pool.Config().MaxConns)
	if connections < 2 {
		return nil, failure{drivers.Config, fmt.Errorf("the pool has %d connection, at least 2 are needed", connections)}
	}
	var exists, inherited bool
	var encoding, durable string
	err := pool.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL, current_setting('server_encoding'), current_setting('synchronous_commit'),
			EXISTS (SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhparent WHERE c.oid = to_regclass($1) AND c.relkind = 'r')`,
		t.name).Scan(&exists, &encoding, &durable, &inherited)
	switch {
	case err != nil:
		return nil, err
	case !exists:
		return nil, failure{drivers.Config, fmt.Errorf("the database has no table %s: is it Anchore's?", t.name)}
	case durable == "off":
		return nil, failure{drivers.Config, errors.New("synchronous_commit is off: what has been stored could be lost in a crash after its source was deleted")}
	}
	return &postgres{
		pool:      pool,
		sql:       t.postgres,
		encodes:   t.encodes,
		asciiOnly: encoding != "UTF8",
		inherited: inherited,
		streams:   make(chan struct{}, connections/2),
	}, nil
}

// unlogged says that a table, a partition or a child of it is not in the
// write-ahead log: a crash of the server empties such a one.
func unlogged(ctx context.Context, pool *pgxpool.Pool, table string) (string, error) {
	var name string
	err := pool.QueryRow(ctx, `WITH RECURSIVE parts AS (
			SELECT to_regclass($1)::oid AS oid UNION SELECT i.inhrelid FROM pg_inherits i JOIN parts p ON p.oid = i.inhparent)
		SELECT coalesce(min(c.oid::regclass::text), '') FROM pg_class c JOIN parts USING (oid)
		WHERE c.relpersistence <> 'p' AND c.relkind <> 'p'`, table).Scan(&name)
	if err != nil || name == "" {
		return "", err
	}
	return fmt.Sprintf("table %[1]s is UNLOGGED, and a crash of the server empties it (ALTER TABLE %[1]s SET LOGGED)", name), nil
}

// columns makes the three array parameters of keys.
func columns(n int, key func(i int) drivers.Key) (users, buckets, ids []string) {
	users, buckets, ids = make([]string, n), make([]string, n), make([]string, n)
	for i := range n {
		k := key(i)
		users[i], buckets[i], ids[i] = k.UserID, k.Bucket, k.ArchiveID
	}
	return users, buckets, ids
}

func (p *postgres) read(ctx context.Context, keys []drivers.Key, limits []int64) (map[int]found, error) {
	users, buckets, ids := columns(len(keys), func(i int) drivers.Key { return keys[i] })
	rows, err := p.pool.Query(ctx, p.sql.read, mode, users, buckets, ids, limits)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := make(map[int]found, len(keys))
	for rows.Next() {
		var n int
		var bytes *int64
		var encoded bool
		var data []byte
		var version string
		if err := rows.Scan(&n, &bytes, &encoded, &data, &version); err != nil {
			return nil, err
		}
		f := found{data: data, null: bytes == nil}
		if bytes != nil {
			f.bytes = *bytes
		}
		if encoded && data != nil {
			f = decoded(data, limits[n-1])
		}
		f.version = version
		all[n-1] = f
	}
	return all, rows.Err()
}

// decoded is a payload whose base64 text was read.
func decoded(text []byte, limit int64) found {
	data, err := decodeBase64(text)
	if err != nil {
		return found{err: failure{drivers.Corrupt, err}}
	}
	f := found{data: data, bytes: int64(len(data))}
	if f.bytes > limit {
		f.data = nil
	}
	return f
}

func (p *postgres) write(ctx context.Context, items []item) ([]stored, error) {
	users, buckets, ids := columns(len(items), func(i int) drivers.Key { return items[i].key })
	data, encoded := make([][]byte, len(items)), make([]bool, len(items))
	at := make(map[drivers.Key]int, len(items))
	for i, it := range items {
		at[it.key] = i
		data[i] = it.data
		if data[i] == nil {
			data[i] = []byte{} // nil would be NULL
		}
		encoded[i] = p.encodes && !isText(it.data, p.asciiOnly)
	}
	rows, err := p.pool.Query(ctx, p.sql.write, mode, users, buckets, ids, data, encoded, time.Now().Unix())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	proofs := make([]stored, len(items))
	written := 0
	var others []drivers.Key // keys with other rows
	for rows.Next() {
		var k drivers.Key
		var proof stored
		var more bool
		if err := rows.Scan(&k.UserID, &k.Bucket, &k.ArchiveID, &proof.md5, &more, &proof.version); err != nil {
			return nil, err
		}
		if more {
			others = append(others, k)
		}
		i, ok := at[k]
		if !ok {
			return nil, fmt.Errorf("the database stored %s, which was not asked for", k)
		}
		proofs[i] = proof
		written++
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if written != len(items) {
		return nil, errUnstored
	}
	if p.inherited {
		// A unique index does not reach into children: a row of the key that lies
		// there would stand beside the new one.
		if _, err := p.pool.Exec(ctx, p.sql.clearChildren, mode, users, buckets, ids); err != nil {
			return nil, err
		}
	}
	// A statement of its own: this is rare, the new row is the one that Get reads
	// already, and a Put that ends before this is done again by its caller.
	for _, k := range others {
		if _, err := p.pool.Exec(ctx, p.sql.clear, mode, k.UserID, k.Bucket, k.ArchiveID); err != nil {
			return nil, err
		}
	}
	return proofs, nil
}

func (p *postgres) remove(ctx context.Context, keys []drivers.Key) error {
	users, buckets, ids := columns(len(keys), func(i int) drivers.Key { return keys[i] })
	_, err := p.pool.Exec(ctx, p.sql.remove, mode, users, buckets, ids)
	return err
}

func (p *postgres) versions() bool { return true }

func (p *postgres) page(ctx context.Context, after *drivers.Key, limit int, proven bool) ([]entry, error) {
	sum := `NULL::text`
	if proven {
		sum = p.sql.sum
	}
	q, args := p.sql.page(sum, "", "$1"), []any{mode, limit}
	if after != nil {
		q, args = p.sql.page(sum, p.sql.behind, "$4"), []any{mode, after.UserID, after.Bucket, after.ArchiveID, limit}
	}
	rows, err := p.pool.Query(ctx, q, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (entry, error) {
		var e entry
		var bytes *int64
		var sum *string
		err := row.Scan(&e.key.UserID, &e.key.Bucket, &e.key.ArchiveID, &bytes, &e.version, &sum)
		if bytes != nil {
			e.bytes = *bytes
		}
		if sum != nil {
			e.md5 = *sum
		}
		return e, err
	})
}

func (p *postgres) updated(ctx context.Context, key drivers.Key) (seconds *int64, err error) {
	err = p.pool.QueryRow(ctx, p.sql.updated, mode, key.UserID, key.Bucket, key.ArchiveID).Scan(&seconds)
	return seconds, err
}
