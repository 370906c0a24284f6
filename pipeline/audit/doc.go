// Package audit checks whether an archive is what its catalog says (kedge verify). It
// changes nothing but its own checkpoint.
//
// Run reads every document where its row says, and checks digest, length and zlib stream
// by the same rules as a migration (package store). So what an audit finds sound can be
// moved. When a document fails and its row has changed meanwhile, Run looks at it once
// more, so that a migration may be running. A document that is sound may still be one
// that Anchore would not find, because it cannot read its URI back. Run reports that too.
//
// Before it reads anything, each run makes sure that the catalog's index leads to all rows
// (allReached): a document whose row is passed over would count as well.
//
// # Orphans
//
// If it is asked to, Run then scans the catalog, by no index, lists the stores, and names
// payloads that no row names (orphans.go). It holds neither the catalog's URIs nor the
// listings. It spreads both over files by their MD5s and compares them file by file.
// Where a store takes names for one that differ only in case, or in the form of their
// letters, a row's other spelling counts as naming a payload.
//
// # Resuming
//
// Batches in work stand in the checkpoint as those of a migration do. The same audit,
// run again, goes on where it was. When everything is well, Run removes the checkpoint.
package audit
