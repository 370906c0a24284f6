package swift

import (
	"context"
	"strings"

	"github.com/kedge/kedge/drivers"
)

var _ drivers.Carrier = (*Store)(nil)

// CarriesDeletions reads to which container the store's is synced (X-Container-Sync-To),
// which the server tells to those who may write the account. Container sync carries
// everything on, deletions too. The container is told by its name, whatever its account.
func (s *Store) CarriesDeletions(ctx context.Context) []string {
	v, err := s.versionsOf(ctx, s.container)
	if err != nil || v.synced == "" {
		return nil
	}
	// A URL, or //realm/cluster/account/container.
	to := strings.TrimRight(v.synced, "/")
	return []string{scheme + unescaped(to[strings.LastIndex(to, "/")+1:]) + "/" + s.prefix}
}
