package pipeline_test

import "testing"

// The services may be started before sources are deleted. What they have overwritten or
// deleted by then is no reason to leave a source, whichever is the first to be deleted.
func TestSourcesGoOfWhatTheServicesHaveChangedSince(t *testing.T) {
	in := install(t, 20)
	in.write(in.src, key(5), []byte("x")) // the shortest ones are deleted first
	in.write(in.src, key(6), []byte("y"))
	run(t, in.copyOptions(in.dst))
	o := in.cutover(in.dst)
	o.Startable = func(int64, int64) {
		in.write(in.dst, key(5), []byte("a"))
		in.erase(in.dst, key(6))
		delete(in.plain, key(6))
	}
	if r := run(t, o); r.Failed != 0 || held(t, in.src) != 0 || held(t, in.dst) != 19 {
		t.Errorf("failed %v, at the source %d, at the destination %d", failures(r), held(t, in.src), held(t, in.dst))
	}
	in.are(in.dst)
}
