package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// The parts of a CycloneDX 1.5 document in JSON that are written here; see
// https://cyclonedx.org/docs/1.5/json/.
type (
	bom struct {
		Format       string       `json:"bomFormat"`
		SpecVersion  string       `json:"specVersion"`
		SerialNumber string       `json:"serialNumber"`
		Version      int          `json:"version"`
		Metadata     metadata     `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	metadata struct {
		Timestamp string    `json:"timestamp"`
		Component component `json:"component"`
	}
	component struct {
		Type       string     `json:"type"`
		Ref        string     `json:"bom-ref"`
		Name       string     `json:"name"`
		Version    string     `json:"version"`
		URL        string     `json:"purl"`
		Hashes     []hash     `json:"hashes,omitempty"`
		Properties []property `json:"properties,omitempty"`
	}
	hash struct {
		Algorithm string `json:"alg"`
		Content   string `json:"content"`
	}
	property struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	dependency struct {
		Ref       string   `json:"ref"`
		DependsOn []string `json:"dependsOn,omitempty"`
	}
)

// components lists what a binary was made of, as go version -m tells it.
func (r *release) components(path string, binary []byte) ([]byte, error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return r.componentsOf(info, sha256.Sum256(binary))
}

func (r *release) componentsOf(info *debug.BuildInfo, sum [sha256.Size]byte) ([]byte, error) {
	main := component{Type: "application", Name: info.Main.Path, Version: r.version, URL: packageURL(info.Main.Path, r.version),
		Hashes: []hash{{"SHA-256", fmt.Sprintf("%x", sum)}}, Properties: []property{{"vcs.revision", r.commit}}}
	for _, s := range info.Settings {
		if s.Key == "GOOS" || s.Key == "GOARCH" {
			main.Properties = append(main.Properties, property{s.Key, s.Value})
		}
	}
	main.Ref = main.URL
	compiler := strings.TrimPrefix(info.GoVersion, "go")
	list := []component{{Type: "library", Name: "std", Version: compiler, URL: packageURL("std", compiler)}}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		c := component{Type: "library", Name: m.Path, Version: m.Version, URL: packageURL(m.Path, m.Version)}
		if m.Sum != "" {
			c.Properties = []property{{"go.sum", m.Sum}}
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b component) int { return strings.Compare(a.URL, b.URL) })
	depends := dependency{Ref: main.Ref}
	for i := range list {
		list[i].Ref = list[i].URL
		depends.DependsOn = append(depends.DependsOn, list[i].Ref)
	}
	out, err := json.MarshalIndent(bom{
		Format: "CycloneDX", SpecVersion: "1.5", SerialNumber: serialNumber(sum), Version: 1,
		Metadata:   metadata{Timestamp: r.date.Format(time.RFC3339), Component: main},
		Components: list, Dependencies: []dependency{depends},
	}, "", "  ")
	return append(out, '\n'), err
}

// packageURL names a module as package-url has it (purl, type golang).
func packageURL(path, version string) string {
	return "pkg:golang/" + strings.ToLower(path) + "@" + strings.ReplaceAll(url.PathEscape(version), "+", "%2B")
}

// serialNumber is a UUID (version 8, RFC 9562) made of the binary's checksum, so
// that the same binary has the same.
func serialNumber(sum [sha256.Size]byte) string {
	u := sum[:16]
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}
