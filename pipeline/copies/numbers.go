package copies

import (
	"sync"

	bolt "go.etcd.io/bbolt"
)

// numbers gives Anchore's logical buckets numbers, from 1 on. There are a dozen of them
// in an installation; should there be more than bucketsMost, the others stand in their
// keys. Safe for concurrent use.
type numbers struct {
	mu      sync.Mutex
	buckets []string
	written int // how many of them the file has; the writer's own
}

// of gives a bucket's number, 0 where the bucket stands in the key. With assign it gives
// one that has none the next; else known says whether there can be an entry of the bucket.
func (n *numbers) of(bucket string, assign bool) (number byte, known bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, b := range n.buckets {
		if b == bucket {
			return byte(i + 1), true
		}
	}
	switch {
	case len(bucket) > bucketBytes || len(n.buckets) == bucketsMost:
		return bucketInKey, true
	case !assign:
		return bucketInKey, false
	}
	n.buckets = append(n.buckets, bucket)
	return byte(len(n.buckets)), true
}

// bucket is of's inverse.
func (n *numbers) bucket(number byte) (bucket string, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if number == bucketInKey || int(number) > len(n.buckets) {
		return "", false
	}
	return n.buckets[number-1], true
}

// read reads the numbers of the file.
func (n *numbers) read(from *bolt.Bucket) error {
	err := from.ForEach(func(k, v []byte) error {
		if len(k) != 1 || int(k[0]) != len(n.buckets)+1 || len(n.buckets) == bucketsMost {
			return errEntry
		}
		n.buckets = append(n.buckets, string(v))
		return nil
	})
	n.written = len(n.buckets)
	return err
}

// write writes those that the file has not. What uses a number is written no earlier: it
// is given before the change that uses it is asked for.
func (n *numbers) write(tx *bolt.Tx) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for ; n.written < len(n.buckets); n.written++ {
		if err := tx.Bucket(bucketBuckets).Put([]byte{byte(n.written + 1)}, []byte(n.buckets[n.written])); err != nil {
			return err
		}
	}
	return nil
}
