package s3

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"path"
	"strings"

	"github.com/kedge/kedge/drivers"
)

// names says what is known of how a server keeps keys with an empty, "." or ".."
// component below the prefix.
type names int

const (
	namesUntried names = iota
	namesKept          // each under exactly its name
)

// tryPrefix finds out whether the server keeps what is put below the prefix under
// exactly that name: some refuse it, some store it under a name without such
// components, where another archive may be. key is what the option is called.
func (s *Store) tryPrefix(ctx context.Context, key string) error {
	refused := func(format string, args ...any) error {
		return &drivers.Error{Op: "open", URI: s.Place(), Kind: drivers.Config, Err: fmt.Errorf(key+": "+format, args...)}
	}
	name := "kedge-probe/" + rand.Text()
	tried, folded := location{s.bucket, s.prefix + name}, location{s.bucket, folded(s.prefix) + name}
	if _, err := s.direct.put(ctx, tried, probePayload, conditions{}, s.attributes); err != nil {
		failed := s.fail("put", scheme+s.bucket+"/"+tried.key, err)
		if failed.Kind == drivers.InvalidKey {
			return refused("%q has an empty, \".\" or \"..\" component, and the server does not hold such keys", s.prefix)
		}
		return failed
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	_, err := s.direct.head(ctx, folded)
	if _, gone := s.direct.remove(clean, tried); gone != nil {
		return s.fail("delete", scheme+s.bucket+"/"+tried.key, gone)
	}
	switch {
	case err == nil:
		return refused("%q has an empty, \".\" or \"..\" component, and the server keeps what is put there as %q, where another archive's documents may be; write that", s.prefix, folded.key[:len(folded.key)-len(name)])
	case status(err) != http.StatusNotFound:
		return refused("%q has an empty, \".\" or \"..\" component, and whether the server keeps it apart from %q cannot be found out: %w", s.prefix, folded.key[:len(folded.key)-len(name)], s.fail("stat", scheme+s.bucket+"/"+folded.key, err))
	}
	s.names = namesKept
	return nil
}

// folded is what a server with folders makes of a prefix.
func folded(prefix string) string {
	clean := strings.TrimPrefix(path.Clean("/"+prefix+"x"), "/")
	return clean[:len(clean)-1]
}

// refusesName says, after a put that failed for a reason that may pass, why the
// server will never take it under this name; nil if it is not the name's fault.
// versitygw answers a stream with an internal error, and breaks off the connection under a
// long body that it refuses: its answers to smaller requests tell.
func (s *Store) refusesName(ctx context.Context, uri string, loc location) *drivers.Error {
	var err error
	switch {
	case longComponent(loc.key):
		var body interface{ Close() error }
		if body, _, err = s.direct.get(ctx, loc); err == nil {
			_ = body.Close() // not read
		}
	case strings.HasSuffix(loc.key, "/"):
		beneath := location{loc.bucket, loc.key + rand.Text() + "/"}
		if _, err = s.direct.put(ctx, beneath, probePayload, conditions{}, s.attributes); err == nil {
			_, err = s.direct.remove(ctx, beneath)
		}
	}
	if err == nil {
		return nil
	}
	if failed := s.fail("put", uri, err); failed.Kind == drivers.InvalidKey {
		return failed
	}
	return nil
}
