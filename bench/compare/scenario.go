package compare

import "github.com/kedge/kedge/bench"

// scenario is a pair of places and the documents to move.
type scenario struct {
	name     string
	from, to string // names of sites
	set      set
}

// set is a set of documents.
type set struct {
	name     string
	workload bench.Workload
}

var (
	small  = set{"4KB", bench.Workload{Documents: 20000, MedianBytes: 4 << 10, Seed: 1}}
	report = set{"20KB", bench.Workload{Documents: 5000, MedianBytes: 20 << 10, MaxBytes: 2 << 20, Seed: 2}}
	middle = set{"200KB", bench.Workload{Documents: 2000, MedianBytes: 200 << 10, Seed: 3}}
	large  = set{"200MB", bench.Workload{Documents: 6, Lengths: bench.Fixed, MedianBytes: 200_000_000, Seed: 4}}
	huge   = set{"5GB", bench.Workload{Documents: 1, Lengths: bench.Fixed, MedianBytes: 5_000_000_000, Seed: 5}}
)

// scenarios is the table of what is compared.
var scenarios = []scenario{
	{"localfs-s3/versitygw", "localfs", "versitygw", small},
	{"localfs-s3/minio", "localfs", "minio", small},
	{"s3-s3/minio-versitygw/4KB", "minio", "versitygw", small},
	{"s3-s3/minio-minio/4KB", "minio", "minio2", small},
	{"s3-s3/minio-versitygw/200KB", "minio", "versitygw", middle},
	{"s3-s3/minio-minio/200KB", "minio", "minio2", middle},
	{"s3-s3/minio-versitygw/200MB", "minio", "versitygw", large},
	{"s3-s3/minio-minio/200MB", "minio", "minio2", large},
	{"db-localfs", "db", "localfs", report},
	{"db-db2", "db", "db2", report},
	{"db2-localfs", "db2", "localfs", report},
	{"swift-s3/versitygw", "swift", "versitygw", report},
	{"s3-swift/versitygw", "versitygw", "swift", report},
	{"throttled/localfs-s3", "localfs", "throttled", report},
	{"huge/localfs-s3", "localfs", "minio", huge},
	{"huge/s3-localfs", "minio", "localfs", huge},
	{"huge/localfs-swift", "localfs", "swift", huge},
}

// scaled is the set with its number of documents in proportion to count
// documents of the largest set; at least two, so that there is something to do
// at once, where there are so many.
func (s set) scaled(count int) set {
	if count > 0 {
		s.workload.Documents = min(s.workload.Documents, max(2, s.workload.Documents*count/small.workload.Documents))
	}
	return s
}
