package pipeline_test

import (
	"context"
	"errors"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/failure"
)

// A source that cannot be deleted is reported, and deleted by the next run,
// although no row names it any more.
func TestASourceThatCannotBeDeleted(t *testing.T) {
	in := install(t, 100)
	refuse := &undeletable{Driver: in.src, uri: "db://admin/b/id-00007"}
	o := in.options(in.dst)
	o.Source.Driver = refuse
	r, err := pipeline.Run(t.Context(), nil, o)
	if err != nil || failures(r)[failure.ClassDelete] != 1 || r.Counts.Moved != 100 || r.State != catalog.TaskFailed {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := in.src.Stat(t.Context(), refuse.uri); err != nil {
		t.Errorf("it is gone all the same: %v", err)
	}
	if r, err = pipeline.Run(t.Context(), nil, in.options(in.dst)); err != nil || r.Failed != 0 {
		t.Errorf("the next run: %+v, %v", r, err)
	}
	if moved := in.check(); moved != 100 {
		t.Errorf("%d documents moved", moved)
	}
}

type undeletable struct {
	drivers.Driver
	uri string
}

func (u *undeletable) Delete(ctx context.Context, uri string) error {
	if uri == u.uri {
		return &drivers.Error{Op: "delete", URI: uri, Kind: drivers.Denied, Err: errors.New("access denied")}
	}
	return u.Driver.Delete(ctx, uri)
}

func (u *undeletable) Capabilities() drivers.Capabilities {
	c := u.Driver.Capabilities()
	c.BatchGet, c.BatchDelete = false, false
	return c
}

// always gives every payload one identity.
type always struct{ drivers.Driver }

func (a always) Capabilities() drivers.Capabilities {
	c := a.Driver.Capabilities()
	c.Identifies, c.BatchGet, c.BatchPut, c.BatchDelete = true, false, false, false
	return c
}

func (a always) Sync(ctx context.Context) error {
	if s, ok := a.Driver.(drivers.Syncer); ok {
		return s.Sync(ctx)
	}
	return nil
}

func (a always) Stat(ctx context.Context, uri string) (drivers.Info, error) {
	info, err := a.Driver.Stat(ctx, uri)
	info.Identity = "same"
	return info, err
}

// As when a directory of the source is mounted inside of the destination: what
// was put has become the source, and deleting the one deletes the other.
func TestOneFileAtSourceAndDestinationIsNotDeleted(t *testing.T) {
	in := install(t, 20)
	o := in.options(always{in.dst})
	o.Source.Driver = always{in.src}
	r, err := pipeline.Run(t.Context(), nil, o)
	if err != nil || len(r.Left) != 1 || r.Left[0].Count != 20 || r.Left[0].Class != failure.ClassLeft || r.Failed != 0 || r.Counts.Moved != 20 || r.State != catalog.TaskComplete {
		t.Errorf("%+v, %v", r, err)
	}
	for key := range in.plain {
		uri, _ := in.src.URI(key)
		if _, err := in.src.Stat(t.Context(), uri); err != nil {
			t.Errorf("%s was deleted: %v", uri, err)
		}
	}
	if moved := in.checkAllButOrphans(); moved != 20 {
		t.Errorf("%d documents moved", moved)
	}
}
