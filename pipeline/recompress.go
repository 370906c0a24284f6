package pipeline

import (
	"context"
	"crypto/md5"
	"encoding/hex"

	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/forms"
	"github.com/kedge/kedge/pipeline/progress"
)

// recompress brings payloads into the form that the destination's compression
// rule asks for, and leaves them untouched where it asks for what they are. A
// compressed payload is checked to be sound in either case.
func (m *migration) recompress(ctx context.Context, b *batch) error {
	items := b.filter(func(it *item) bool { return it.carries() && !it.carriage.streamed() })
	defer m.progress.Busy(progress.StageRecompress)()
	err := m.cpu.Each(ctx, items, func(_ context.Context, it *item) {
		if err := m.recompressOne(it); err != nil {
			it.fail(failure.StageRecompress, failure.ClassOf(err, failure.ClassZlib), err)
		} else if !it.carriage.streamed() {
			m.progress.Passed(progress.StageRecompress, it)
		}
	})
	m.intendCopies(b)
	return err
}

func (m *migration) recompressOne(it *item) error {
	if !it.doc.Compressed {
		it.plainDigest, it.plainBytes = it.digest, it.bytes
		if m.route.KeepsForm() || !m.dst.Compresses(it.bytes) {
			return nil
		}
		payload, err := forms.Deflate(it.payload)
		if err != nil {
			return err
		}
		it.replace(payload, true)
		return nil
	}
	plain, digest, plainBytes, err := forms.Inflate(it.payload, it.allowance)
	if err != nil {
		return err
	}
	it.plainDigest, it.plainBytes = digest, plainBytes
	switch {
	case m.route.KeepsForm() || m.dst.Compresses(plainBytes):
		it.compressed = true
	case plainBytes > it.allowance:
		it.letGo()
	default:
		it.replace(plain, false)
	}
	return nil
}

// replace gives the item a payload of another form.
func (it *item) replace(payload []byte, compressed bool) {
	sum := md5.Sum(payload)
	it.payload, it.compressed = payload, compressed
	it.digest, it.bytes = hex.EncodeToString(sum[:]), int64(len(payload))
}
