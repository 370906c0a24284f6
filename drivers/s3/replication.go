package s3

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/kedge/kedge/drivers"
)

var _ drivers.Carrier = (*Store)(nil)

// CarriesDeletions reads the S3 bucket's replication, where s3:GetReplicationConfiguration
// is granted and the server knows of such a thing.
func (s *Store) CarriesDeletions(ctx context.Context) (places []string) {
	out, err := s.client.GetBucketReplication(ctx, &awss3.GetBucketReplicationInput{Bucket: &s.bucket})
	if err != nil || out.ReplicationConfiguration == nil {
		return nil
	}
	for _, rule := range out.ReplicationConfiguration.Rules {
		if rule.Destination == nil || rule.Destination.Bucket == nil || !deletes(rule) || !s.ruledBy(rule) {
			continue
		}
		name := *rule.Destination.Bucket
		name = name[strings.LastIndex(name, ":")+1:] // it is an ARN
		places = append(places, scheme+name+strings.TrimPrefix(s.Prefix(), scheme+s.bucket))
	}
	return places
}

// deletes says whether a rule carries delete markers on: where it says so, and by a rule
// of the first version, which has no filter, always.
func deletes(rule types.ReplicationRule) bool {
	switch {
	case rule.Status != types.ReplicationRuleStatusEnabled:
		return false
	case rule.DeleteMarkerReplication != nil:
		return rule.DeleteMarkerReplication.Status == types.DeleteMarkerReplicationStatusEnabled
	default:
		return rule.Filter == nil
	}
}

// ruledBy says whether a rule may be about objects of this store.
func (s *Store) ruledBy(rule types.ReplicationRule) bool {
	var prefix string
	switch f := rule.Filter; {
	case f == nil:
		//lint:ignore SA1019 rules of the first version have it
		prefix = aws.ToString(rule.Prefix)
	case f.Prefix != nil:
		prefix = *f.Prefix
	case f.And != nil && f.And.Prefix != nil:
		prefix = *f.And.Prefix
	}
	return strings.HasPrefix(prefix, s.prefix) || strings.HasPrefix(s.prefix, prefix)
}
