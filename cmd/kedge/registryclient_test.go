package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/kedge/kedge/internal/testenv"
)

// registryClient speaks a registry's HTTP API (OCI distribution specification).
type registryClient struct {
	t   testing.TB
	url string
}

func clientOf(t testing.TB, r *testenv.RegistryServer) registryClient {
	return registryClient{t, r.URL}
}

func (c registryClient) do(method, address, contentType string, body []byte) (*http.Response, []byte, error) {
	if !strings.HasPrefix(address, "http") {
		address = c.url + address
	}
	request, err := http.NewRequestWithContext(c.t.Context(), method, address, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	if method == http.MethodGet {
		request.Header.Set("Accept", strings.Join([]string{mediaManifest, mediaIndex, mediaDocker}, ", "))
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return response, content, err
}

// must is do with the status that it must have.
func (c registryClient) must(status int, method, address, contentType string, body []byte) (*http.Response, []byte) {
	c.t.Helper()
	response, content, err := c.do(method, address, contentType, body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, address, err)
	}
	if response.StatusCode != status {
		c.t.Fatalf("%s %s: %s, want %d\n%s", method, address, response.Status, status, content)
	}
	return response, content
}

const (
	mediaManifest = "application/vnd.oci.image.manifest.v1+json"
	mediaIndex    = "application/vnd.oci.image.index.v1+json"
	mediaDocker   = "application/vnd.docker.distribution.manifest.v2+json"
	mediaConfig   = "application/vnd.oci.image.config.v1+json"
	mediaLayer    = "application/vnd.oci.image.layer.v1.tar"
)

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// blob pushes a blob and gives its descriptor.
func (c registryClient) blob(repository, media string, content []byte) descriptor {
	c.t.Helper()
	response, _ := c.must(http.StatusAccepted, http.MethodPost, "/v2/"+repository+"/blobs/uploads/", "", nil)
	location := response.Header.Get("Location")
	join := "?"
	if strings.Contains(location, "?") {
		join = "&"
	}
	d := digestOf(content)
	c.must(http.StatusCreated, http.MethodPut, location+join+"digest="+url.QueryEscape(d), "application/octet-stream", content)
	return descriptor{media, d, len(content)}
}

// mount makes a blob of one repository one of another too.
func (c registryClient) mount(repository, from string, d descriptor) {
	c.t.Helper()
	c.must(http.StatusCreated, http.MethodPost, "/v2/"+repository+"/blobs/uploads/?mount="+d.Digest+"&from="+url.QueryEscape(from), "", nil)
}

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int    `json:"size"`
}

// manifest pushes a manifest under a tag, or under its digest where the tag is "".
func (c registryClient) manifest(repository, tag, media string, config descriptor, layers ...descriptor) descriptor {
	c.t.Helper()
	content, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": media, "config": config, "layers": layers})
	if err != nil {
		c.t.Fatal(err)
	}
	return c.push(repository, tag, media, content)
}

// index pushes an index of manifests.
func (c registryClient) index(repository, tag string, manifests ...descriptor) descriptor {
	c.t.Helper()
	content, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": mediaIndex, "manifests": manifests})
	if err != nil {
		c.t.Fatal(err)
	}
	return c.push(repository, tag, mediaIndex, content)
}

func (c registryClient) push(repository, tag, media string, content []byte) descriptor {
	c.t.Helper()
	d := descriptor{media, digestOf(content), len(content)}
	if tag == "" {
		tag = d.Digest
	}
	c.must(http.StatusCreated, http.MethodPut, "/v2/"+repository+"/manifests/"+tag, media, content)
	return d
}

// tags lists a repository's tags; none where it does not know the repository.
func (c registryClient) tags(repository string) ([]string, error) {
	response, content, err := c.do(http.MethodGet, "/v2/"+repository+"/tags/list?n=1000", "", nil)
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusNotFound {
		return nil, nil
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("tags of %s: %s: %s", repository, response.Status, content)
	}
	var answer struct{ Tags []string }
	return answer.Tags, json.Unmarshal(content, &answer)
}

// pull fetches a tag's manifest, and all that it names, and checks every digest.
// It gives the digest of the tag's manifest. Blobs in seen are taken as pulled.
func (c registryClient) pull(repository, reference string, seen map[string]bool) (string, error) {
	response, content, err := c.do(http.MethodGet, "/v2/"+repository+"/manifests/"+reference, "", nil)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("manifest %s:%s: %s: %s", repository, reference, response.Status, content)
	}
	digest := digestOf(content)
	if stated := response.Header.Get("Docker-Content-Digest"); stated != digest || strings.HasPrefix(reference, "sha256:") && reference != digest {
		return "", fmt.Errorf("manifest %s:%s: its bytes have the digest %s, stated is %s", repository, reference, digest, stated)
	}
	var manifest struct {
		Config            *descriptor
		Layers, Manifests []descriptor
	}
	if err := json.Unmarshal(content, &manifest); err != nil {
		return "", fmt.Errorf("manifest %s:%s: %w", repository, reference, err)
	}
	for _, m := range manifest.Manifests {
		if _, err := c.pull(repository, m.Digest, seen); err != nil {
			return "", err
		}
	}
	blobs := manifest.Layers
	if manifest.Config != nil {
		blobs = append(blobs, *manifest.Config)
	}
	for _, b := range blobs {
		key := repository + "@" + b.Digest
		if seen[key] {
			continue
		}
		response, content, err := c.do(http.MethodGet, "/v2/"+repository+"/blobs/"+b.Digest, "", nil)
		if err != nil {
			return "", err
		}
		if response.StatusCode != http.StatusOK || digestOf(content) != b.Digest {
			return "", fmt.Errorf("blob %s of %s: %s, %d bytes with the digest %s", b.Digest, repository, response.Status, len(content), digestOf(content))
		}
		if seen != nil {
			seen[key] = true
		}
	}
	return digest, nil
}

// shelf is what a test has pushed: the digest of every tag, by repository.
type shelf map[string]map[string]string

// fill pushes many repositories with tags that share layers: plain images and
// indexes for two architectures, layers mounted from other repositories, tags
// that were moved and one that was deleted.
func (c registryClient) fill(repositories, tags int, layerBytes int) shelf {
	c.t.Helper()
	random := rand.NewChaCha8([32]byte{7})
	content := func(n int) []byte {
		b := make([]byte, n)
		_, _ = random.Read(b) // never fails
		return b
	}
	s := shelf{}
	base := "library/base"
	shared := []descriptor{c.blob(base, mediaLayer, content(layerBytes)), c.blob(base, mediaLayer, content(layerBytes/3))}
	config := c.blob(base, mediaConfig, []byte(`{"architecture":"amd64","os":"linux"}`))
	s[base] = map[string]string{"latest": c.manifest(base, "latest", mediaManifest, config, shared...).Digest}
	for i := range repositories - 1 {
		name := fmt.Sprintf([]string{"library/app%02d", "team-a/deep/er/app%02d", "team.a/app%02d", "app%02d", "0x/app_%02d"}[i%5], i)
		s[name] = map[string]string{}
		c.mount(name, base, shared[0])
		c.mount(name, base, shared[1])
		for j := range tags {
			layer := c.blob(name, mediaLayer, content(1+(i*7919+j*104729)%(2*layerBytes)))
			config := c.blob(name, mediaConfig, fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","n":"%d-%d"}`, i, j))
			// No tag is the beginning of another: the registry's driver for S3
			// leaves "v1.10" out of its lists where there is "v1.1".
			tag := fmt.Sprintf("v1.%02d", j)
			switch j % 3 {
			case 0:
				s[name][tag] = c.manifest(name, tag, mediaDocker, config, shared[0], layer).Digest
			case 1:
				arm := c.blob(name, mediaConfig, fmt.Appendf(nil, `{"architecture":"arm64","os":"linux","n":"%d-%d"}`, i, j))
				s[name][tag] = c.index(name, tag, c.manifest(name, "", mediaManifest, config, shared[0], layer), c.manifest(name, "", mediaManifest, arm, shared[1], layer)).Digest
			default:
				c.manifest(name, tag, mediaManifest, config, shared[0]) // and then given to another
				s[name][tag] = c.manifest(name, tag, mediaManifest, config, shared[1], layer).Digest
			}
		}
	}
	gone := c.manifest(base, "gone", mediaManifest, config, shared[0])
	c.must(http.StatusAccepted, http.MethodDelete, "/v2/"+base+"/manifests/"+gone.Digest, "", nil)
	// An upload that is never finished.
	c.must(http.StatusAccepted, http.MethodPost, "/v2/"+base+"/blobs/uploads/", "", nil)
	return s
}

// serves demands that the registry serves exactly these tags, and every blob.
func (c registryClient) serves(s shelf) {
	c.t.Helper()
	for repository, tags := range s {
		seen := map[string]bool{}
		listed, err := c.tags(repository)
		if err != nil {
			c.t.Fatal(err)
		}
		if len(listed) != len(tags) {
			c.t.Errorf("%s lists %d tags, want %d: %q", repository, len(listed), len(tags), listed)
		}
		for tag, want := range tags {
			if got, err := c.pull(repository, tag, seen); err != nil || got != want {
				c.t.Errorf("%s:%s: %q, %v; want %s", repository, tag, got, err, want)
			}
		}
	}
}
