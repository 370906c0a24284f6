// Package progress tells how far a run has come, how long the rest will take, and what
// keeps it from being faster.
//
// A run attaches itself to a Progress, which others may ask at any time for a
// Snapshot. The stages say what they do: which batches wait for them (Queued) and are
// in work (Busy), which documents they have done (Passed), and in the end how a batch
// came out (Finished). Four times a second all of that is sampled (Watch).
//
// # What is left
//
// A run's first stages are ahead of its last ones until what is between them is full.
// So a document counts for parts, one for each stage, weighted by how long the stage's
// workers take for one: the sum grows evenly. Documents take time and so do their
// bytes; how much each, is what fits the run's last third best (pace.go). A run that
// waits for a store does not age meanwhile.
//
// # What holds it back
//
// It is the stage whose workers were the busiest, of those before which batches were
// waiting; or, where two stages share a store and wait for each other, the store whose
// allowed operations are all in flight (bottleneck.go).
//
// The package knows no stage's work, no item and no store's driver. What flows through
// the stages embeds a Track.
package progress
