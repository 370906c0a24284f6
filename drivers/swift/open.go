package swift

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/httpstore"
)

// Open authenticates, checks that the container is there and asks what the
// server can do. A missing container is created where create_container says so;
// the container of segments is created with the first of them. It makes one
// attempt and holds no goroutine.
//
// The error's kind is Config for options that cannot work, Denied for
// credentials that are wrong or lack a right, Temporary for a server that cannot
// be reached.
func Open(ctx context.Context, o Options, t Tuning) (*Store, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	s, err := newStore(o, t)
	if err != nil {
		return nil, &drivers.Error{Op: "open", Kind: drivers.Config, Err: err}
	}
	if err := s.connect(ctx, o.CreateContainer); err != nil {
		_ = s.Close() // gives up idle connections; cannot fail
		return nil, err
	}
	return s, nil
}

func newStore(o Options, t Tuning) (*Store, error) {
	id, err := o.resolve()
	if err != nil {
		return nil, err
	}
	tlsConfig, err := o.tlsConfig()
	if err != nil {
		return nil, err
	}
	t = o.tune(t)
	s := &Store{
		container: o.Container, prefix: o.KeyPrefix, segments: o.segmentContainer(),
		method: id.method, rateLimitFails: !o.RetryOnRatelimit,
		secrets: &[]string{o.Key, o.Password, o.AuthToken, o.ApplicationSecret},
		tuning:  t, http: newTripper(t, tlsConfig), buffers: httpstore.NewBuffers(t.SegmentBytes),
	}
	if _, password, found := strings.Cut(o.User, ":"); found {
		*s.secrets = append(*s.secrets, password)
	}
	s.conn = id.connection(s.http)
	return s, nil
}

func (s *Store) connect(ctx context.Context, create bool) error {
	account, err := s.conn.GetStorageUrl(ctx)
	if err != nil {
		return s.fail("open", s.Prefix(), notAuthenticated(err))
	}
	s.account = publicURL(account)
	_, _, err = s.do(ctx, request{method: http.MethodHead, container: s.container})
	switch s.missing = isMissing(err) && create && s.tuning.Look; {
	case s.missing:
		err = nil
	case isMissing(err) && create:
		err = s.createContainer(ctx, s.container, "")
	}
	if err != nil {
		return s.fail("open", s.Place(), err)
	}
	if s.server, err = s.askServer(ctx); err != nil {
		return s.fail("open", s.Place(), err)
	}
	s.opened = true
	return nil
}

// createContainer makes a container unless it is there already.
func (s *Store) createContainer(ctx context.Context, name, policy string) error {
	r := request{method: http.MethodPut, container: name, headers: map[string]string{}, payload: []byte{}}
	if policy != "" {
		r.headers["X-Storage-Policy"] = policy
	}
	_, _, err := s.do(ctx, r)
	if statusOf(err) == http.StatusForbidden {
		failed := s.fail("create container", scheme+name, err)
		failed.Mend = "grant the user the creation of containers, or create " + name
		return failed
	}
	return err
}

// serverInfo is what the server says of itself.
type serverInfo struct {
	bulkDeletes int // objects in one request; 0 without such a request
	maxSegments int // of a static large object
	// listsLarge: a listing tells which objects are static large ones.
	listsLarge bool
}

// askServer reads /info, which not every provider answers: then the server is
// taken to have what every Swift has by default, and no bulk deletes.
func (s *Store) askServer(ctx context.Context) (serverInfo, error) {
	info := serverInfo{maxSegments: 1000}
	told, err := s.conn.QueryInfo(ctx)
	if err != nil {
		return info, ctx.Err()
	}
	if told.SupportsBulkDelete() {
		info.bulkDeletes = min(number(told, "bulk_delete", "max_deletes_per_request", 1000), maxDeletes)
	}
	info.maxSegments = max(number(told, "slo", "max_manifest_segments", info.maxSegments), 1)
	if about, ok := told["swift"].(map[string]any); ok {
		version, _ := about["version"].(string)
		info.listsLarge = atLeast(version, 2, 20)
	}
	return info, nil
}

func number(told map[string]any, filter, name string, fallback int) int {
	about, _ := told[filter].(map[string]any)
	if n, ok := about[name].(float64); ok && n >= 0 {
		return int(n)
	}
	return fallback
}

// atLeast says whether a version such as "2.30.1" is this one or a later one.
func atLeast(version string, major, minor int) bool {
	a, rest, _ := strings.Cut(version, ".")
	b, _, _ := strings.Cut(rest, ".")
	x, err := strconv.Atoi(a)
	if err != nil {
		return false
	}
	y, err := strconv.Atoi(b)
	return err == nil && (x > major || x == major && y >= minor)
}
