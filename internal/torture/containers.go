package torture

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	ncw "github.com/ncw/swift/v2"

	"github.com/kedge/kedge/internal/testenv"
)

// containerPlace is a container of Swift. Documents of more than a mebibyte that
// are streamed become large objects, made of segments.
func containerPlace(s *testenv.SwiftServer, container, prefix string) *place {
	return &place{
		driver: "swift", prefix: "swift://" + container + "/" + prefix, compresses: true, parses: true,
		options: []string{
			"auth: " + s.AuthURL, "user: " + s.User, "key: " + s.Key, "container: " + container,
			"create_container: False", "anchore_key_prefix: '" + prefix + "'", "segment_size: 1048576",
		},
		elsewhere: "swift://kedge-elsewhere/",
		store:     containerStore{client: s.Client(), container: container},
	}
}

// containerStore reaches the objects of a container, and the segments of large
// ones.
type containerStore struct {
	client    *ncw.Connection
	container string
}

func (s containerStore) uri(name string) string { return "swift://" + s.container + "/" + name }
func (s containerStore) name(uri string) string {
	return strings.TrimPrefix(uri, "swift://"+s.container+"/")
}
func (s containerStore) segments() string { return s.container + "_segments" }

func (s containerStore) fill(ctx context.Context, payloads map[string][]byte) error {
	return each(ctx, maps.Keys(payloads), func(ctx context.Context, uri string) error {
		return s.client.ObjectPutBytes(ctx, s.container, s.name(uri), payloads[uri], "application/octet-stream")
	})
}

func (s containerStore) read(ctx context.Context, uris []string) (map[string][]byte, error) {
	return readEach(ctx, uris, func(ctx context.Context, uri string) ([]byte, error) {
		payload, err := s.client.ObjectGetBytes(ctx, s.container, s.name(uri))
		if errors.Is(err, ncw.ObjectNotFound) {
			return nil, nil
		}
		return append([]byte{}, payload...), err
	})
}

// remove removes objects, large ones with their segments, as whoever deletes documents does.
func (s containerStore) remove(ctx context.Context, uris []string) error {
	return each(ctx, slices.Values(uris), func(ctx context.Context, uri string) error {
		large, err := s.large(ctx, s.name(uri))
		switch {
		case err != nil:
			return err
		case large:
			return s.client.StaticLargeObjectDelete(ctx, s.container, s.name(uri))
		}
		return s.removeNames(ctx, s.container, []string{s.name(uri)})
	})
}

// large says whether an object is a large one.
func (s containerStore) large(ctx context.Context, name string) (bool, error) {
	_, headers, err := s.client.Object(ctx, s.container, name)
	if errors.Is(err, ncw.ObjectNotFound) {
		return false, nil
	}
	return strings.EqualFold(headers["X-Static-Large-Object"], "true"), err
}

func (s containerStore) removeNames(ctx context.Context, container string, names []string) error {
	return each(ctx, slices.Values(names), func(ctx context.Context, name string) error {
		err := s.client.ObjectDelete(ctx, container, name)
		if errors.Is(err, ncw.ObjectNotFound) {
			return nil
		}
		return err
	})
}

// names lists a container, which need not exist.
func (s containerStore) names(ctx context.Context, container string) ([]string, error) {
	objects, err := s.client.ObjectsAll(ctx, container, nil)
	if errors.Is(err, ncw.ContainerNotFound) {
		return nil, nil
	}
	names := make([]string, len(objects))
	for i, o := range objects {
		names[i] = o.Name
	}
	return names, err
}

// list lists the objects, and the segments that none of the named objects is
// made of.
func (s containerStore) list(ctx context.Context, large []string) ([]string, error) {
	names, err := s.names(ctx, s.container)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, name := range names {
		list = append(list, s.uri(name))
	}
	segments, err := s.names(ctx, s.segments())
	if err != nil || len(segments) == 0 {
		return list, err
	}
	used := make(map[string]bool)
	for _, uri := range large {
		if err := s.manifest(ctx, s.name(uri), used); err != nil {
			return nil, err
		}
	}
	for _, segment := range segments {
		if !used["/"+s.segments()+"/"+segment] {
			list = append(list, "segment "+segment+" of no object")
		}
	}
	return list, nil
}

// manifest notes the segments of an object, if it is a large one.
func (s containerStore) manifest(ctx context.Context, name string, used map[string]bool) error {
	url, err := s.client.GetStorageUrl(ctx)
	if err != nil {
		return err
	}
	resp, headers, err := s.client.Call(ctx, url, ncw.RequestOpts{
		Container: s.container, ObjectName: name, Operation: "GET", ErrorMap: map[int]error{404: ncw.ObjectNotFound},
		Parameters: map[string][]string{"multipart-manifest": {"get"}},
	})
	if errors.Is(err, ncw.ObjectNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if !strings.EqualFold(headers["X-Static-Large-Object"], "true") {
		return nil
	}
	var entries []struct{ Name string }
	if err := json.NewDecoder(resp.Body).Decode(&entries); err != nil {
		return err
	}
	for _, e := range entries {
		used[e.Name] = true
	}
	return nil
}

func (s containerStore) clear(ctx context.Context) error {
	for _, container := range []string{s.container, s.segments()} {
		names, err := s.names(ctx, container)
		if err != nil {
			return err
		}
		if err := s.removeNames(ctx, container, names); err != nil {
			return err
		}
	}
	return nil
}
