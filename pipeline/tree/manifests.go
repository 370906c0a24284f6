package tree

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"

	"github.com/kedge/kedge/drivers"
)

// listedManifest is a link of a manifest or tag as it was listed when the pass
// began, with what the destination had there.
type listedManifest struct {
	class class
	path  string
	there bool
	dst   drivers.Info // length and version
	src   string       // version at the source
}

func (l listedManifest) key() []byte { return append([]byte{byte(l.class)}, l.path...) }

func (l listedManifest) encode() []byte {
	if !l.there {
		return append([]byte{0}, l.src...)
	}
	b := binary.AppendVarint([]byte{1}, l.dst.Bytes)
	b = binary.AppendUvarint(b, uint64(len(l.dst.Version)))
	b = append(b, l.dst.Version...)
	return append(b, l.src...)
}

func decodeManifest(k, v []byte) (l listedManifest, err error) {
	if len(k) < 2 || len(v) < 1 {
		return l, errDamaged
	}
	l = listedManifest{class: class(k[0]), path: string(k[1:]), there: v[0] == 1}
	v = v[1:]
	if l.there {
		var n int
		if l.dst.Bytes, n = binary.Varint(v); n <= 0 {
			return l, errDamaged
		}
		v = v[n:]
		length, n := binary.Uvarint(v)
		if n <= 0 || length > uint64(len(v)-n) {
			return l, errDamaged
		}
		l.dst.Version, v = string(v[n:n+int(length)]), v[n+int(length):]
	}
	l.src = string(v)
	return l, nil
}

// listManifests notes the links of manifests and tags.
func (m *migration) listManifests(ctx context.Context) error {
	return m.overRanges(ctx, inside(m.Repositories), func(_ context.Context, p *page) error {
		for _, it := range p.items {
			switch it.class {
			case classRevision, classCurrent, classIndex:
				p.outcome.manifests = append(p.outcome.manifests, listedManifest{class: it.class, path: it.path, there: it.there, dst: it.dst, src: it.src.Version})
			}
			it.skipped = true
		}
		return nil
	})
}

// moveListed copies the noted links of a class.
func (m *migration) moveListed(ctx context.Context, c class) error {
	after, err := m.state.position(listedRange)
	if err != nil {
		return err
	}
	for {
		if m.stopping() {
			m.cut.Store(true)
			return nil
		}
		noted, err := m.state.manifestsAfter(c, after, pageFiles)
		if err != nil || len(noted) == 0 {
			return err
		}
		p := &page{}
		for _, n := range noted {
			it := &item{place: classify(n.path), path: n.path, there: n.there, dst: n.dst}
			it.src.Version, it.src.Bytes = n.src, n.dst.Bytes
			p.items = append(p.items, it)
		}
		after = noted[len(noted)-1].path
		if err := m.each(ctx, p.items, m.copyLink); err != nil {
			return err
		}
		if err := m.confirm(ctx, p.items); err != nil {
			return err
		}
		p.outcome.rangeID, p.outcome.last = listedRange, after
		if err := m.record(p); err != nil {
			return err
		}
	}
}

// listedRange is what the position in the noted links is kept under.
const listedRange = "noted"

// maxManifestBytes is the registry's own limit for a manifest.
const maxManifestBytes = 4 << 20

// references are the blobs that a manifest or index names: configuration and
// layers, or manifests (OCI image specification; Docker image manifest version
// 2, schema 2, and version 1). What is no manifest names none.
func references(content []byte) (list []digest) {
	type descriptor struct {
		Digest digest `json:"digest"`
	}
	var m struct {
		Config    descriptor   `json:"config"`
		Layers    []descriptor `json:"layers"`
		Blobs     []descriptor `json:"blobs"`
		Manifests []descriptor `json:"manifests"`
		Subject   descriptor   `json:"subject"`
		FSLayers  []struct {
			BlobSum digest `json:"blobSum"`
		} `json:"fsLayers"`
	}
	if json.Unmarshal(content, &m) != nil {
		return nil
	}
	all := append([]descriptor{m.Config, m.Subject}, m.Layers...)
	all = append(append(all, m.Blobs...), m.Manifests...)
	for _, l := range m.FSLayers {
		all = append(all, descriptor{l.BlobSum})
	}
	for _, d := range all {
		if d.Digest.valid() {
			list = append(list, d.Digest)
		}
	}
	return list
}

// moveNeeded copies the blobs that the links of a page need: those that they
// name, and what is named by those of them that are manifests.
func (m *migration) moveNeeded(ctx context.Context, p *page) error {
	err := m.each(ctx, p.items, func(ctx context.Context, it *item) error {
		it.skipped = true
		if it.class != classLayer && it.class != classRevision && it.class != classIndex {
			return nil
		}
		content, err := m.readSmall(ctx, m.Source, it.path, maxLinkBytes)
		if err != nil {
			return ignorable(ctx) // told when the link's turn comes
		}
		target, err := parseLink(content)
		if err != nil {
			return nil
		}
		if err := m.needed(ctx, target); err != nil || it.class != classRevision {
			return err
		}
		manifest, err := m.readSmall(ctx, m.Source, target.blobPath(), maxManifestBytes)
		if err != nil {
			return ignorable(ctx)
		}
		for _, d := range references(manifest) {
			if err := m.needed(ctx, d); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// needed is needBlob without the failures that are told with the links.
func (m *migration) needed(ctx context.Context, d digest) error {
	err := m.needBlob(ctx, d)
	if told(err) {
		return nil
	}
	return err
}

// told says that an error of needBlob is about the blob alone.
func told(err error) bool {
	var failed *failedBlob
	return errors.Is(err, errNoBlob) || errors.As(err, &failed)
}

// ignorable is nil unless the run is being ended.
func ignorable(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}
