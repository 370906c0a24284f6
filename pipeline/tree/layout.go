// Package tree moves the storage of a registry (distribution) from one store to
// another, empties the source when all has been proved, and audits one.
//
// There is no catalog beside the storage: its own listing says what there is.
// The layout is that of distribution 2 and 3 (registry/storage/paths.go):
//
//	docker/registry/v2/blobs/{algorithm}/{hex[0:2]}/{hex}/data
//	docker/registry/v2/repositories/{name}/_layers/{algorithm}/{hex}/link
//	                                       _manifests/revisions/{algorithm}/{hex}/link
//	                                       _manifests/tags/{tag}/current/link
//	                                       _manifests/tags/{tag}/index/{algorithm}/{hex}/link
//	                                       _uploads/…
//
// A link is a file that holds the digest of a blob. Whatever else lies below
// docker/registry/ is moved as it is.
//
// The order of all work keeps both sides readable at every instant: blobs come before
// the links that name them, layers before manifests, tags last. When the source is
// emptied, the order is the other way round. See phases in phase.go.
package tree

import (
	"regexp"
	"strings"
)

// Paths in the tree.
const (
	root         = "docker/registry/"
	blobsRoot    = root + "v2/blobs/"
	repositories = root + "v2/repositories/"
	ownFiles     = root + "kedge-" // what kedge puts to try a store
	probePath    = ownFiles + "probe"
)

// own says whether a file is one that kedge itself has put to try a store.
func own(path string) bool { return strings.HasPrefix(path, ownFiles) }

// class says what a file is to the registry.
type class byte

const (
	classOther    class = iota // no file that the registry is known to make
	classBlob                  // content under its digest
	classLayer                 // link that lets a repository use a blob
	classRevision              // link that makes a blob a manifest of a repository
	classCurrent               // link that a tag is
	classIndex                 // link to a manifest that a tag was once given to
	classUpload                // part of an upload that was never finished
)

// String is the word for reports.
func (c class) String() string {
	return [...]string{"other", "blob", "layer link", "manifest link", "tag", "tag history", "upload"}[c]
}

// link says whether files of the class hold the digest of a blob.
func (c class) link() bool { return c >= classLayer && c <= classIndex }

// place is what a path says.
type place struct {
	class class
	// repository is the repository's name, "" outside of all.
	repository string
	// digest is the one in the path: a blob's own, or that of the blob which a
	// link usually names; "" for a tag.
	digest digest
}

// classify takes a path apart.
func classify(path string) place {
	if rest, ok := strings.CutPrefix(path, blobsRoot); ok {
		return classifyBlob(rest)
	}
	rest, ok := strings.CutPrefix(path, repositories)
	if !ok {
		return place{}
	}
	// No part of a repository's name begins with an underscore.
	i := strings.Index(rest, "/_")
	if i <= 0 {
		return place{}
	}
	p := place{repository: rest[:i]}
	parts := strings.Split(rest[i+1:], "/")
	n := len(parts)
	switch {
	case parts[0] == "_uploads":
		p.class = classUpload
	case n == 4 && parts[0] == "_layers" && parts[3] == "link":
		p.class, p.digest = classLayer, join(parts[1], parts[2])
	case n == 5 && parts[0] == "_manifests" && parts[1] == "revisions" && parts[4] == "link":
		p.class, p.digest = classRevision, join(parts[2], parts[3])
	case n == 5 && parts[0] == "_manifests" && parts[1] == "tags" && parts[3] == "current" && parts[4] == "link":
		return place{class: classCurrent, repository: p.repository}
	case n == 7 && parts[0] == "_manifests" && parts[1] == "tags" && parts[3] == "index" && parts[6] == "link":
		p.class, p.digest = classIndex, join(parts[4], parts[5])
	}
	if p.class.link() && !p.digest.valid() {
		return place{repository: p.repository}
	}
	return p
}

func classifyBlob(rest string) place {
	parts := strings.Split(rest, "/")
	if len(parts) != 4 || parts[3] != "data" {
		return place{}
	}
	d := join(parts[0], parts[2])
	if !d.valid() || !strings.HasPrefix(parts[2], parts[1]) || len(parts[1]) != 2 || d.hash() == nil {
		return place{}
	}
	return place{class: classBlob, digest: d}
}

// repositoryName is the form of a repository's name (distribution/reference).
var repositoryName = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
