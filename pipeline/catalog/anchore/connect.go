package anchore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	defaultConnections = 16
	// A stream that is read from one driver and written to another on the same
	// pool takes two connections; the catalog wants some beside them.
	leastConnections = 4
	// connectPause is waited before connecting is tried again.
	connectPause = time.Second
)

// durable makes a session's commits wait for the disk where the server is
// configured not to: a source is deleted on the strength of them.
const durable = `SELECT set_config('synchronous_commit', 'on', false)
	WHERE current_setting('synchronous_commit') = 'off'`

// openPostgres connects, trying again as often as the options allow.
func openPostgres(ctx context.Context, o Options) (*postgres, error) {
	config, err := poolConfig(o)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, describe(err, config.ConnConfig)
	}
	p := &postgres{reader: reader{pool}, pool: pool, config: config.ConnConfig, place: place(config.ConnConfig)}
	p.lock.lost = make(chan struct{})
	p.lock.options = o
	for attempt := 0; ; attempt++ {
		if err = p.refusePooler(ctx); err == nil {
			err = p.check(ctx)
		}
		if err == nil {
			return p, nil
		}
		if attempt >= o.Retries || !worthRetrying(err) || !pause(ctx, connectPause) {
			pool.Close()
			return nil, err
		}
	}
}

// pause waits, and says whether the context lasted.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// check connects and looks for Anchore's tables.
func (p *postgres) check(ctx context.Context) error {
	var version int
	if err := p.pool.QueryRow(ctx, `SELECT current_setting('server_version_num')::int4`).Scan(&version); err != nil {
		return describe(err, p.config)
	}
	if err := tooOld(version, p.place); err != nil {
		return err
	}
	rows, err := p.pool.Query(ctx, `SELECT t FROM unnest($1::text[]) t WHERE to_regclass(quote_ident(t)) IS NULL`, tables)
	if err == nil {
		var missing []string
		missing, err = pgx.CollectRows(rows, pgx.RowTo[string])
		if err == nil && len(missing) > 0 {
			return cmp.Or(p.lacksSchema(ctx, missing), missingTables(p.place, missing))
		}
	}
	if err != nil {
		return describe(err, p.config)
	}
	return nil
}

// oldest is the first version of PostgreSQL that kedge works with, as Anchore
// does: 9.6, as server_version_num has it.
const oldest = 90600

// tooOld refuses a server's version, as server_version_num has it.
func tooOld(version int, place string) error {
	if version >= oldest {
		return nil
	}
	return fmt.Errorf("the database at %s is PostgreSQL %d.%d, and kedge needs 9.6 or later, as Anchore does", place, version/10000, version/100%100)
}

// lacksSchema says which privilege lacks where the tables are in a schema that the
// user may not look into; nil if it is not that.
func (p *postgres) lacksSchema(ctx context.Context, missing []string) error {
	var schema, user string
	err := p.pool.QueryRow(ctx, `SELECT quote_ident(n.nspname), quote_ident(current_user)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relname = ANY($1::text[]) AND c.relkind IN ('r', 'p') AND NOT has_schema_privilege(n.oid, 'USAGE')
		GROUP BY n.nspname ORDER BY count(*) DESC, n.nspname LIMIT 1`, missing).Scan(&schema, &user)
	if err != nil {
		return nil // what is told then is true as well
	}
	return fmt.Errorf("the database's user lacks USAGE on schema %[1]s, where Anchore's tables are (let the owner or a superuser do: GRANT USAGE ON SCHEMA %[1]s TO %[2]s)", schema, user)
}

func missingTables(place string, missing []string) error {
	return fmt.Errorf("the database at %s has no table %s: it is not Anchore's, or not that user's", place, strings.Join(missing, ", "))
}

// poolConfig makes the pool's configuration of the options.
func poolConfig(o Options) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(o.Postgres)
	if err != nil {
		// The parser's error quotes the URL, and what it hides there is its best
		// guess only: with a password that was not escaped, parts of it may lie
		// where a host or a port should be.
		return nil, errors.New("the database URL is not valid: postgresql://USER:PASSWORD@HOST:PORT/NAME is expected, special characters in USER and PASSWORD percent-escaped")
	}
	c := config.ConnConfig
	if o.ConnectTimeout > 0 {
		c.ConnectTimeout = o.ConnectTimeout
	}
	if o.StatementTimeout > 0 {
		c.RuntimeParams["statement_timeout"] = milliseconds(o.StatementTimeout)
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = o.Application
	}
	c.DialFunc = patiently(c.DialFunc, o.silence())
	// Plans are made for each execution: one that was made while a table was
	// still empty would scan the whole of it when it has grown.
	c.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	if !strings.Contains(o.Postgres, "pool_max_conns") {
		config.MaxConns = defaultConnections
	}
	config.MaxConns = max(config.MaxConns, leastConnections)
	prepareSessions(c)
	return config, nil
}

func milliseconds(d time.Duration) string {
	return strconv.FormatInt(max(d.Milliseconds(), 1), 10)
}

func hostPort(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// place is the database without user and password.
func place(c *pgx.ConnConfig) string {
	host := c.Host
	if strings.HasPrefix(host, "/") { // folder of a Unix socket, as libpq writes it
		host = url.PathEscape(host)
	}
	at := addresses(c)
	at[0] = hostPort(host, c.Port)
	return "postgresql://" + strings.Join(at, ",") + "/" + c.Database
}
