package copies

import (
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/kedge/kedge/checkpoint"
)

// fillPercent is how full the file's pages are made: entries come nearly in their order,
// so that a page is rarely split later.
const fillPercent = 0.9

// entry is a change of one entry; with state None it goes.
type entry struct {
	state      State
	key, value []byte
	// only says whether an entry that has been in this state is changed; nil is always. It
	// is asked by the writer.
	only func(was State) bool
}

// Intend records that something may be put at the destinations of these copies: once the
// ticket is durable it may. Entries that were there are replaced. Of the destination's
// side nothing but the URI need be known.
func (r *Record) Intend(copies []Copy) *checkpoint.Ticket {
	return r.change(copies, func(c *Copy, _ *entry) { c.State = Intended })
}

// Put records copies as they are given, in place of what there was. One whose state is
// None is dropped.
func (r *Record) Put(copies []Copy) *checkpoint.Ticket {
	return r.change(copies, func(*Copy, *entry) {})
}

// Doubt records that the destination does not show these copies any more. An entry that
// is Intended, or gone, stays so.
func (r *Record) Doubt(copies []Copy) *checkpoint.Ticket {
	trusted := func(was State) bool { return was != None && was != Intended }
	return r.change(copies, func(c *Copy, e *entry) { c.State, e.only = c.State.doubted(), trusted })
}

// Drop removes the entries of these copies; only key and name matter.
func (r *Record) Drop(copies []Copy) *checkpoint.Ticket {
	return r.change(copies, func(c *Copy, _ *entry) { c.State = None })
}

// change encodes in the caller's goroutine, and changes in the writer's. copies may be
// changed by the caller afterwards.
func (r *Record) change(copies []Copy, how func(*Copy, *entry)) *checkpoint.Ticket {
	entries := make([]entry, len(copies))
	for i, c := range copies {
		e := &entries[i]
		how(&c, e)
		e.state = r.seen(c.State)
		e.key, e.value = r.encode(c)
	}
	return r.writer.Change(func(tx *bolt.Tx) error {
		if err := r.numbers.write(tx); err != nil {
			return err
		}
		intended, copied := tx.Bucket(bucketIntended), tx.Bucket(bucketCopies)
		copied.FillPercent = fillPercent
		for _, e := range entries {
			if err := r.apply(intended, copied, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// encode gives an entry as it stands in the file; without a value where it has no state.
func (r *Record) encode(c Copy) (key, value []byte) {
	c = r.seenCopy(c)
	number, _ := r.numbers.of(c.Key.Bucket, c.State != None)
	key, long := inFile(number, c.Key, c.Name)
	if c.State != None {
		value = r.places.value(c, long)
	}
	return key, value
}

func (r *Record) apply(intended, copied *bolt.Bucket, e entry) error {
	if e.state >= states {
		return fmt.Errorf("a copy has state %d", e.state)
	}
	if e.only != nil {
		was, err := r.stateIn(copied, e.key)
		if err == nil && was == None {
			was, err = r.stateIn(intended, e.key)
		}
		if err != nil || !e.only(was) {
			return err
		}
	}
	into, out := copied, intended
	if e.state == Intended {
		into, out = intended, copied
	}
	if err := r.remove(out, e.key); err != nil {
		return err
	}
	if e.state == None {
		return r.remove(into, e.key)
	}
	was, err := r.stateIn(into, e.key)
	if err != nil {
		return err
	}
	if was != None {
		r.written[was]--
	}
	r.written[e.state]++
	return into.Put(e.key, e.value)
}

func (r *Record) remove(from *bolt.Bucket, key []byte) error {
	was, err := r.stateIn(from, key)
	if err != nil || was == None {
		return err
	}
	r.written[was]--
	return from.Delete(key)
}

// stateIn is the state of an entry in one of the two buckets, None where it is not there.
func (r *Record) stateIn(in *bolt.Bucket, key []byte) (State, error) {
	value := in.Get(key)
	if value == nil {
		return None, nil
	}
	s, err := stateOf(value)
	if err != nil {
		return None, r.damaged(key, err)
	}
	return s, nil
}

// damaged says which entry is damaged.
func (r *Record) damaged(key []byte, err error) error {
	return &DamagedError{Path: r.path, Err: fmt.Errorf("entry %x: %w", key, err)}
}
