package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/kedge/kedge/drivers"
)

func (r *runner) put(ctx context.Context, s *shelf, concurrency int) (Step, bool) {
	limit := r.MaxBytes/s.size - s.live()
	if r.Count > 0 {
		limit = min(limit, r.Count)
	}
	w := r.putting(s, r.Driver, limit)
	step, ok := w.measured(ctx, r.stop, concurrency, r.Duration)
	s.high += w.claimed()
	return step, ok
}

// putting is the work of putting documents behind those that are there.
func (r *runner) putting(s *shelf, d drivers.Driver, limit int64) *work {
	w := &work{limit: limit, batch: r.batch(Put, s.size)}
	w.do = func(ctx context.Context, begin, end int64) (int64, error) {
		if w.batch > 1 {
			return s.putBatch(ctx, d, s.high+begin, s.high+end)
		}
		return s.putOne(ctx, d, s.high+begin)
	}
	if syncer, ok := d.(drivers.Syncer); ok && d.Capabilities().NeedsSync {
		w.flush = syncer.Sync
		w.flushEvery = max(1, min(int64(r.BatchDocuments), batchBytes/s.size))
	}
	return w
}

func (s *shelf) putOne(ctx context.Context, d drivers.Driver, number int64) (int64, error) {
	uri, err := s.uri(d, number)
	if err == nil {
		_, err = d.Put(ctx, uri, s.document())
	}
	if err != nil {
		s.doubt(number)
		return 0, err
	}
	return 1, nil
}

func (s *shelf) putBatch(ctx context.Context, d drivers.Driver, begin, end int64) (done int64, first error) {
	uris, err := s.uris(d, begin, end)
	if err != nil {
		return 0, err
	}
	requests := make([]drivers.PutRequest, len(uris))
	for i, uri := range uris {
		requests[i] = drivers.PutRequest{URI: uri, Payload: s.payload, MD5: s.digest}
	}
	for i, result := range d.(drivers.Batcher).PutBatch(ctx, requests) {
		if result.Err == nil {
			done++
			continue
		}
		s.doubt(begin + int64(i))
		first = cmp.Or(first, result.Err)
	}
	return done, first
}

// reading is work that goes over the documents again and again.
func (r *runner) reading(s *shelf, op Operation) *work {
	limit := r.Count
	if limit == 0 {
		limit = 1 << 62
	}
	return &work{limit: limit, batch: int(min(int64(r.batch(op, s.size)), s.live()))}
}

// at is the document that stands for a number of a work that reads.
func (s *shelf) at(n int64) int64 { return s.low + n%s.live() }

func (r *runner) stat(ctx context.Context, s *shelf, concurrency int) (Step, bool) {
	w := r.reading(s, Stat)
	w.do = func(ctx context.Context, begin, _ int64) (int64, error) {
		uri, err := s.uri(r.Driver, s.at(begin))
		if err == nil {
			var info drivers.Info
			info, err = r.Driver.Stat(ctx, uri)
			if err == nil && info.Bytes != s.size {
				err = fmt.Errorf("stat %s: %d bytes, put were %d", uri, info.Bytes, s.size)
			}
		}
		if err != nil {
			return 0, err
		}
		return 1, nil
	}
	return w.measured(ctx, r.stop, concurrency, r.Duration)
}

func (r *runner) get(ctx context.Context, s *shelf, concurrency int) (Step, bool) {
	w := r.reading(s, Get)
	w.do = func(ctx context.Context, begin, end int64) (int64, error) {
		if w.batch > 1 {
			return s.getBatch(ctx, r.Driver, begin, end)
		}
		return s.getOne(ctx, r.Driver, begin)
	}
	return w.measured(ctx, r.stop, concurrency, r.Duration)
}

func (s *shelf) getOne(ctx context.Context, d drivers.Driver, n int64) (int64, error) {
	uri, err := s.uri(d, s.at(n))
	if err != nil {
		return 0, err
	}
	body, _, err := d.Get(ctx, uri)
	if err != nil {
		return 0, err
	}
	got, err := io.Copy(io.Discard, body)
	if err := errors.Join(err, body.Close()); err != nil {
		return 0, err
	}
	if got != s.size {
		return 0, fmt.Errorf("get %s: %d bytes, put were %d", uri, got, s.size)
	}
	return 1, nil
}

func (s *shelf) getBatch(ctx context.Context, d drivers.Driver, begin, end int64) (done int64, first error) {
	requests := make([]drivers.GetRequest, 0, end-begin)
	for n := begin; n < end; n++ {
		uri, err := s.uri(d, s.at(n))
		if err != nil {
			return 0, err
		}
		requests = append(requests, drivers.GetRequest{URI: uri, MaxBytes: s.size})
	}
	for i, result := range d.(drivers.Batcher).GetBatch(ctx, requests) {
		err := result.Err
		if err == nil && int64(len(result.Payload)) != s.size {
			err = fmt.Errorf("get %s: %d bytes, put were %d", requests[i].URI, len(result.Payload), s.size)
		}
		if err == nil {
			done++
			continue
		}
		first = cmp.Or(first, err)
	}
	return done, first
}

func (r *runner) delete(ctx context.Context, s *shelf, concurrency int) (Step, bool) {
	w := &work{limit: s.live(), batch: r.batch(Delete, s.size)}
	if r.Count > 0 {
		w.limit = min(w.limit, r.Count)
	}
	w.do = func(ctx context.Context, begin, end int64) (int64, error) {
		return s.deleteSome(ctx, r.Driver, s.low+begin, s.low+end)
	}
	step, ok := w.measured(ctx, r.stop, concurrency, r.Duration)
	s.low += w.claimed()
	return step, ok
}

func (s *shelf) deleteSome(ctx context.Context, d drivers.Driver, begin, end int64) (done int64, first error) {
	uris, err := s.uris(d, begin, end)
	if err != nil {
		return 0, err
	}
	var errs []error
	if batcher, ok := d.(drivers.Batcher); ok && d.Capabilities().BatchDelete {
		errs = batcher.DeleteBatch(ctx, uris)
	} else {
		for _, uri := range uris {
			errs = append(errs, d.Delete(ctx, uri))
		}
	}
	for i, err := range errs {
		if err == nil {
			done++
			continue
		}
		s.doubt(begin + int64(i))
		first = cmp.Or(first, err)
	}
	return done, first
}

// errEnough ends a listing.
var errEnough = errors.New("listed for long enough")

// list measures a listing of the whole store, whatever it holds, until the
// step's time or count is over.
func (r *runner) list(ctx context.Context, s *shelf, _ int) (Step, bool) {
	lister, ok := r.Driver.(drivers.Lister)
	if !ok || !r.Driver.Capabilities().Lists {
		return Step{Concurrency: 1, LeftOut: "the driver lists nothing"}, true
	}
	w := &work{limit: 1, batch: 1}
	w.do = func(ctx context.Context, _, _ int64) (int64, error) {
		listed, until := int64(0), time.Now().Add(r.Duration)
		err := lister.List(ctx, func(string, drivers.Info) error {
			listed++
			if asked(r.stop) || r.Count > 0 && listed >= r.Count || r.Duration > 0 && time.Now().After(until) {
				return errEnough
			}
			return nil
		})
		if errors.Is(err, errEnough) {
			err = nil
		}
		return listed, err
	}
	step, ended := w.measured(ctx, r.stop, 1, 0)
	// One trip of unknown length: its time is no latency.
	step.P50, step.P95, step.P99, step.Max = 0, 0, 0, 0
	return step, ended
}
