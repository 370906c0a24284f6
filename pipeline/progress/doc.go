// Package progress says how far a run has come, how long the rest will take, and what
// keeps it from being faster.
//
// A run attaches itself to a Progress. Others may ask that at any time for a Snapshot.
// The stages report what they do: which batches wait for them (Queued) and are in work
// (Busy), which documents they have done (Passed), and in the end how a batch came out
// (Finished). Watch samples all of that four times a second.
//
// # What is left
//
// A run's first stages are ahead of its last ones until what is between them is full.
// So a document counts for parts, one for each stage, weighted by how long the stage's
// workers take for one. Then the sum grows evenly. Documents take time and so do their
// bytes; how much each takes is what fits the run's last third best (pace.go). A run that
// waits for a store does not age meanwhile.
//
// # What holds it back
//
// It is the stage whose workers were the busiest, of those before which batches were
// waiting. Or, where two stages share a store and wait for each other, it is the store
// whose allowed operations are all in flight (bottleneck.go).
//
// The package knows no stage's work, no item and no store's driver. What flows through
// the stages embeds a Track.
package progress
