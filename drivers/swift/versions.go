package swift

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/kedge/kedge/drivers"
)

// A container may keep the older versions of its objects, in one of three ways. In
// the oldest a DELETE brings the version before back: then there is no gone, and kedge
// deletes nothing that has an older version. In the others a deleted object is gone,
// and what it was stays among the versions.
const (
	versionsLocation = "X-Versions-Location" // names the container of versions
	historyLocation  = "X-History-Location"  // likewise
	versionsEnabled  = "X-Versions-Enabled"
	containerSync    = "X-Container-Sync-To" // told to who may write the account
)

// versions is how a container keeps them.
type versions struct {
	back string // the container from which a DELETE brings them back, "" for none
	stay string // where they stay otherwise, "" where none are kept
	// synced is the container to which what is put and deleted is carried on, "" for none.
	synced string
}

// versionsOf asks how a container keeps older versions; it is asked once.
func (s *Store) versionsOf(ctx context.Context, container string) (versions, error) {
	if known, ok := s.versions.Load(container); ok {
		return known.(versions), nil
	}
	h, _, err := s.do(ctx, request{method: http.MethodHead, container: container})
	if err != nil && !isMissing(err) {
		return versions{}, err
	}
	v := versions{back: h[versionsLocation], synced: h[containerSync]}
	switch {
	case h[historyLocation] != "":
		v.stay = "the container " + unescaped(h[historyLocation])
	case h[versionsEnabled] == "true" || h[versionsEnabled] == "True":
		v.stay = "the container, as its versions"
	}
	if v.back != "" {
		v.back = unescaped(v.back)
	}
	if err == nil {
		s.versions.Store(container, v)
	}
	return v, nil
}

// unescaped is a container's name as it is, which the header may hold escaped.
func unescaped(name string) string {
	if plain, err := url.PathUnescape(name); err == nil {
		return plain
	}
	return name
}

// mayComeBack says whether a DELETE in a container may bring an older version back:
// also where the container's headers may not be read.
func (s *Store) mayComeBack(ctx context.Context, container string) (from string, may bool) {
	v, err := s.versionsOf(ctx, container)
	return v.back, err != nil || v.back != ""
}

// guarded removes what is at a place by remove, unless an older version would take its
// place, and looks whether one did: the listing of versions may lag behind.
func (s *Store) guarded(ctx context.Context, uri string, at location, remove func() error) error {
	from, may := s.mayComeBack(ctx, at.container)
	if !may {
		return remove()
	}
	if from != "" {
		// Its length in bytes, in hexadecimal digits, stands before a name.
		older, err := s.page(ctx, from, url.Values{"prefix": {fmt.Sprintf("%03x%s/", len(at.name), at.name)}, "limit": {"1"}})
		if err == nil && len(older) > 0 {
			return cameBack(uri, from, "an older version would come back in its place; not deleted")
		}
	}
	if err := remove(); err != nil {
		return err
	}
	switch _, err := s.head(ctx, at); {
	case isMissing(err):
		return nil
	case err != nil:
		return s.fail("delete", uri, err)
	}
	return cameBack(uri, from, "it was deleted, and an older version came back in its place")
}

// cameBack has a kind by which a source is left, and not tried again.
func cameBack(uri, from, what string) error {
	if from != "" {
		what += " (the container keeps versions in " + from + ", " + versionsLocation + ")"
	}
	return &drivers.Error{
		Op: "delete", URI: uri, Kind: drivers.InvalidKey, Err: errors.New(what),
		Mend: "delete it and its older versions by hand once nobody needs them",
	}
}

var (
	_ drivers.Inspector = (*Store)(nil)
	_ drivers.Surveyor  = (*Store)(nil)
)

// SurveyPlace tells what becomes of what is deleted.
func (s *Store) SurveyPlace(ctx context.Context) ([]drivers.Finding, error) {
	v, err := s.versionsOf(ctx, s.container)
	value := "none are kept"
	switch {
	case err != nil:
		value = "not known: " + s.fail("stat", s.Prefix(), err).Error()
	case v.back != "":
		value = "kept in the container " + v.back + " (" + versionsLocation + "): after a DELETE the one before comes back, so that a document that has one is left at the source and named (source-left)"
	case v.stay != "":
		value = "kept: what is deleted stays in " + v.stay + ", and costs what it did, until it is removed there"
	}
	findings := []drivers.Finding{{Name: "older versions", Value: value}}
	for _, place := range s.CarriesDeletions(ctx) {
		findings = append(findings, drivers.Finding{Name: "deletions go on to", Value: place + " (container sync): sources here are not deleted for a destination there"})
	}
	return findings, nil
}

// Inspect is SurveyPlace: there is nothing that has to be tried.
func (s *Store) Inspect(ctx context.Context) ([]drivers.Finding, error) { return s.SurveyPlace(ctx) }
