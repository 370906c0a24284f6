// Package torture tests that kedge loses nothing. It runs migrations as child
// processes and kills them: at named points (see internal/crash), at random
// instants and by signals. It resumes them. In the end it compares everything with
// a model of what must be there.
//
// A round is one installation, with documents of every awkward kind, moved
// from one place to another through several kills. The seed and the round's number
// decide everything random in a round, except what the clock decides: a kill at an
// instant hits whatever runs then.
//
// Some rounds copy ahead: "kedge copy" runs, is killed and goes on while services
// put, overwrite, delete and read documents as Anchore's do, by its statements and in
// its order. Then the services stop, and "kedge migrate" takes what was copied, through
// kills too. In some of them somebody replaces or removes copies in between; in some
// the services are started again while sources are still being deleted; in some, where
// the sources were kept, all goes back by "kedge rollback". "make torture SERVICES=10m"
// has the services work as fast as they can for so long, on each kind of source,
// without a kill.
//
// What a round finds is one of three things:
//
//   - lost: a document whose bytes cannot be read, or are others, at the place
//     that the catalog names;
//   - orphaned: a payload, a part of one, an unfinished upload or an empty
//     folder that no row names and that was not there before;
//   - wrong: anything else, such as a row changed that should not be, a task row
//     that does not tell what happened, work done twice without need, an
//     unexpected exit status, a process that does not end, or an operation of the
//     services that failed, a read above all.
package torture
