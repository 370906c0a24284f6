// Package plan is what a migration would do: how many documents with how many bytes
// move, which stay and why, in which form they arrive, for which buckets and users, and
// how long it is going to take.
//
// It holds the answer and how it is added up, not how it is found out: package pipeline
// rehearses a migration, with its own stages and its own rules, and tells a Tally of
// each document that it Moves or that Stays. So a plan cannot say anything else than
// what the migration then does.
//
// What the catalog does not tell is measured. A Sampler keeps a few batches of all that
// it is offered, each with the same chance; they are read, and what they took is added
// to a Sample. From it follow the estimates: WrittenBytes, Decompressed, Duration. Each
// of them says whether it can tell at all.
//
// Memory does not depend on the number of documents: beyond a number, buckets and users
// are counted together.
package plan
