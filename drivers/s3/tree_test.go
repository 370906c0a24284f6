package s3

import (
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/drivertest"
	"github.com/kedge/kedge/internal/testenv"
)

func TestTree(t *testing.T) {
	onEach(t, func(t *testing.T, server *testenv.S3Server) {
		for _, prefix := range []string{"", "some/root/"} {
			t.Run("prefix "+prefix, func(t *testing.T) {
				drivertest.RunTree(t, func(tb testing.TB) drivers.Driver {
					o := optionsFor(server, server.Bucket(tb))
					o.Prefix = prefix
					s, err := Open(tb.Context(), o, Tuning{PartBytes: minPartBytes})
					if err != nil {
						tb.Fatal(err)
					}
					return s
				})
			})
		}
	})
}
