// Package canary watches over the deletion of sources. What deletes at the source must
// not delete at the destination, and two things can make it so that nothing finds before
// a source is deleted:
//
//   - Source and destination are one place that is reached in two ways, and what lies on
//     one of these ways (a mount with a cache of names that are not there, an HTTP proxy)
//     has hidden that from the probe.
//   - Something carries deletions on from the source to the destination: a replication of
//     buckets, a mirror, rsync --delete in a cron job.
//
// So the first document of a run whose source is deleted is the canary. Its payload is
// kept in a file beside the checkpoint, durably, before its source goes. Then the
// destination is asked for it, at once and for a while, by another way than a cache
// (drivers.WithFresh), and no other source is deleted meanwhile. Where nothing shows (its
// source could not be deleted, or was not there), the next document is tried in the same
// way. Where it is gone it is put back, and the run ends with a LostError. A run that is
// killed in between leaves the file, and the next one looks after it first (Watch.Recover).
//
// Later, after seconds and minutes and at the end, the destination is asked for the
// canary and for a sample of what was deleted since. That finds what is carried on with
// a delay. It cannot save what was deleted meanwhile, but it ends the deleting, and no
// later run says that all is well (Watch.Recover reads what the run has noted).
//
// A deletion that is carried on leaves nothing. So only a document of which nothing is
// there counts as lost, and only where nothing is, something is put back: what somebody
// else has put meanwhile stays.
//
// The package knows two drivers, and neither the catalog nor an item.
package canary
