// Package httpstore has what drivers of object stores over HTTP share, whatever
// their protocol. A driver on it keeps what belongs to its protocol:
// how a request is made and signed, what an answer's codes mean, what proves that a
// payload is stored.
//
//   - Transport bounds every wait for a server that falls silent.
//   - Verdict, JudgeStatus and JudgeConnection turn an answer, or a connection that
//     broke, into an error of one line with a kind. Whether an operation is tried
//     again depends on that kind alone: Temporary for what may pass, any other for
//     what will not.
//   - Open delivers a payload of known length: all of its bytes, or an error.
//   - Announced, Stream and Passage read a payload that is put, as a whole, in
//     parts or through, and compare it with what it was said to be.
//   - Each and the batches on it bound how many requests are under way.
//
// It makes no request itself and knows no protocol. Like a driver it makes one
// attempt of what it does.
package httpstore
