// Package copies keeps the record of copies: which documents stand at the destination
// already, proved, while their rows still name the source, and which rows name the
// destination while their sources still stand. It is one bbolt file beside the
// checkpoint. A record that is lost costs copying or proving again, and nothing else.
//
// # The file
//
//   - "meta" holds the Header as JSON, how many entries there are of each state, and by
//     which URIs the two stores are known again.
//   - "buckets" gives Anchore's logical buckets numbers.
//   - "intended" has the entries over whose copies something may have been put. They are
//     few, and stand apart so that the others are written once and in order.
//   - "copies" has all others.
//
// An entry's key (key.go) sorts nearly as the catalog does, so that copying along the
// catalog appends. Its value (value.go) leaves away what the key and the stores tell. An
// entry takes about 100 bytes of the file.
//
// # Turned
//
// A record may be opened turned round. Then source and destination change places in all
// that it takes and gives, and so do Copied and Committed: what a migration has committed
// is, on the way back, a copy that waits to be committed.
package copies
