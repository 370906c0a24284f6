package anchore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// poolerProbes is how many of the server's processes are taken away from the
	// session that is probed.
	poolerProbes = 3
	// poolerPatience is how long the probe may take.
	poolerPatience = 30 * time.Second
	// poolerSessions is how many sessions kedge has at once: the pool's, the lock's
	// and one that counts.
	poolerSessions = defaultConnections + 2
)

// serverProcess names the server's process behind a session, and the server: two
// of them may use one number.
const serverProcess = `SELECT concat(pg_backend_pid(), ' ', extract(epoch from pg_postmaster_start_time()))`

// errPooled says that sessions change between transactions.
var errPooled = errors.New("a connection pooler gives each transaction another session (PgBouncer's pool_mode=transaction or statement), and the migration lock means nothing there: connect to PostgreSQL itself, or set pool_mode=session")

// refusePooler finds out whether a session is one process of the server for as
// long as it lasts. Behind a pooler that hands processes from transaction to
// transaction, that of an idle session goes to whoever asks next, and while he
// keeps it the first session gets another one. One of the two shows, whether the
// pooler has one process or many. Nothing is set in these sessions: it would stay
// in a process that others use.
func (p *postgres) refusePooler(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, poolerPatience)
	defer cancel()
	pooled, err := p.pooled(bounded)
	switch {
	case err != nil && ctx.Err() == nil && bounded.Err() != nil:
		return fmt.Errorf("the database at %s gives no further session within %s: a connection pooler before it needs a pool_size of at least %d", p.place, poolerPatience, poolerSessions)
	case err != nil:
		return describe(err, p.config)
	case pooled:
		return fmt.Errorf("the database at %s: %w", p.place, errPooled)
	}
	return nil
}

func (p *postgres) pooled(ctx context.Context) (bool, error) {
	config := p.config.Copy()
	config.AfterConnect = nil
	idle, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return false, err
	}
	defer closeSession(idle)
	process, err := askProcess(ctx, idle)
	if err != nil {
		return false, err
	}
	for range poolerProbes {
		other, err := pgx.ConnectConfig(ctx, config)
		if err != nil {
			return false, err
		}
		defer closeSession(other)
		if taken, err := takes(ctx, other, process); taken || err != nil {
			return taken, err
		}
		if now, err := askProcess(ctx, idle); now != process || err != nil {
			return err == nil, err
		}
	}
	return false, nil
}

// takes says whether a session is given the process of another one. It keeps the
// one that it is given.
func takes(ctx context.Context, session *pgx.Conn, process string) (bool, error) {
	if got, err := askProcess(ctx, session); got == process || err != nil {
		return err == nil, err
	}
	if _, err := session.Exec(ctx, `BEGIN READ ONLY`); refusesTransactions(err) {
		return true, nil
	} else if err != nil {
		return false, err
	}
	got, err := askProcess(ctx, session)
	return got == process, err
}

func askProcess(ctx context.Context, session *pgx.Conn) (process string, err error) {
	err = session.QueryRow(ctx, serverProcess).Scan(&process)
	return process, err
}

// refusesTransactions says whether a pooler has refused to begin a transaction,
// which none does that keeps a session together.
func refusesTransactions(err error) bool {
	refused := (*pgconn.PgError)(nil)
	return errors.As(err, &refused) && strings.Contains(refused.Message, "statement pooling")
}
