package pipeline

import (
	"context"

	"github.com/kedge/kedge/checkpoint"
)

// finish records how a batch ended and drops it from the checkpoint.
func (m *migration) finish(ctx context.Context, b *batch) error {
	if b.reserved > 0 {
		m.budget.Release(b.reserved)
		b.reserved = 0
	}
	var o checkpoint.Outcome
	for _, it := range b.items {
		if it.failure != nil {
			o.Failed = append(o.Failed, *it.failure)
			m.Log.WarnContext(ctx, "document failed", "document", it.doc.Key.String(), "uri", it.doc.URI,
				"stage", it.failure.Stage, "class", it.failure.Class, "reason", it.failure.Reason)
		} else {
			o.Cleared = append(o.Cleared, it.entry())
		}
		if it.moved && !it.counted {
			o.Counts.Add(countsOf(it))
		}
	}
	m.checkpoint.Done(b.number, o)
	m.progress.add(o)
	return nil
}

func countsOf(it *item) checkpoint.Counts {
	c := checkpoint.Counts{Moved: 1, BytesRead: it.fetchedBytes, BytesWritten: it.receipt.Bytes}
	if it.earlier {
		c.AlreadyThere = 1
	} else if it.doc.Digest == "" {
		c.NoDigest = 1
	}
	return c
}
