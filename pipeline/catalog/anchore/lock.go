package anchore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"github.com/kedge/kedge/pipeline/catalog"
)

const (
	// watchEvery is how often an idle lock session is asked whether it lives.
	watchEvery = time.Second
	// defaultPatience is how long it may take to answer before it counts as dead.
	defaultPatience = 30 * time.Second
	// cancelPatience is how long the server may take to end a statement whose
	// context has ended; then the connection is given up, and the lock with it.
	cancelPatience = 10 * time.Second
)

var errNotLocked = errors.New("the migration lock is not held")

// lockSession is the one connection that holds the lock and commits. Nothing
// can be committed through it when the lock is gone, because both are gone with
// the session.
type lockSession struct {
	options Options

	// use serialises statements; conn is nil while the lock is not held.
	use  sync.Mutex
	conn *pgx.Conn
	pid  int // the server process, as it was when the lock was taken

	// state guards what follows.
	state   sync.Mutex
	lost    chan struct{}
	dead    bool // lost is closed
	unwatch context.CancelFunc
	watched chan struct{} // closed when the watcher has ended
}

func (p *postgres) Lost() <-chan struct{} {
	p.lock.state.Lock()
	defer p.lock.state.Unlock()
	return p.lock.lost
}

// Lock takes pg_advisory_lock(2, 1): namespace 2 is archive_migration in
// Anchore's db_locks, and a migration's id there is always 1.
func (p *postgres) Lock(ctx context.Context, wait bool) error {
	if p.lock.held() {
		return errors.New("take the migration lock: it is held already")
	}
	conn, err := pgx.ConnectConfig(ctx, p.lockConfig())
	if err != nil {
		return fmt.Errorf("take the migration lock: %w", describe(err, p.config))
	}
	pid, err := p.acquire(ctx, conn, wait)
	if err == nil {
		err = p.lock.begin(conn, pid)
	}
	if err != nil {
		closeSession(conn)
		if held := (*catalog.HeldError)(nil); errors.As(err, &held) {
			return held
		}
		return failed(ctx, "take the migration lock", err)
	}
	return nil
}

// lockConfig is how the lock's session connects.
func (p *postgres) lockConfig() *pgx.ConnConfig {
	c := p.config.Copy()
	c.RuntimeParams["application_name"] += " " + cmp.Or(p.lock.options.Command, "migrate")
	c.DialFunc = (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext
	// A cancelled context cancels the statement, not the session: closing the
	// connection would give the lock away.
	c.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: min(cancelPatience, p.lock.options.silence())}
	}
	return c
}

// sessionSettings keep the session alive while it is idle, let the server
// notice when we are gone, and hold its one kind of statement to the index. A
// server that does not know one of them does without it.
const sessionSettings = `
	SELECT set_config(name, v, false) FROM pg_settings JOIN (VALUES
		('idle_session_timeout', '0'), ('idle_in_transaction_session_timeout', '0'),
		('statement_timeout', '0'), ('lock_timeout', '0'), ('default_transaction_isolation', 'read committed'),
		('tcp_keepalives_idle', '30'), ('tcp_keepalives_interval', '10'), ('tcp_keepalives_count', '6'),
		('enable_seqscan', 'off'), ('enable_hashjoin', 'off'), ('enable_mergejoin', 'off')
	) AS s(name, v) USING (name)`

// acquire takes the lock for conn and gives the server process that has it.
func (p *postgres) acquire(ctx context.Context, conn *pgx.Conn, wait bool) (int, error) {
	if _, err := conn.PgConn().Exec(ctx, sessionSettings).ReadAll(); err != nil {
		return 0, err
	}
	if wait {
		if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock(2, 1)`); err != nil {
			return 0, err
		}
	} else if err := tryLock(ctx, conn); err != nil {
		return 0, err
	}
	if d := p.lock.options.StatementTimeout; d > 0 {
		if _, err := conn.Exec(ctx, `SELECT set_config('statement_timeout', $1, false)`, milliseconds(d)); err != nil {
			return 0, err
		}
	}
	var pid int
	var has bool
	err := conn.QueryRow(ctx, `SELECT pg_backend_pid(), EXISTS (SELECT FROM `+lockEntry+` AND l.pid = pg_backend_pid())`).Scan(&pid, &has)
	if err == nil && !has {
		err = fmt.Errorf("it is gone as soon as it is taken: %w", errPooled)
	}
	return pid, err
}

// lockEntry is the lock in the server's list of locks, as what follows FROM.
const lockEntry = `pg_locks l
		WHERE l.locktype = 'advisory' AND l.classid = 2 AND l.objid = 1 AND l.objsubid = 2 AND l.granted
		  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`

// tryLock takes the lock or says who holds it. A holder that has gone when it
// is looked for makes it try again.
func tryLock(ctx context.Context, conn *pgx.Conn) error {
	for attempt := 0; ; attempt++ {
		var got bool
		if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(2, 1)`).Scan(&got); err != nil || got {
			return err
		}
		held, err := holder(ctx, conn)
		if err != nil {
			return err
		}
		if held.PID != 0 || attempt == 3 {
			return held
		}
	}
}

// Holder asks the server's list of locks.
func (p *postgres) Holder(ctx context.Context) (*catalog.HeldError, error) {
	held, err := holder(ctx, p.pool)
	if err != nil {
		return nil, failed(ctx, "ask who holds the migration lock", err)
	}
	if held.PID == 0 {
		return nil, nil
	}
	return held, nil
}

// holder looks up who has the lock. What the server does not show to an
// ordinary user stays empty.
func holder(ctx context.Context, conn interface {
	QueryRow(ctx context.Context, query string, args ...any) pgx.Row
}) (*catalog.HeldError, error) {
	var held catalog.HeldError
	var address string
	var port int
	var since *time.Time
	err := conn.QueryRow(ctx, `
		SELECT l.pid, coalesce(host(a.client_addr), ''), coalesce(a.client_port, 0),
		       coalesce(a.application_name, ''), coalesce(a.usename, ''), a.backend_start
		FROM (SELECT l.pid FROM `+lockEntry+`) l LEFT JOIN pg_stat_activity a USING (pid)
		LIMIT 1`).Scan(&held.PID, &address, &port, &held.Application, &held.User, &since)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return &catalog.HeldError{}, nil
	case err != nil:
		return nil, err
	case address != "":
		held.Client = net.JoinHostPort(address, strconv.Itoa(port))
	case port == -1:
		held.Client = "local socket"
	}
	if since != nil {
		held.Since = since.UTC()
	}
	return &held, nil
}

func (l *lockSession) held() bool {
	l.use.Lock()
	defer l.use.Unlock()
	return l.conn != nil && !l.conn.IsClosed()
}

// begin makes conn, which has the lock, the session, and watches it.
func (l *lockSession) begin(conn *pgx.Conn, pid int) error {
	l.use.Lock()
	defer l.use.Unlock()
	if l.conn != nil && !l.conn.IsClosed() {
		return errors.New("it is held already")
	}
	l.stopWatching()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	l.state.Lock()
	if l.dead {
		l.lost, l.dead = make(chan struct{}), false
	}
	l.unwatch, l.watched = cancel, done
	l.state.Unlock()
	l.conn, l.pid = conn, pid
	go func() {
		defer close(done)
		l.watch(ctx)
	}()
	return nil
}

// watch asks the idle session now and then whether it lives, until the context
// ends or the session has.
func (l *lockSession) watch(ctx context.Context) {
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		// While a commit uses the session, that finds out by itself.
		if !l.use.TryLock() {
			continue
		}
		alive := l.ping(ctx)
		l.use.Unlock()
		if !alive {
			return
		}
	}
}

// ping says whether the session lives and still is the one that took the lock:
// a pooler between us and the server may change one for another.
func (l *lockSession) ping(stop context.Context) bool {
	ctx, cancel := context.WithTimeout(stop, cmp.Or(l.options.LockPatience, defaultPatience))
	defer cancel()
	var pid int
	err := l.conn.QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&pid)
	if stop.Err() != nil {
		return true // being unlocked
	}
	if err != nil || pid != l.pid {
		closeSession(l.conn)
		l.die()
		return false
	}
	return true
}

// die tells that the lock is lost.
func (l *lockSession) die() {
	l.state.Lock()
	defer l.state.Unlock()
	if !l.dead {
		close(l.lost)
		l.dead = true
	}
}

// stopWatching ends the watcher and waits for it.
func (l *lockSession) stopWatching() {
	l.state.Lock()
	cancel, done := l.unwatch, l.watched
	l.unwatch, l.watched = nil, nil
	l.state.Unlock()
	if cancel != nil {
		cancel()
		<-done
	}
}

func (p *postgres) Unlock(ctx context.Context) error {
	l := &p.lock
	l.stopWatching()
	l.use.Lock()
	defer l.use.Unlock()
	if l.conn == nil {
		return nil
	}
	conn := l.conn
	l.conn = nil
	defer closeSession(conn)
	if conn.IsClosed() {
		return nil // the lock went with the session
	}
	_, err := conn.Exec(ctx, `SELECT pg_advisory_unlock(2, 1)`)
	return failed(ctx, "give the migration lock back", err)
}

// end gives the session up at once; the server frees the lock with it.
func (l *lockSession) end() {
	l.stopWatching()
	l.use.Lock()
	defer l.use.Unlock()
	if l.conn != nil {
		closeSession(l.conn)
		l.conn = nil
	}
}

// closeSession closes a connection in order, or without ceremony when the
// server does not answer. Either way it is closed, so there is no error to tell.
func closeSession(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}
