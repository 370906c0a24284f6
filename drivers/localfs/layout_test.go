package localfs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kedge/kedge/drivers"
)

// TestURI compares with what Anchore Engine 1.1.0 wrote into content_url.
func TestURI(t *testing.T) {
	s := openTemp(t)
	for want, key := range map[string]drivers.Key{
		"21232f297a57a5a743894a0e4a801fc3/policy_bundles/a9/a90414ec643278c40c85fadce375142e.json":     {UserID: "admin", Bucket: "policy_bundles", ArchiveID: "sha256:069d109f38552fec4bb9ab2f66de99e1d5a1c8f0e9e1c3b9e5713f2cb9a6a957"},
		"21232f297a57a5a743894a0e4a801fc3/policy_bundles/cf/cff49f359f080f71548fcee824af6ad3.json":     {UserID: "admin", Bucket: "policy_bundles", ArchiveID: "a/b/c"},
		"2549140f3853bbd805930f68ab627390/image_content_data/7a/7ac22aa81ddb0dd4f82a9f0b547b92f4.json": {UserID: "user-b", Bucket: "image_content_data", ArchiveID: `back\slash`},
		"21232f297a57a5a743894a0e4a801fc3/policy_bundles/d5/d590f81f841e13060f9b12f0bb93f443.json":     {UserID: "admin", Bucket: "policy_bundles", ArchiveID: "tab\tkey"},
		"2549140f3853bbd805930f68ab627390/manifest_data/22/22e330fcfd76ecb61bd4d44380f55794.json":      {UserID: "user-b", Bucket: "manifest_data", ArchiveID: "[brackets]{x}|<y>^~*"},
		"1358789f9b4f1fdb456e07e78719744a/vendor/b7/b703893da2fca612d091ed9993c72173.json":             {UserID: "team.c", Bucket: "vendor", ArchiveID: "docker.io/library/nginx:1.19@sha256:abababababababababababababababababababababababababababababababab"},
	} {
		uri, err := s.URI(key)
		if err != nil || uri != s.Prefix()+want {
			t.Errorf("URI(%s) = %q, %v, want …%s", key, uri, err, want)
		}
	}
}

func TestURIRefuses(t *testing.T) {
	s := openTemp(t)
	for _, bucket := range []string{"", ".", "..", "a/b", "/", "a\x00", strings.Repeat("b", 256)} {
		if uri, err := s.URI(drivers.Key{UserID: "admin", Bucket: bucket, ArchiveID: "x"}); drivers.KindOf(err) != drivers.InvalidKey {
			t.Errorf("bucket %q: %q, %v", bucket, uri, err)
		}
	}
	deep := openAt(t, s.dir+strings.Repeat("/"+strings.Repeat("d", 200), 19))
	defer deep.Close()
	if uri, err := deep.URI(drivers.Key{UserID: "a", Bucket: strings.Repeat("b", 255), ArchiveID: "c"}); drivers.KindOf(err) != drivers.InvalidKey {
		t.Errorf("a path of %d bytes: %v", len(uri), err)
	}
}

func TestLocate(t *testing.T) {
	user, doc := md5Hex("admin"), md5Hex("doc")
	good := user + "/bucket/" + doc[:2] + "/" + doc + ".json"
	for uri, root := range map[string]string{
		"file:///archive/" + good:       "/archive",
		"file:///" + good:               "/",
		"file:////archive//x/./" + good: "/archive/x",
		"file:///a b?#%41/" + good:      "/a b?#%41",
		"file:///" + user + "/" + good:  "/" + user,
		"file:///archive/" + strings.ToUpper(user) + "/b/AB/" + strings.ToUpper(doc) + ".json": "/archive",
	} {
		loc, err := locate("get", uri)
		if err != nil || loc.root != root || !strings.HasSuffix(uri, loc.path()) {
			t.Errorf("locate(%q) = %+v, %v, want root %q", uri, loc, err, root)
		}
	}
	for _, uri := range []string{
		"", "file://", "file:///", "file://" + good, "file:///etc/passwd", "s3://archive/" + good, "FILE:///" + good,
		"file:///archive/" + good + "/", "file:///archive/" + good + "\x00", "file:///a/../" + good, "file:///archive/../../" + good,
		"file:///archive/" + user + "/../" + doc[:2] + "/" + doc + ".json",
		"file:///archive/" + user + "//" + doc[:2] + "/" + doc + ".json",
		"file:///archive/" + user + "/b/c/" + doc[:2] + "/" + doc + ".json",
		"file:///archive/" + user[:31] + "/b/" + doc[:2] + "/" + doc + ".json",
		"file:///archive/" + user + "/b/xy/" + doc + ".json",
		"file:///archive/" + user + "/b/" + doc[:2] + "/" + doc,
		"file:///archive/" + user + "/b/" + doc[:2] + "/" + doc + ".JSON",
	} {
		if loc, err := locate("get", uri); drivers.KindOf(err) != drivers.InvalidKey {
			t.Errorf("locate(%q) = %+v, %v", uri, loc, err)
		}
	}
}

// FuzzLocate checks that no URI leads out of the root that it names.
func FuzzLocate(f *testing.F) {
	user, doc := md5Hex("admin"), md5Hex("doc")
	f.Add("file:///archive/" + user + "/bucket/" + doc[:2] + "/" + doc + ".json")
	f.Add("file:///a//b/./" + user + "/../" + doc[:2] + "/" + doc + ".json")
	f.Fuzz(func(t *testing.T, uri string) {
		loc, err := locate("get", uri)
		if err != nil {
			return
		}
		if !filepath.IsAbs(loc.root) || filepath.Clean(loc.root) != loc.root {
			t.Errorf("%q: root %q", uri, loc.root)
		}
		if !filepath.IsLocal(loc.path()) || strings.Count(loc.path(), "/") != 3 || filepath.Clean(loc.path()) != loc.path() {
			t.Errorf("%q: path %q", uri, loc.path())
		}
		if want := filepath.Clean(strings.TrimPrefix(uri, scheme)); filepath.Join(loc.root, loc.path()) != want {
			t.Errorf("%q: %q is not %q", uri, filepath.Join(loc.root, loc.path()), want)
		}
	})
}

// TestEarlierRoot reads and deletes what lies under another root.
func TestEarlierRoot(t *testing.T) {
	earlier, s := openTemp(t), openTemp(t)
	uri, err := earlier.URI(drivers.Key{UserID: "admin", Bucket: "b", ArchiveID: "old"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), uri, drivers.InMemory([]byte("x"), "")); drivers.KindOf(err) != drivers.InvalidKey {
		t.Errorf("put under another root: %v", err)
	}
	if _, err := earlier.Put(t.Context(), uri, drivers.InMemory([]byte("old payload"), "")); err != nil {
		t.Fatal(err)
	}
	if info, err := s.Stat(t.Context(), uri); err != nil || info.Bytes != 11 {
		t.Errorf("stat: %+v, %v", info, err)
	}
	body, info, err := s.Get(t.Context(), uri)
	if err != nil || info.Bytes != 11 {
		t.Fatalf("get: %+v, %v", info, err)
	}
	body.Close()
	if err := s.Delete(t.Context(), uri); err != nil {
		t.Errorf("delete: %v", err)
	}
	if left := entries(t, earlier.dir); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
	if _, _, err := s.Get(t.Context(), uri); drivers.KindOf(err) != drivers.NotFound {
		t.Errorf("get of a deleted one: %v", err)
	}
	// A root that is not there says nothing of its payloads.
	gone := strings.Replace(uri, earlier.dir, earlier.dir+"-unmounted", 1)
	if _, err := s.Stat(t.Context(), gone); drivers.KindOf(err) != drivers.Config {
		t.Errorf("stat under a missing root: %v", err)
	}
	if err := s.Delete(t.Context(), gone); drivers.KindOf(err) != drivers.Config {
		t.Errorf("delete under a missing root: %v", err)
	}
}

// TestLinks checks that links planted in the tree lead nowhere.
func TestLinks(t *testing.T) {
	outside := t.TempDir()
	key := drivers.Key{UserID: "admin", Bucket: "b", ArchiveID: "secret"}
	doc := md5Hex(key.ArchiveID)
	secret := filepath.Join(outside, "b", doc[:2], doc+".json")
	for _, place := range []string{"user", "bucket", "shard", "file", "absolute file", "partial"} {
		t.Run(place, func(t *testing.T) {
			if err := os.MkdirAll(filepath.Dir(secret), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(secret, []byte("secret"), 0o644); err != nil {
				t.Fatal(err)
			}
			s := openTemp(t)
			uri, err := s.URI(key)
			if err != nil {
				t.Fatal(err)
			}
			path := strings.TrimPrefix(uri, scheme)
			shard := filepath.Dir(path)
			link, target := path, secret
			switch place {
			case "user":
				link, target = filepath.Dir(filepath.Dir(shard)), outside
			case "bucket":
				link, target = filepath.Dir(shard), filepath.Join(outside, "b")
			case "shard":
				link, target = shard, filepath.Dir(secret)
			case "partial":
				link = filepath.Join(shard, "."+doc+".json"+partialSuffix)
			}
			if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
				t.Fatal(err)
			}
			if place != "absolute file" {
				if target, err = filepath.Rel(filepath.Dir(link), target); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Symlink(target, link); err != nil {
				t.Fatal(err)
			}
			if body, _, err := s.Get(t.Context(), uri); err == nil {
				body.Close()
				t.Error("get: read what lies outside")
			}
			if info, err := s.Stat(t.Context(), uri); err == nil {
				t.Errorf("stat: saw what lies outside: %+v", info)
			}
			_, putErr := s.Put(t.Context(), uri, drivers.InMemory([]byte("overwritten"), ""))
			if wantFailure := !strings.HasSuffix(place, "file") && place != "partial"; (putErr != nil) != wantFailure {
				t.Errorf("put: %v", putErr)
			}
			if deleteErr := s.Delete(t.Context(), uri); (deleteErr != nil) != (putErr != nil) {
				t.Errorf("delete: %v", deleteErr)
			}
			if b, err := os.ReadFile(secret); err != nil || string(b) != "secret" {
				t.Errorf("what lies outside is now %q, %v", b, err)
			}
		})
	}
}
