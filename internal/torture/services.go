package torture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/kedge/kedge/drivers"
)

// services are Anchore's services at work at one place: they put new documents,
// overwrite, delete and read, several at once, by a manager. What each document
// is they know themselves, so that everything can be compared when they have
// stopped. Who does what comes from the seed; in which order, from the clock.
type services struct {
	pool    *pgxpool.Pool
	manager *manager
	rate    ServiceRate
	most    int // documents that there are at a time
	ended   chan struct{}
	cut     atomic.Bool
	work    errgroup.Group

	mu       sync.Mutex
	served   []*served
	live     int
	failures []string

	// Done counts operations that have succeeded, Overtaken reads that a writer
	// was quicker than twice.
	reads, puts, overwrites, deletes, overtaken atomic.Int64
}

// ServiceRate is how fast services work.
type ServiceRate struct {
	Workers int
	// Pause is what a worker waits after each operation; 0 is full speed.
	Pause time.Duration
	// Ahead is by how much their clock is ahead of kedge's, of which the rows tell.
	Ahead time.Duration
}

// served is a document that services know.
type served struct {
	key      drivers.Key
	document *document // of the model, nil if the services have made it
	readOnly bool

	writing sync.Mutex
	// touched is odd while the document is written, and grows with each write.
	touched atomic.Int64
	// plain is what was last written completely, nil where that was a delete.
	plain atomic.Pointer[[]byte]
	// before is the version before (held by the writer); unfinished says that the
	// last write was cut off.
	before     []byte
	unfinished bool
	// large: it was once long enough to be streamed.
	large atomic.Bool
}

// errCut ends an operation in the middle, as a killed service does.
var errCut = errors.New("the services were stopped in the middle of it")

// servicesName is the application_name of the services' connections.
const servicesName = "anchore services"

// serve starts services at a place with the documents of the round that are
// there. Of those without a digest half are only read.
func (r *round) serve(ctx context.Context, at *place, rule compression, rate ServiceRate) (*services, error) {
	config, err := pgxpool.ParseConfig(r.rig.database)
	if err != nil {
		return nil, err
	}
	config.MaxConns = int32(2 * rate.Workers)
	config.ConnConfig.RuntimeParams["application_name"] = servicesName
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	s := &services{pool: pool, rate: rate, ended: make(chan struct{})}
	now := func() int64 { return time.Now().Add(rate.Ahead).Unix() }
	s.manager = newManager(pool, at, rule, now, func() error {
		if s.cut.Load() {
			return errCut
		}
		return nil
	})
	for _, d := range r.model.documents {
		if d.fate == moves && d.plain != nil {
			one := &served{key: d.key, document: d, readOnly: len(d.names) != 1 || d.names[0] != d.key.ArchiveID+".json" || d.digest == nil && r.r.IntN(2) == 0}
			one.plain.Store(&d.plain)
			s.served = append(s.served, one)
			s.live++
		}
	}
	s.most = max(50, s.live*5/4)
	for range rate.Workers {
		a := &author{r: rand.New(rand.NewPCG(r.r.Uint64(), r.r.Uint64())), users: users, buckets: buckets}
		s.work.Go(func() error { s.worker(ctx, a); return nil })
	}
	return s, nil
}

func (s *services) worker(ctx context.Context, a *author) {
	for {
		select {
		case <-s.ended:
			return
		case <-ctx.Done():
			return
		case <-time.After(s.rate.Pause):
			s.act(ctx, a)
		}
	}
}

// stop ends the services. Cut: what they are at is not finished.
func (s *services) stop(cut bool) {
	s.cut.Store(cut)
	close(s.ended)
	_ = s.work.Wait() // the workers give no error
	s.pool.Close()
}

// act does one operation.
func (s *services) act(ctx context.Context, a *author) {
	one, live := s.pick(a)
	switch n := a.r.IntN(100); {
	case n < 45:
		s.read(ctx, one)
	case n < 70:
		s.write(one, func() error { return s.overwrite(ctx, a, one) })
	case n < 85 && live < s.most || live < s.most/2:
		s.add(ctx, a)
	default:
		s.write(one, func() error { return s.remove(ctx, one) })
	}
}

// pick draws a document, seldom one that is not there.
func (s *services) pick(a *author) (one *served, live int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range 20 {
		if one = s.served[a.r.IntN(len(s.served))]; one.plain.Load() != nil || a.r.IntN(10) == 0 {
			break
		}
	}
	return one, s.live
}

// absent draws a document that was deleted, nil if it finds none.
func (s *services) absent(a *author) *served {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range 20 {
		if one := s.served[a.r.IntN(len(s.served))]; one.plain.Load() == nil {
			return one
		}
	}
	return nil
}

// write lets one writer at a document, if it is not written by another.
func (s *services) write(one *served, do func() error) {
	if one.readOnly || !one.writing.TryLock() {
		return
	}
	defer one.writing.Unlock()
	one.touched.Add(1)
	err := do()
	one.touched.Add(1)
	switch {
	case errors.Is(err, errCut):
		one.unfinished = true
	case err != nil:
		one.unfinished = true
		s.failed("a write of %v: %v", one.key, err)
	}
}

func (s *services) failed(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures = append(s.failures, fmt.Sprintf(format, args...))
}

// overwrite writes a document again that is there: mostly with other bytes,
// sometimes with the same, and sometimes with those of the version before.
func (s *services) overwrite(ctx context.Context, a *author, one *served) error {
	was := one.plain.Load()
	if was == nil {
		return nil
	}
	var plain []byte
	switch n := a.r.IntN(20); {
	case n == 0:
		plain = *was
	case n < 4 && one.before != nil:
		plain = one.before
	case n < 8 && len(*was) > 20: // of the same length
		plain = slices.Clone(*was)
		plain[10+a.r.IntN(len(plain)-10)] = byte('a' + a.r.IntN(26))
	default:
		plain = a.served()
	}
	if err := s.put(ctx, one, plain); err != nil {
		return err
	}
	one.before = *was
	one.plain.Store(&plain)
	s.overwrites.Add(1)
	return nil
}

func (s *services) put(ctx context.Context, one *served, plain []byte) error {
	if len(plain) > streamed {
		one.large.Store(true)
	}
	return s.manager.put(ctx, one.key, plain)
}

// add puts a new document, or one that was deleted.
func (s *services) add(ctx context.Context, a *author) {
	one := s.absent(a)
	if one == nil || a.r.IntN(2) == 0 {
		one = &served{key: a.key([]string{"sha256:", "sha256:", "new ", "a/new/", "größe ✓ new "}[a.r.IntN(5)])}
		s.mu.Lock()
		s.served = append(s.served, one)
		s.mu.Unlock()
	}
	s.write(one, func() error {
		if one.plain.Load() != nil {
			return nil
		}
		plain := a.served()
		if err := s.put(ctx, one, plain); err != nil {
			return err
		}
		one.plain.Store(&plain)
		s.count(1)
		s.puts.Add(1)
		return nil
	})
}

func (s *services) count(more int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live += more
}

func (s *services) remove(ctx context.Context, one *served) error {
	if one.plain.Load() == nil {
		return nil
	}
	if err := s.manager.remove(ctx, one.key); err != nil {
		return err
	}
	one.plain.Store(nil)
	s.count(-1)
	s.deletes.Add(1)
	return nil
}

// served makes the bytes of a document: mostly small, some long enough to be
// streamed.
func (a *author) served() []byte {
	switch n := a.r.IntN(200); {
	case n < 2:
		return a.random(1200<<10 + a.r.IntN(1<<20))
	case n < 8:
		return a.report(100<<10 + a.r.IntN(1<<20))
	default:
		return a.report(100 + a.r.IntN(1<<(8+a.r.IntN(6))))
	}
}

// read reads a document and compares it. What a writer was at meanwhile may fail;
// then it is read once more.
func (s *services) read(ctx context.Context, one *served) {
	for range 2 {
		touched, want := one.touched.Load(), one.plain.Load()
		plain, err := s.manager.get(ctx, one.key)
		if one.touched.Load() != touched || touched%2 == 1 {
			continue
		}
		switch {
		case err != nil:
			s.failed("a read of %v: %v", one.key, err)
		case want == nil && plain != nil:
			s.failed("a read of %v: it was deleted, and is there", one.key)
		case want != nil && plain == nil:
			s.failed("a read of %v: there is no row", one.key)
		case want != nil && !bytes.Equal(plain, *want):
			s.failed("a read of %v: other bytes than were written (%d, want %d)", one.key, len(plain), len(*want))
		default:
			s.reads.Add(1)
		}
		return
	}
	s.overtaken.Add(1)
}

// done is how many operations have succeeded.
func (s *services) done() int64 {
	return s.reads.Load() + s.puts.Load() + s.overwrites.Load() + s.deletes.Load()
}

// await waits until so many operations have succeeded.
func (s *services) await(ctx context.Context, count int64) error {
	for want := s.done() + count; s.done() < want; {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

func (s *services) String() string {
	return fmt.Sprintf("%d reads, %d documents put, %d overwritten, %d deleted; %d reads were overtaken by writes", s.reads.Load(), s.puts.Load(),
		s.overwrites.Load(), s.deletes.Load(), s.overtaken.Load())
}
