package torture

import (
	"context"
	"crypto/md5"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
)

// Pair names the places of a round by their names in the table of sites.
type Pair struct{ From, To string }

// String is "db>localfs".
func (p Pair) String() string { return p.From + ">" + p.To }

// place is one end of a migration.
type place struct {
	driver  string   // its name in a configuration
	options []string // its config, as lines of YAML
	prefix  string   // what its URIs begin with
	hashed  bool     // URIs are localfs's paths of MD5s
	// compresses: Anchore stores compressed payloads here. parses: it reads a
	// URI with a URL parser, so that a key with '?' cannot be read back.
	compresses, parses bool
	// deletesOne: the driver deletes payloads one by one, not in batches.
	deletesOne bool
	// elsewhere begins the URIs of another place of the same kind, "" where
	// there can be none.
	elsewhere string
	// layout is how the rows of the database's tables lie.
	layout testenv.Layout
	store  store
}

// uri is what Anchore writes into content_url for a document here.
func (p *place) uri(k drivers.Key) string { return p.prefix + p.path(k) }

func (p *place) path(k drivers.Key) string {
	if p.hashed {
		id := hexMD5([]byte(k.ArchiveID))
		return hexMD5([]byte(k.UserID)) + "/" + k.Bucket + "/" + id[:2] + "/" + id + ".json"
	}
	return k.UserID + "/" + k.Bucket + "/" + k.ArchiveID
}

func hexMD5(b []byte) string { return fmt.Sprintf("%x", md5.Sum(b)) }

// store reaches payloads in the backend's own way, without kedge's drivers.
type store interface {
	// fill stores payloads under their URIs.
	fill(ctx context.Context, payloads map[string][]byte) error
	// read reads payloads; those that are not there are missing in the result.
	read(ctx context.Context, uris []string) (map[string][]byte, error)
	// remove removes payloads.
	remove(ctx context.Context, uris []string) error
	// list lists all that is there: URIs of payloads, and whatever else a
	// process may leave behind. uploads are URIs whose unfinished uploads are
	// looked for, where the server cannot list them all.
	list(ctx context.Context, uploads []string) ([]string, error)
	// clear empties the place.
	clear(ctx context.Context) error
	// asAnchore is the place as Anchore's own driver uses it.
	asAnchore(pool *pgxpool.Pool, p *place, between func() error) backend
}

// site makes the places of one name. A pair may have the same site twice, where
// it has two places.
type site struct {
	name string
	// twice: there is a place for a destination beside that for a source.
	twice bool
	open  func(r *rig, destination bool) *place
}

// sites is the table of what is tried in all ordered pairs.
var sites = []site{
	{"db", false, func(r *rig, _ bool) *place { return tablePlace(r, "archive_document", testenv.Whole) }},
	{"db2", false, func(r *rig, _ bool) *place { return tablePlace(r, "object_storage", testenv.Whole) }},
	{"localfs", true, func(r *rig, destination bool) *place {
		return filePlace(filepath.Join(r.folder, map[bool]string{false: "source", true: "destination"}[destination]))
	}},
	{"minio", true, func(r *rig, destination bool) *place { return r.minio.place(destination) }},
	{"versitygw", true, func(r *rig, destination bool) *place { return r.versitygw.place(destination) }},
	{"swift", true, func(r *rig, destination bool) *place {
		return containerPlace(r.swift, r.containers[destination], map[bool]string{false: "", true: "kept/here/"}[destination])
	}},
}

// special are sites only of the pairs named in specialPairs: one place inside
// of the other, two places whose URIs are the same, and tables whose rows lie in
// several.
var special = []site{
	{"minio/", true, func(r *rig, destination bool) *place {
		return objectPlace(r.minio.server, r.minio.nested, map[bool]string{false: "", true: "new/"}[destination], "new/")
	}},
	{"minio=", false, func(r *rig, _ bool) *place { return objectPlace(r.minio.server, r.minio.shared, "p/", "") }},
	{"versitygw=", false, func(r *rig, _ bool) *place { return objectPlace(r.versitygw.server, r.versitygw.shared, "p/", "") }},
	{"db|parts", false, func(r *rig, _ bool) *place { return tablePlace(r, "archive_document", testenv.Partitioned) }},
	{"db2|parts", false, func(r *rig, _ bool) *place { return tablePlace(r, "object_storage", testenv.Partitioned) }},
	{"db|children", false, func(r *rig, _ bool) *place { return tablePlace(r, "archive_document", testenv.Inherited) }},
	{"db2|children", false, func(r *rig, _ bool) *place { return tablePlace(r, "object_storage", testenv.Inherited) }},
}

var specialPairs = []Pair{
	{"minio/", "minio/"}, {"minio=", "versitygw="}, {"versitygw=", "minio="},
	{"db|parts", "localfs"}, {"localfs", "db2|parts"}, {"db|children", "db2|children"}, {"db2|children", "localfs"}, {"localfs", "db|children"},
}

// Pairs lists the ordered pairs of all places, or only those of the named ones.
func Pairs(only ...string) []Pair {
	wanted := func(name string) bool {
		name, _, _ = strings.Cut(name, "|")
		s3 := strings.HasPrefix(name, "minio") || strings.HasPrefix(name, "versitygw")
		return len(only) == 0 || slices.Contains(only, name) || s3 && slices.Contains(only, "s3")
	}
	var pairs []Pair
	for _, from := range sites {
		for _, to := range sites {
			if from.name == to.name && !from.twice || !wanted(from.name) || !wanted(to.name) {
				continue
			}
			pairs = append(pairs, Pair{from.name, to.name})
		}
	}
	for _, p := range specialPairs {
		if wanted(p.From) && wanted(p.To) {
			pairs = append(pairs, p)
		}
	}
	return pairs
}

func (r *rig) place(name string, destination bool) (*place, error) {
	for _, s := range append(append([]site(nil), sites...), special...) {
		if s.name == name {
			return s.open(r, destination), nil
		}
	}
	return nil, fmt.Errorf("there is no place named %q", name)
}

func tablePlace(r *rig, table string, l testenv.Layout) *place {
	p := &place{driver: "db", prefix: "db://", parses: true, layout: l}
	if table == "object_storage" {
		p.driver, p.prefix, p.compresses = "db2", "db2://", true
	}
	p.store = &tableStore{conn: r.conn, table: table, prefix: p.prefix, layout: l}
	return p
}

func filePlace(root string) *place {
	return &place{
		driver: "localfs", options: []string{"archive_data_dir: " + root}, prefix: "file://" + root + "/",
		hashed: true, compresses: true, deletesOne: true, elsewhere: "file:///srv/kedge-elsewhere/", store: fileStore{root},
	}
}

// endpoint is an S3 server with the S3 buckets of a rig.
type endpoint struct {
	server *testenv.S3Server
	// source and destination are two S3 buckets, nested is one for two places;
	// shared has the same name on every server.
	source, destination, nested, shared string
}

func (e endpoint) place(destination bool) *place {
	if destination {
		return objectPlace(e.server, e.destination, "kept/here/", "")
	}
	return objectPlace(e.server, e.source, "", "")
}

// objectPlace is an S3 bucket below a prefix. What lies below another prefix in
// it (not "") belongs to another place.
func objectPlace(s *testenv.S3Server, bucket, prefix, apart string) *place {
	if prefix == apart {
		apart = ""
	}
	return &place{
		driver: "s3", prefix: "s3://" + bucket + "/" + prefix, compresses: true, parses: true,
		options: []string{
			"access_key: " + s.AccessKey, "secret_key: " + s.SecretKey, "url: " + s.URL,
			"region: False", "bucket: " + bucket, "create_bucket: False", "prefix: '" + prefix + "'",
		},
		elsewhere: "s3://kedge-elsewhere/",
		store:     objectStore{client: s.Client(), bucket: bucket, prefix: prefix, apart: apart},
	}
}
