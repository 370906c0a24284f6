// Package store is a driver as a run uses it: opened with one configuration, with the
// rule by which it compresses, with a meter and with the operator's limits.
//
// # Reading
//
// A driver tries again what may succeed, but only until a payload's body has begun.
// From there on it is the reader's turn. Again repeats what breaks off. It does not
// repeat what could not even be opened (Open): the driver has made its attempts at that
// already. ReadWhole holds a payload, Digest only its MD5, ReadPlain gives the document
// in it.
//
// # Checking
//
// Check compares what was read with what the catalog says of it. No other place does
// that. Checked does so as a payload passes. Where the payload is wrong, whoever stores
// it sees an error instead of its end, and stores nothing.
package store
