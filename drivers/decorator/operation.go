package decorator

import (
	"context"

	"github.com/kedge/kedge/drivers"
)

// The names of operations, as in drivers.Error.Op.
const (
	Get    = "get"
	Put    = "put"
	Stat   = "stat"
	Delete = "delete"
	Sync   = "sync"
	Abort  = "abort"
	List   = "list"
)

// Operation is one that is under way: of one part, or of a batch's parts.
type Operation[S any] struct {
	// Name is one of those above; a batch has the name of its parts.
	Name string
	// Bytes is the length in bytes of the payloads in memory that are to be put.
	Bytes int64
	// Moved is how many bytes of payloads the attempt has put, or got with a
	// batch. What is read of a payload that Get has opened is not among them.
	Moved int64
	// Opened says that Get has opened a payload, which is now going to be read.
	Opened bool
	// Listed is how many payloads the attempt of a listing has come to.
	Listed int
	// Resumes says of a listing that another attempt goes on behind what was
	// listed, not from the beginning.
	Resumes bool
	// Own is what the decorator keeps of the operation.
	Own S

	hooks     *Hooks[S]
	tried     bool
	hasSource bool

	batch parts // nil for an operation of one part, which has what follows
	uri   string
	err   error
}

// parts are those of a batch that the attempt is about.
type parts interface {
	len() int
	uri(i int) string
	err(i int) *error
	// keep leaves of the parts those with these indices.
	keep(indices []int)
}

// Parts is how many payloads the attempt is about: 1, or a batch's.
func (op *Operation[S]) Parts() int {
	if op.batch != nil {
		return op.batch.len()
	}
	return 1
}

// URI is that of a part; the store's place for Sync and List.
func (op *Operation[S]) URI(i int) string {
	if op.batch != nil {
		return op.batch.uri(i)
	}
	return op.uri
}

// Err is how the attempt of a part has ended.
func (op *Operation[S]) Err(i int) *error {
	if op.batch != nil {
		return op.batch.err(i)
	}
	return &op.err
}

// next ends the attempt that there was, and says whether to make one now. If not,
// the operation has ended as Err tells.
func (op *Operation[S]) next(ctx context.Context) bool {
	if op.tried && !op.again(ctx) {
		return false
	}
	op.tried = true
	if op.hooks.Before == nil {
		return true
	}
	refusal := op.hooks.Before(ctx, op)
	if refusal == nil {
		return true
	}
	for i := range op.Parts() {
		*op.Err(i) = refused(refusal, op.Name, op.URI(i))
	}
	return false
}

func (op *Operation[S]) again(ctx context.Context) bool {
	if op.hooks.After != nil {
		op.hooks.After(ctx, op)
	}
	if op.hooks.Again == nil {
		return false
	}
	indices := op.hooks.Again(ctx, op)
	if op.batch != nil {
		op.batch.keep(indices)
	}
	return len(indices) > 0
}

// refused is what a hook has said of an operation that it does not let pass.
func refused(e *drivers.Error, op, uri string) error {
	refusal := *e
	refusal.Op, refusal.URI = op, uri
	return &refusal
}
