package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kedge/kedge/drivers"
)

var (
	_ drivers.Inspector = (*Store)(nil)
	_ drivers.Surveyor  = (*Store)(nil)
)

// maxSkew is where signatures begin to be refused.
const maxSkew = 15 * time.Minute

// Inspect tells what Probe finds out.
func (s *Store) Inspect(ctx context.Context) ([]drivers.Finding, error) {
	r, err := s.Probe(ctx)
	if err != nil {
		return nil, err
	}
	yesNo := func(b bool, yes, no string) string {
		if b {
			return yes
		}
		return no
	}
	encryption := r.Encryption
	if encryption == "" {
		encryption = "none that the server tells of"
	}
	findings := append(s.place(r),
		drivers.Finding{Name: "proof of a put", Value: yesNo(r.MD5ETag, "the ETag is the MD5", "none: every payload is read back")},
		drivers.Finding{Name: "checks Content-MD5", Value: yesNo(r.ChecksMD5, "yes", "no")},
		drivers.Finding{Name: "checks CRC32C", Value: yesNo(r.ChecksCRC32C, "yes", "no")},
		drivers.Finding{Name: "encryption", Value: encryption},
		drivers.Finding{Name: "signed payloads", Value: yesNo(r.SignsPayloads, "wanted: they are signed", "not wanted")},
		drivers.Finding{Name: "listing", Value: cmp.Or(r.Listing, "in the order of keys")},
		drivers.Finding{Name: "multi-object delete", Value: yesNo(r.MultiDelete, "yes", "no: one request an object")},
	)
	return append(append(findings, r.way()...), s.carried(ctx)...), nil
}

// carried tells where deletions are carried on to.
func (s *Store) carried(ctx context.Context) (findings []drivers.Finding) {
	for _, place := range s.CarriesDeletions(ctx) {
		findings = append(findings, drivers.Finding{Name: "deletions go on to", Value: place + " (replication of delete markers): sources here are not deleted for a destination there"})
	}
	return findings
}

// SurveyPlace tells what Survey finds out.
func (s *Store) SurveyPlace(ctx context.Context) ([]drivers.Finding, error) {
	r, err := s.Survey(ctx)
	if err != nil {
		return nil, err
	}
	return append(append(s.place(r), r.way()...), s.carried(ctx)...), nil
}

// place tells where the objects are.
func (s *Store) place(r Report) []drivers.Finding {
	region := r.Region
	switch ignored := s.conn.ignoredRegion; {
	case ignored == "":
	case ignored == s.conn.region:
		region += " (region; the server insists on it, else it would be ignored beside url)"
	default:
		region += fmt.Sprintf(" (region: %s is ignored beside url, as Anchore does)", ignored)
	}
	findings := []drivers.Finding{
		{Name: "endpoint", Value: r.Endpoint},
		{Name: "region", Value: region},
		{Name: "credentials from", Value: r.Credentials},
		{Name: "S3 bucket", Value: r.Bucket},
	}
	if r.Versions != "" {
		findings = append(findings, drivers.Finding{Name: "older versions", Value: r.Versions})
	}
	if s.names == namesUntried && !plainPath(s.prefix+"x") && s.conn.endpoint != "" {
		findings = append(findings, drivers.Finding{Name: "prefix", Value: "has an empty, \".\" or \"..\" component; whether the server keeps such names apart is tried when documents are put there"})
	}
	return findings
}

// way tells of the way to the server, and of what is denied there.
func (r Report) way() []drivers.Finding {
	findings := []drivers.Finding{
		{Name: "clock skew", Value: r.ClockSkew.Round(time.Second).String(), Amiss: r.ClockSkew.Abs() > maxSkew},
		{Name: "round trip", Value: fmt.Sprintf("%.1f ms", float64(r.RoundTrip.Microseconds())/1000)},
	}
	for _, denied := range r.Denied {
		if without := doesWithout(denied); without != "" {
			findings = append(findings, drivers.Finding{Name: "done without", Value: denied.Error() + ": " + without})
			continue
		}
		findings = append(findings, drivers.Finding{Name: "denied", Value: denied.Error(), Amiss: true})
	}
	return findings
}

// doesWithout says what it means that a permission is lacking without which a
// migration works, "" for another one.
func doesWithout(denied error) string {
	for permission, meaning := range map[string]string{
		"s3:ListBucket":                 "a document that is missing is not told from one that may not be read, and verify --orphans cannot list",
		"s3:GetBucketLocation":          "the region is the one that requests are signed for",
		"s3:ListMultipartUploadParts":   "kedge asks for no parts",
		"s3:ListBucketMultipartUploads": "what a killed run has uploaded in part stays behind",
		"s3:AbortMultipartUpload":       "what a failed upload has sent stays behind",
	} {
		if strings.Contains(denied.Error(), permission) {
			return meaning
		}
	}
	if unlisted := new(drivers.Error); errors.As(denied, &unlisted) && unlisted.Op != "put" && unlisted.Kind != drivers.Denied {
		return "verify --orphans cannot list"
	}
	return ""
}
