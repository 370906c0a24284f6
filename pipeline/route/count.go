package route

import (
	"context"
	"slices"
	"strings"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/plan"
	"github.com/kedge/kedge/pipeline/progress"
	"github.com/kedge/kedge/pipeline/survey"
)

// Count says how many rows are the run's, with how many payload bytes, and which places
// elsewhere other rows of the source's scheme name, but for those beside: places of other
// stores that the installation is going to have. Rows are looked at one by one, so many at
// a time, only where prefixes alone cannot tell.
func (r Route) Count(ctx context.Context, snapshot catalog.Snapshot, beside []string, pageRows int) (moving progress.Amount, elsewhere []plan.Place, err error) {
	t, err := snapshot.Count(ctx, r.Selection())
	if err != nil {
		return moving, nil, err
	}
	overlap := r.Selection().Prefix != r.Source.Prefix() ||
		(strings.HasPrefix(r.Destination.Prefix(), r.Source.Prefix()) && !r.SamePrefix())
	all := catalog.Selection{Prefix: r.Source.Scheme(), Buckets: r.Buckets}
	ofScheme, err := snapshot.Count(ctx, all)
	if err != nil {
		return moving, nil, err
	}
	if ofScheme.Unknown > 0 {
		elsewhere = append(elsewhere, plan.Place{Place: "places of no known kind (content_url begins with none of " + strings.Join(drivers.Schemes, ", ") + ")", Documents: ofScheme.Unknown})
	}
	if !overlap && ofScheme.Documents == t.Documents {
		return progress.Amount{Documents: t.Documents + t.NoURI, Bytes: t.Bytes}, elsewhere, nil
	}
	moving, places, err := r.lookAtEach(ctx, snapshot, all, beside, pageRows)
	moving.Documents += t.NoURI
	return moving, places.Sorted(elsewhere), err
}

// lookAtEach looks at rows one by one: how many of those that have a URI are the run's,
// and which places elsewhere there are.
func (r Route) lookAtEach(ctx context.Context, snapshot catalog.Snapshot, all catalog.Selection, beside []string, pageRows int) (moving progress.Amount, elsewhere plan.Places, err error) {
	elsewhere = make(plan.Places)
	err = catalog.Each(ctx, snapshot, all, pageRows, func(d catalog.Document) error {
		switch {
		case d.NoURI:
		case r.Selected(d):
			moving.Add(progress.Amount{Documents: 1, Bytes: max(d.Bytes, 0)})
		case !r.AtDestination(d):
			if place := survey.PlaceOf(r.Source, d); !slices.Contains(beside, place) {
				elsewhere.Add(place, max(d.Bytes, 0))
			}
		}
		return nil
	})
	return moving, elsewhere, err
}
