// Package failure says what it means that a document, or a whole run, does not go on.
// Moving documents (package pipeline) and moving trees of files (package tree) mean
// the same by it.
//
// # Documents
//
// A document that cannot be moved stays where it was and is named, with a reason for
// people and a class, a stable word by which reports group them. An error that passes
// through a driver on its way keeps its class (Classed, ClassOf). Groups gathers
// failures by class, with the first few of each as examples.
//
// To add a class, add its word to class.go and use it where the failure is noticed. Then
// say in docs/troubleshooting.md what the operator is to do; the test here demands that.
//
// # Runs
//
// A run that must not begin is refused (RefusedError): nothing was changed. A run cannot
// go on when a store fails document after document (Streak), or does not answer at all
// (GaveUp). It ends with a GaveUpError and can be resumed. A store that is down is not
// its documents' failure: whatever operations met meanwhile is only the echo of the
// outage. So callers ask GaveUp before they record anything.
package failure
