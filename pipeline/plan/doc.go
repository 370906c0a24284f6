// Package plan is what a migration would do: how many documents with how many bytes
// move, which stay and why, in which form they arrive, for which buckets and users, and
// how long it is going to take.
//
// It holds the answer and adds it up. It does not find it out: package pipeline
// rehearses a migration, with its own stages and its own rules, and reports to a Tally
// each document that it Moves or that Stays. So a plan cannot say anything else than
// what the migration then does.
//
// What the catalog does not hold is measured. A Sampler keeps a few of all batches that
// it is offered, each with the same chance. The pipeline reads these, and adds what they
// took to a Sample. From that follow the estimates: WrittenBytes, Decompressed, Duration.
// Each of them says whether it knows an answer at all.
//
// Memory does not depend on the number of documents: beyond a number, buckets and users
// are counted together.
package plan
