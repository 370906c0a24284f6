// Package survey looks once through the whole catalog for what could be lost by moving:
// places that two documents may share although their rows do not say so.
//
// A document's place is made from its key, and different keys make different places. But
// there are three exceptions:
//
//   - Somebody has repaired the places of rows by hand (odd places).
//   - A store's prefix lies inside of another's, so that a user's name continues it
//     (nested places, which are refused).
//   - Anchore itself puts documents with awkward keys elsewhere than their URIs say
//     (claims).
//
// Whoever overwrites or deletes at such a place may destroy another document's payload.
//
// What is found is a Settlement. Until it is settled the run deletes nothing, and puts
// only where nothing can be lost whatever is found. A resumed run does not wait for it.
// It looks through the catalog beside the moving.
//
// The package also says which places a payload may have, and when two URIs may be one
// place (Places, Meet, Name). The same questions come up when a single document is put or
// deleted, and when an audit compares the catalog with what stores hold.
package survey
