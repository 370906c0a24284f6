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
// What a round finds is one of three things:
//
//   - lost: a document whose bytes cannot be read, or are others, at the place
//     that the catalog names;
//   - orphaned: a payload, a part of one, an unfinished upload or an empty
//     folder that no row names and that was not there before;
//   - wrong: anything else, such as a row changed that should not be, a task row
//     that does not tell what happened, work done twice without need, an
//     unexpected exit status or a process that does not end.
package torture
