package s3

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Which rules of a bucket's replication carry deletions on, and for which objects.
func TestRulesThatCarryDeletionsOn(t *testing.T) {
	s := &Store{prefix: "a/b/"}
	marks := func(status types.DeleteMarkerReplicationStatus) *types.DeleteMarkerReplication {
		return &types.DeleteMarkerReplication{Status: status}
	}
	prefix := func(p string) *types.ReplicationRuleFilter {
		return &types.ReplicationRuleFilter{Prefix: aws.String(p)}
	}
	for name, c := range map[string]struct {
		rule types.ReplicationRule
		want bool
	}{
		"all":           {types.ReplicationRule{Filter: prefix(""), DeleteMarkerReplication: marks("Enabled")}, true},
		"above":         {types.ReplicationRule{Filter: prefix("a/"), DeleteMarkerReplication: marks("Enabled")}, true},
		"below":         {types.ReplicationRule{Filter: prefix("a/b/c"), DeleteMarkerReplication: marks("Enabled")}, true},
		"beside":        {types.ReplicationRule{Filter: prefix("x/"), DeleteMarkerReplication: marks("Enabled")}, false},
		"no markers":    {types.ReplicationRule{Filter: prefix(""), DeleteMarkerReplication: marks("Disabled")}, false},
		"nothing said":  {types.ReplicationRule{Filter: prefix("")}, false},
		"first version": {types.ReplicationRule{}, true},
		"with tags as well": {types.ReplicationRule{DeleteMarkerReplication: marks("Enabled"), Filter: &types.ReplicationRuleFilter{
			And: &types.ReplicationRuleAndOperator{Prefix: aws.String("x/")}}}, false},
	} {
		c.rule.Status = types.ReplicationRuleStatusEnabled
		if got := deletes(c.rule) && s.ruledBy(c.rule); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
		c.rule.Status = types.ReplicationRuleStatusDisabled
		if deletes(c.rule) {
			t.Errorf("%s: it is disabled", name)
		}
	}
}
