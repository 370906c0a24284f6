// Package forms knows the two forms in which an archive keeps a document: plain, or
// compressed with zlib (RFC 1950), as Anchore writes it.
//
// It compresses and decompresses a payload whole in memory (Deflate, Inflate) or as it
// passes (NewDeflateReader, NewInflateReader). A payload that is called compressed and is
// no sound zlib stream fails with ErrZlib, whichever way it is read. An error of the
// stream that it comes from is passed on as it is, so that nobody takes a store's fault
// for the payload's. A stream is read to its end whatever was found wrong before: that
// its digest is wrong says more than that it cannot be decompressed.
//
// Compressors hold about a megabyte each and are pooled, as are the chunks by which
// streams are copied. All functions are safe for concurrent use.
package forms
