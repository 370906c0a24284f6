package s3

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/kedge/kedge/drivers"
)

// credentialsTimeout bounds one request to whatever hands out credentials.
const credentialsTimeout = 30 * time.Second

// credentials gives the provider of the keys: those of the configuration, or
// what the environment has to offer, in the order of the SDK's default chain
// (variables, web identity token, shared files, ECS, EC2).
func (c connection) credentials(ctx context.Context) (aws.CredentialsProvider, error) {
	if c.accessKey != "" {
		return credentials.NewStaticCredentialsProvider(c.accessKey, c.secretKey, c.sessionToken), nil
	}
	// Only the credentials are taken from the environment. An endpoint or a
	// region found there would put documents in a place nobody configured; the
	// token service, though, is that of the region in which we run.
	cfg, err := awsconfig.LoadDefaultConfig(ctx,
		awsconfig.WithDefaultRegion(c.region),
		awsconfig.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(credentialsTimeout)),
	)
	if err != nil {
		return nil, &credentialsError{err}
	}
	return aws.NewCredentialsCache(&ambient{inner: cfg.Credentials, seen: c.seen}), nil
}

// ambient marks failures to get credentials, so that they can be told from
// failures of the server, and notes what it hands out.
type ambient struct {
	inner aws.CredentialsProvider
	seen  *seenCredentials
}

func (a *ambient) Retrieve(ctx context.Context) (aws.Credentials, error) {
	creds, err := a.inner.Retrieve(ctx)
	if err != nil {
		return creds, &credentialsError{err}
	}
	a.seen.note(creds)
	if err := checkAmbient(creds); err != nil {
		return aws.Credentials{}, &drivers.Error{Op: "open", Kind: drivers.Config, Err: err}
	}
	return creds, nil
}

// checkAmbient looks for what does not show in credentials, as in those of the
// configuration.
func checkAmbient(creds aws.Credentials) error {
	for _, c := range []struct {
		name, value string
		may         drivers.Spaces
	}{
		{"access key", creds.AccessKeyID, drivers.NoSpaces},
		{"secret key", creds.SecretAccessKey, drivers.InnerSpaces},
		{"session token", creds.SessionToken, drivers.NoSpaces},
	} {
		if err := drivers.CheckCredential(c.value, c.may); err != nil {
			return fmt.Errorf("the %s from %s %w", c.name, sourceName(creds.Source), err)
		}
	}
	return nil
}

type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return "no credentials: " + e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

// seenCredentials keeps the credentials that the environment gave last, for
// their source, and for keeping them out of messages.
type seenCredentials struct {
	mu   sync.Mutex
	last aws.Credentials
}

func (s *seenCredentials) note(creds aws.Credentials) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = creds
}

func (s *seenCredentials) get() aws.Credentials {
	if s == nil {
		return aws.Credentials{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// secrets are the texts that no message may hold.
func (c *connection) secrets() []string {
	last := c.seen.get()
	return []string{c.secretKey, c.accessKey, c.sessionToken, last.SecretAccessKey, last.AccessKeyID, last.SessionToken}
}

// CredentialsSource tells in words where the credentials come from, never what
// they are.
func (s *Store) CredentialsSource() string {
	if s.conn.accessKey != "" {
		return "the configuration"
	}
	return sourceName(s.conn.seen.get().Source)
}

// sourceName puts the SDK's names of its sources into words.
func sourceName(source string) string {
	if file, shared := strings.CutPrefix(source, "SharedConfigCredentials: "); shared {
		return "the shared profile in " + file
	}
	switch source {
	case "":
		return "none yet"
	case "EnvConfigCredentials":
		return "environment variables"
	case "WebIdentityCredentials":
		return "a web identity token file"
	case "CredentialsEndpointProvider":
		return "the container credentials endpoint (ECS)"
	case "EC2RoleProvider":
		return "EC2 instance metadata"
	case "AssumeRoleProvider":
		return "a role that the shared profile assumes"
	case "SSOProvider":
		return "single sign-on of the shared profile"
	case "ProcessProvider":
		return "a process that the shared profile names"
	}
	return source
}
