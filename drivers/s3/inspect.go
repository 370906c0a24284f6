package s3

import (
	"context"
	"fmt"
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
	findings := append(r.place(),
		drivers.Finding{Name: "proof of a put", Value: yesNo(r.MD5ETag, "the ETag is the MD5", "none: every payload is read back")},
		drivers.Finding{Name: "checks Content-MD5", Value: yesNo(r.ChecksMD5, "yes", "no")},
		drivers.Finding{Name: "checks CRC32C", Value: yesNo(r.ChecksCRC32C, "yes", "no")},
		drivers.Finding{Name: "encryption", Value: encryption},
		drivers.Finding{Name: "multi-object delete", Value: yesNo(r.MultiDelete, "yes", "no: one request an object")},
	)
	return append(findings, r.way()...), nil
}

// SurveyPlace tells what Survey finds out.
func (s *Store) SurveyPlace(ctx context.Context) ([]drivers.Finding, error) {
	r, err := s.Survey(ctx)
	if err != nil {
		return nil, err
	}
	return append(r.place(), r.way()...), nil
}

// place tells where the objects are.
func (r Report) place() []drivers.Finding {
	return []drivers.Finding{
		{Name: "endpoint", Value: r.Endpoint},
		{Name: "region", Value: r.Region},
		{Name: "credentials from", Value: r.Credentials},
		{Name: "S3 bucket", Value: r.Bucket},
	}
}

// way tells of the way to the server, and of what is denied there.
func (r Report) way() []drivers.Finding {
	findings := []drivers.Finding{
		{Name: "clock skew", Value: r.ClockSkew.Round(time.Second).String(), Amiss: r.ClockSkew.Abs() > maxSkew},
		{Name: "round trip", Value: fmt.Sprintf("%.1f ms", float64(r.RoundTrip.Microseconds())/1000)},
	}
	for _, denied := range r.Denied {
		findings = append(findings, drivers.Finding{Name: "denied", Value: denied.Error(), Amiss: true})
	}
	return findings
}
