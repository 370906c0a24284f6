package decorator_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/decorator"
)

type operation = decorator.Operation[int]

// Every operation passes the hooks, with its name, the URIs of its parts and what
// it is going to send.
func TestEveryOperationPassesTheHooks(t *testing.T) {
	var passed []string
	d := decorator.New(idle{}, decorator.Hooks[int]{
		Before: func(_ context.Context, op *operation) *drivers.Error { op.Own = op.Parts(); return nil },
		After: func(_ context.Context, op *operation) {
			passed = append(passed, fmt.Sprint(op.Name, " ", op.URI(op.Own-1), " ", op.Own, " ", op.Bytes, " ", op.Listed))
		},
	})
	ctx, batcher := t.Context(), d.(drivers.Batcher)
	_, _, _ = d.Get(ctx, "u")
	_, _ = d.Put(ctx, "u", drivers.InMemory([]byte("four"), ""))
	_, _ = d.Stat(ctx, "u")
	_ = d.Delete(ctx, "u")
	_ = d.(drivers.Syncer).Sync(ctx)
	_ = d.(drivers.Lister).List(ctx, func(string, drivers.Info) error { return nil })
	batcher.GetBatch(ctx, []drivers.GetRequest{{URI: "u"}, {URI: "v"}})
	batcher.PutBatch(ctx, []drivers.PutRequest{{URI: "u", Payload: []byte("four")}, {URI: "v", Payload: []byte("five5")}})
	batcher.DeleteBatch(ctx, []string{"u", "v", "w"})
	batcher.DeleteBatch(ctx, nil) // is none
	want := []string{
		"get u 1 0 0", "put u 1 4 0", "stat u 1 0 0", "delete u 1 0 0", "sync idle:// 1 0 0", "list idle:// 1 0 1000",
		"get v 2 0 0", "put v 2 9 0", "delete w 3 0 0",
	}
	if !slices.Equal(passed, want) {
		t.Errorf("passed: %q", passed)
	}
}

// What Before refuses is not made, and each of its parts fails with the reason.
func TestRefused(t *testing.T) {
	reason := errors.New("not today")
	d := decorator.New(idle{}, decorator.Hooks[int]{
		Before: func(context.Context, *operation) *drivers.Error {
			return &drivers.Error{Kind: drivers.Down, Err: reason}
		},
		After: func(context.Context, *operation) { t.Error("After was called") },
	})
	errs := d.(drivers.Batcher).DeleteBatch(t.Context(), []string{"u", "v"})
	errs = append(errs, d.Delete(t.Context(), "w"))
	for i, uri := range []string{"u", "v", "w"} {
		if got, want := errs[i].Error(), "delete "+uri+": not today"; got != want || drivers.KindOf(errs[i]) != drivers.Down {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// plain has nothing but the interface.
type plain struct{ drivers.Driver }

// A driver without abilities gets none: what needs no method does nothing, the
// rest says so.
func TestAbilitiesAreThoseOfTheDriver(t *testing.T) {
	d := decorator.New(plain{idle{}}, decorator.Hooks[int]{})
	if _, ok := d.(drivers.Batcher); ok {
		t.Error("a driver without batches got them")
	}
	ctx, tree := t.Context(), d.(drivers.Tree)
	found, err := d.(drivers.Inspector).Inspect(ctx)
	if _, down := d.(drivers.Watched).Outage(); down || found != nil || err != nil {
		t.Errorf("%v, %v, %v", down, found, err)
	}
	if err := errors.Join(d.(drivers.Syncer).Sync(ctx), d.(drivers.Aborter).AbortUploads(ctx, "u")); err != nil {
		t.Error(err)
	}
	_, err = tree.PathURI("p")
	for _, err := range []error{err, tree.ListAfter(ctx, "", "", nil), d.(drivers.Lister).List(ctx, nil)} {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%v", err)
		}
	}
}
