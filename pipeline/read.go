package pipeline

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"math"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/forms"
)

// ReadPlain reads a document where its row says, checks it against the row, and
// gives its plain bytes, all of them in memory.
func ReadPlain(ctx context.Context, d drivers.Driver, row catalog.Document) ([]byte, error) {
	payload, told, err := readWhole(ctx, d, row.URI, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	sum := md5.Sum(payload)
	if err := checkPayload(&item{doc: row}, hex.EncodeToString(sum[:]), told, int64(len(payload))); err != nil {
		return nil, err
	}
	if !row.Compressed {
		return payload, nil
	}
	plain, _, _, err := forms.Inflate(payload, math.MaxInt64)
	return plain, err
}
