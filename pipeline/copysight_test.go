package pipeline_test

import (
	"fmt"
	"testing"

	"github.com/kedge/kedge/pipeline/failure"
)

// A copy is not committed where another row with its key names its place and tells other
// bytes, wherever in a page of the catalog the two rows stand, and between two pages.
func TestTheCutoverSeesRowsOfOneKey(t *testing.T) {
	for shift := range 2 {
		t.Run(fmt.Sprint(shift), func(t *testing.T) {
			in := install(t, 2100)
			run(t, in.copyOptions(in.dst))
			var siblings int64
			beside := func(n int, name string) {
				siblings++
				in.exec(`INSERT INTO archive_metadata (bucket, "archiveId", "userId", "documentName", content_url, is_compressed, digest, size) VALUES (?,?,?,?,?,?,?,?)`,
					key(n).Bucket, key(n).ArchiveID, key(n).UserID, name, in.destinationOf(key(n)), false, "00000000000000000000000000000000", 1)
			}
			for n := range shift {
				beside(3+n, "a.json")
			}
			beside(1, "a.json")
			for n := 1985; n < 2010; n++ {
				beside(n, "z.json")
			}
			r := run(t, in.cutover(in.dst))
			if r.Failed != siblings || failures(r)[failure.ClassPlaceTaken] != siblings || r.Counts.CopiedBefore != 2100-siblings {
				t.Errorf("%d siblings: failed %v, %+v", siblings, failures(r), r.Counts)
			}
		})
	}
}
