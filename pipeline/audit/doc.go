// Package audit looks whether an archive is what its catalog says (kedge verify). It
// changes nothing but its own checkpoint.
//
// Run reads every document where its row says and checks digest, length and zlib stream,
// by the same rules by which a migration does (package store): what an audit finds sound
// can be moved. What fails is looked at once more if its row has changed meanwhile, so
// that a migration may be running. A document that is sound may still be one that
// Anchore would not find, because it cannot read its URI back; that is told too.
//
// # Orphans
//
// Asked to, Run then lists the stores and names payloads that no row names (orphans.go).
// Neither the catalog's URIs nor the listings are held: both are spread over files by
// their MD5s and compared file by file. Where a store takes names for one that differ
// only in case, or in the form of their letters, a row's other spelling counts as naming
// a payload.
//
// # Resuming
//
// Batches in work stand in the checkpoint as those of a migration do. The same audit,
// run again, goes on where it was; with everything well the checkpoint is removed.
package audit
