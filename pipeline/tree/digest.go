package tree

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
)

// digest names a blob: "sha256:" and the checksum in lower-case hex.
type digest string

func join(algorithm, sum string) digest { return digest(algorithm + ":" + sum) }

// sumBytes is the length of the checksums of the algorithms that registries use.
var sumBytes = map[string]int{"sha256": sha256.Size, "sha384": sha512.Size384, "sha512": sha512.Size}

// valid says whether it has the form of a digest of a known algorithm.
func (d digest) valid() bool {
	algorithm, sum, _ := strings.Cut(string(d), ":")
	n, known := sumBytes[algorithm]
	return known && len(sum) == hex.EncodedLen(n) && strings.Trim(sum, "0123456789abcdef") == ""
}

// hash computes digests of this algorithm; nil for one that is not known.
func (d digest) hash() hash.Hash {
	switch algorithm, _, _ := strings.Cut(string(d), ":"); algorithm {
	case "sha256":
		return sha256.New()
	case "sha384":
		return sha512.New384()
	case "sha512":
		return sha512.New()
	}
	return nil
}

// is says whether the hash has come to this digest.
func (d digest) is(h hash.Hash) bool {
	_, sum, _ := strings.Cut(string(d), ":")
	return hex.EncodeToString(h.Sum(nil)) == sum
}

// blobPath is where the blob lies.
func (d digest) blobPath() string {
	algorithm, sum, _ := strings.Cut(string(d), ":")
	return blobsRoot + algorithm + "/" + sum[:2] + "/" + sum + "/data"
}

// revisionPath is where the link lies that makes a blob a manifest of a
// repository.
func revisionPath(repository string, d digest) string {
	algorithm, sum, _ := strings.Cut(string(d), ":")
	return repositories + repository + "/_manifests/revisions/" + algorithm + "/" + sum + "/link"
}

// maxLinkBytes bounds what is read of a link; a sha512 digest has 135 bytes.
const maxLinkBytes = 4 << 10

// parseLink reads the content of a link as the registry does: a digest, without
// anything before or behind.
func parseLink(content []byte) (digest, error) {
	d := digest(content)
	if !d.valid() {
		if len(content) == 0 {
			return "", fmt.Errorf("the link is empty, as after a crash of the registry")
		}
		return "", fmt.Errorf("the link's %d bytes are no digest", len(content))
	}
	return d, nil
}
