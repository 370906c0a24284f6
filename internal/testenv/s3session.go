package testenv

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// S3Session is a set of temporary credentials.
type S3Session struct {
	AccessKey, SecretKey, SessionToken string
}

// Session makes temporary credentials that may do what an IAM policy says (JSON,
// at most 2048 characters) and nothing else, all that the administrator may do
// for "". MinIO only.
func (s *S3Server) Session(tb testing.TB, policy string) S3Session {
	tb.Helper()
	client := sts.New(sts.Options{
		BaseEndpoint: &s.URL,
		Region:       s.Region,
		Credentials:  credentials.NewStaticCredentialsProvider(s.AccessKey, s.SecretKey, ""),
		Retryer:      aws.NopRetryer{},
	})
	in := &sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::000000000000:role/test"), RoleSessionName: aws.String("test")}
	if policy != "" {
		in.Policy = &policy
	}
	out, err := client.AssumeRole(tb.Context(), in)
	if err != nil {
		tb.Fatalf("testenv: session on %s: %v", s.Name, err)
	}
	return S3Session{*out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken}
}
