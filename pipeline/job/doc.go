// Package job says what a run is told to do (Options), by which names the files of a
// migration are known again (Identity, RecordIdentity), and what a run tells: when it
// begins (Start), what it is about (Total), how a round of copying ended (Round), and how
// the run itself did (Result).
//
// It does nothing of this. Package pipeline does, and gives the types under its own names.
package job
