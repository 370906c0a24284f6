// Package takeback removes from the destination what was put in vain: for a document that
// is not going to be committed after all, by this run or by one that was killed.
//
// What is removed must be kedge's own, and no row may name it. As far as the stores tell,
// it must be what was put: by its version, by its MD5, or by when it was put. Where that
// cannot be told it is left, and the reason says so.
package takeback
