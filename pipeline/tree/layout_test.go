package tree

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
)

var (
	hex256 = strings.Repeat("ab", 32)
	hex512 = strings.Repeat("cd", 64)
)

func TestClassify(t *testing.T) {
	const v2 = "docker/registry/v2/"
	for path, want := range map[string]place{
		v2 + "blobs/sha256/ab/" + hex256 + "/data":                                    {classBlob, "", digest("sha256:" + hex256)},
		v2 + "blobs/sha512/cd/" + hex512 + "/data":                                    {classBlob, "", digest("sha512:" + hex512)},
		v2 + "blobs/sha256/aa/" + hex256 + "/data":                                    {}, // in another folder than its own
		v2 + "blobs/sha256/ab/" + hex256 + "/data.tmp":                                {},
		v2 + "blobs/sha256/ab/" + strings.ToUpper(hex256) + "/data":                   {},
		v2 + "blobs/md5/ab/" + hex256 + "/data":                                       {},
		v2 + "blobs/sha256/" + hex256 + "/data":                                       {},
		v2 + "repositories/a/_layers/sha256/" + hex256 + "/link":                      {classLayer, "a", digest("sha256:" + hex256)},
		v2 + "repositories/a/b/c/_layers/sha512/" + hex512 + "/link":                  {classLayer, "a/b/c", digest("sha512:" + hex512)},
		v2 + "repositories/a/_manifests/revisions/sha256/" + hex256 + "/link":         {classRevision, "a", digest("sha256:" + hex256)},
		v2 + "repositories/a/_manifests/revisions/sha256/" + hex256 + "/link.tmp":     {classOther, "a", ""},
		v2 + "repositories/a/_manifests/revisions/sha256/nothex/link":                 {classOther, "a", ""},
		v2 + "repositories/a/_manifests/revisions/sha256/" + hex256 + "/signatures/x": {classOther, "a", ""},
		v2 + "repositories/a/_manifests/tags/v1/current/link":                         {classCurrent, "a", ""},
		v2 + "repositories/a/_manifests/tags/v1/index/sha256/" + hex256 + "/link":     {classIndex, "a", digest("sha256:" + hex256)},
		v2 + "repositories/a/_uploads/1234/data":                                      {classUpload, "a", ""},
		v2 + "repositories/a/_uploads/1234/hashstates/sha256/0":                       {classUpload, "a", ""},
		v2 + "repositories/a/README":                                                  {},
		v2 + "repositories/_layers/sha256/" + hex256 + "/link":                        {},
		"docker/registry/other":                                                       {},
		"":                                                                            {},
	} {
		if got := classify(path); got != want {
			t.Errorf("%s: %+v, want %+v", path, got, want)
		}
	}
}

func FuzzClassify(f *testing.F) {
	f.Add("docker/registry/v2/repositories/a/_manifests/tags/v1/index/sha256/" + hex256 + "/link")
	f.Add("docker/registry/v2/blobs/sha256/ab/" + hex256 + "/data")
	f.Fuzz(func(t *testing.T, path string) {
		p := classify(path)
		if p.class == classBlob && p.digest.blobPath() != path {
			t.Errorf("%q is the blob %s, which lies at %s", path, p.digest, p.digest.blobPath())
		}
		if p.class == classRevision && revisionPath(p.repository, p.digest) != path {
			t.Errorf("%q is a manifest of %q, which lies at %s", path, p.repository, revisionPath(p.repository, p.digest))
		}
	})
}

// Every path of the tree lies in exactly one range, and is within what the range
// lists.
func TestRangesCoverTheTree(t *testing.T) {
	paths := []string{"docker/registry/!", "docker/registry/v1/x", "docker/registry/v2/x", "docker/registry/zz", "docker/registry/v2/blobs/x", "docker/registry/v2/blobs/sha256", "docker/registry/v2/blobs/sha256/40",
		"docker/registry/v2/blobs/sha256/zz/x", "docker/registry/v2/blobs/sha384/00/x/data", "docker/registry/v2/blobs/zzz", "docker/registry/v2/repositoriez"}
	for i := range 256 {
		sum := sha256.Sum256([]byte{byte(i)})
		h := hex.EncodeToString(sum[:])
		paths = append(paths, fmt.Sprintf("docker/registry/v2/blobs/sha256/%02x/%s/data", i, h), fmt.Sprintf("docker/registry/v2/blobs/sha512/%02x/%s/data", i, h))
	}
	within := []string{"docker/registry/v2/repositories/-odd", "docker/registry/v2/repositories/{x"}
	for c := byte(' ') + 1; c < '~'; c++ {
		within = append(within, "docker/registry/v2/repositories/"+string(c), "docker/registry/v2/repositories/"+string(c)+"x/_layers/sha256/y/link")
	}
	lies := func(path string, r keyRange) bool {
		return strings.HasPrefix(path, r.prefix) && path > r.after && path < r.end()
	}
	all := append(outside(), inside(nil)...)
	ids := map[string]bool{}
	for _, r := range all {
		if ids[r.id()] || r.start() > r.end() {
			t.Errorf("%+v", r)
		}
		ids[r.id()] = true
	}
	for _, path := range append(paths, within...) {
		var in []keyRange
		for _, r := range all {
			if lies(path, r) {
				in = append(in, r)
			}
		}
		if len(in) != 1 || slices.Contains(inside(nil), in[0]) != slices.Contains(within, path) {
			t.Errorf("%s lies in %v", path, in)
		}
	}
	for _, path := range []string{"docker/registry", "docker/registry0", "docker/registry.old/x", "docker/registry-x/y", "docker/x"} {
		for _, r := range all {
			if lies(path, r) {
				t.Errorf("%s lies in %v", path, r)
			}
		}
	}
}

func TestInsideOneRepository(t *testing.T) {
	ranges := inside([]string{"b/c", "a", "a"})
	if len(ranges) != 2 {
		t.Fatalf("%v", ranges)
	}
	for path, want := range map[string]bool{
		"a/_layers/x": true, "a/_manifests/tags/v1/current/link": true, "a/_uploads/x/data": true,
		"a/b/_layers/x": false, "ab/_layers/x": false, "a-b/_layers/x": false, "b/c/_layers/x": true, "b/_layers/x": false,
	} {
		found := false
		for _, r := range ranges {
			found = found || strings.HasPrefix(repositories+path, r.prefix)
		}
		if found != want {
			t.Errorf("%s: %v", path, found)
		}
	}
}

func TestParseLink(t *testing.T) {
	for content, good := range map[string]bool{
		"sha256:" + hex256: true, "sha512:" + hex512: true, "": false, "sha256:": false, "sha256:" + hex256 + "\n": false,
		"sha256:" + hex256[1:]: false, "md5:" + hex256: false, "sha256:" + strings.ToUpper(hex256): false, "sha512:" + hex256: false,
	} {
		if d, err := parseLink([]byte(content)); (err == nil) != good || good && string(d) != content {
			t.Errorf("%q: %q, %v", content, d, err)
		}
	}
}

func TestReferences(t *testing.T) {
	a, b := "sha256:"+hex256, "sha512:"+hex512
	for content, want := range map[string][]digest{
		`{"config":{"digest":"` + a + `"},"layers":[{"digest":"` + b + `"},{"digest":"` + a + `"}]}`: {digest(a), digest(b), digest(a)},
		`{"manifests":[{"digest":"` + b + `"}],"subject":{"digest":"` + a + `"}}`:                    {digest(a), digest(b)},
		`{"fsLayers":[{"blobSum":"` + a + `"}]}`:                                                     {digest(a)},
		`{"blobs":[{"digest":"` + a + `"},{"digest":"none"}]}`:                                       {digest(a)},
		`{"layers":"x"}`: nil, `[]`: nil, ``: nil, "\x00": nil,
	} {
		if got := references([]byte(content)); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", content, got, want)
		}
	}
}

func TestRepositoryName(t *testing.T) {
	for name, good := range map[string]bool{
		"a": true, "library/alpine": true, "a.b-c__d/e_f": true, "0": true,
		"": false, "a/": false, "/a": false, "a//b": false, "_a": false, "a/_layers": false, "..": false, "a/../b": false, "A": false, "a.": false,
	} {
		if repositoryName.MatchString(name) != good {
			t.Errorf("%q: %v", name, !good)
		}
	}
}

func TestProofsAndManifestsComeBack(t *testing.T) {
	for _, p := range []proof{{}, {1, 2, "three", "four"}, {1 << 40, 1 << 50, "", "x"}, {-1, -1, strings.Repeat("v", 300), ""}} {
		if got, err := decodeProof(p.encode()); err != nil || got != p {
			t.Errorf("%+v: %+v, %v", p, got, err)
		}
	}
	for _, b := range [][]byte{nil, {1}, {1, 2, 200, 1}} {
		if p, err := decodeProof(b); err == nil {
			t.Errorf("%x: %+v", b, p)
		}
	}
	l := listedManifest{class: classIndex, path: "x/y", there: true, src: "source"}
	l.dst.Bytes, l.dst.Version = 71, "version"
	for _, l := range []listedManifest{l, {class: classCurrent, path: "z"}, {class: classRevision, path: "z", src: "s"}} {
		if got, err := decodeManifest(l.key(), l.encode()); err != nil || got != l {
			t.Errorf("%+v: %+v, %v", l, got, err)
		}
	}
}
