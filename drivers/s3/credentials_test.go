package s3

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
)

// bare takes everything out of the environment from which credentials could
// come.
func bare(t *testing.T) {
	t.Helper()
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	absent := filepath.Join(t.TempDir(), "absent")
	t.Setenv("AWS_CONFIG_FILE", absent)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", absent)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

func written(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// standIn is a service on loopback, in place of one that only a cloud has.
func standIn(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// handedOut is how the metadata endpoints of ECS and EC2 tell credentials.
func handedOut(w http.ResponseWriter, session testenv.S3Session) {
	_ = json.NewEncoder(w).Encode(map[string]any{
		"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": time.Now().UTC(), "Expiration": time.Now().UTC().Add(time.Hour),
		"AccessKeyId": session.AccessKey, "SecretAccessKey": session.SecretKey, "Token": session.SessionToken,
		"RoleArn": "arn:aws:iam::000000000000:role/archive",
	})
}

// tokenService is STS as Kubernetes uses it: a token of the cluster for
// credentials.
func tokenService(t *testing.T, session testenv.S3Session, token string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil || r.Form.Get("Action") != "AssumeRoleWithWebIdentity" || r.Form.Get("RoleArn") != "arn:aws:iam::000000000000:role/archive" || r.Form.Get("WebIdentityToken") != token {
			t.Errorf("asked for %v, %v", r.Form, err)
			w.WriteHeader(http.StatusForbidden)
			return
		}
		escaped := func(s string) string {
			var b strings.Builder
			_ = xml.EscapeText(&b, []byte(s))
			return b.String()
		}
		_, _ = fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>
			<AssumedRoleUser><Arn>arn:aws:sts::000000000000:assumed-role/archive/x</Arn><AssumedRoleId>X:x</AssumedRoleId></AssumedRoleUser>
			<Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><SessionToken>%s</SessionToken><Expiration>%s</Expiration></Credentials>
			</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`,
			escaped(session.AccessKey), escaped(session.SecretKey), escaped(session.SessionToken), time.Now().UTC().Add(time.Hour).Format(time.RFC3339))
	}
}

// metadataService is EC2's, version 2: every question needs a token that a PUT
// gave.
func metadataService(t *testing.T, session testenv.S3Session) http.HandlerFunc {
	const token, role = "token-of-this-host", "archive-role"
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token":
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
			_, _ = io.WriteString(w, token)
		case r.Header.Get("X-Aws-Ec2-Metadata-Token") != token:
			t.Errorf("%s %s without the token", r.Method, r.URL)
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/latest/meta-data/iam/security-credentials/":
			_, _ = io.WriteString(w, role)
		case r.URL.Path == "/latest/meta-data/iam/security-credentials/"+role:
			handedOut(w, session)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}
}

// TestCredentialsSources takes credentials from each of the places that real
// deployments have, all of them for a real server, which accepts no others.
func TestCredentialsSources(t *testing.T) {
	server := testenv.MinIO(t)
	bucket := server.Bucket(t)
	session := server.Session(t, "")
	container := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/role" || r.Header.Get("Authorization") != "pod-token" {
			t.Errorf("%s with Authorization %q", r.URL, r.Header.Get("Authorization"))
		}
		handedOut(w, session)
	}
	profile := fmt.Sprintf("[other]\naws_access_key_id = no\naws_secret_access_key = no\n[archive]\naws_access_key_id = %s\naws_secret_access_key = %s\naws_session_token = %s\n",
		session.AccessKey, session.SecretKey, session.SessionToken)
	tests := []struct {
		name   string
		set    func(t *testing.T)
		source string
	}{
		{"environment", func(t *testing.T) {
			t.Setenv("AWS_ACCESS_KEY_ID", session.AccessKey)
			t.Setenv("AWS_SECRET_ACCESS_KEY", session.SecretKey)
			t.Setenv("AWS_SESSION_TOKEN", session.SessionToken)
		}, "environment variables"},
		{"shared profile", func(t *testing.T) {
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", written(t, "credentials", profile))
			t.Setenv("AWS_PROFILE", "archive")
		}, "the shared profile in "},
		{"web identity token file", func(t *testing.T) {
			t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", written(t, "token", "token-of-the-cluster"))
			t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::000000000000:role/archive")
			t.Setenv("AWS_ENDPOINT_URL_STS", standIn(t, tokenService(t, session, "token-of-the-cluster")))
		}, "a web identity token file"},
		{"ECS", func(t *testing.T) {
			t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", standIn(t, container)+"/role")
			t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "pod-token")
		}, "the container credentials endpoint (ECS)"},
		{"EC2", func(t *testing.T) {
			t.Setenv("AWS_EC2_METADATA_DISABLED", "")
			t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", standIn(t, metadataService(t, session)))
		}, "EC2 instance metadata"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bare(t)
			tt.set(t)
			empty, endpoint := "", server.URL
			for vocabulary, o := range map[string]Options{
				"Anchore":  {IAMAuto: true, URL: server.URL, Bucket: bucket},
				"registry": {RegistryAccessKey: &empty, RegistrySecretKey: &empty, RegionEndpoint: &endpoint, Region: "us-east-1", Bucket: bucket},
			} {
				s := opened(t, o)
				uri := uriOf(t, s, vocabulary)
				mustPut(t, s, uri, []byte("with what was handed out"))
				mustHold(t, s, uri, []byte("with what was handed out"))
				got := s.CredentialsSource()
				if !strings.HasPrefix(got, tt.source) {
					t.Errorf("%s: the source is %q, want %q", vocabulary, got, tt.source)
				}
				printed := fmt.Sprintf("%s %+v %#v", got, s, *s)
				echoed := s.fail("get", "", errors.New(session.AccessKey+" "+session.SecretKey+" "+session.SessionToken)).Err.Error()
				for _, secret := range []string{session.SecretKey, session.SessionToken, session.AccessKey} {
					if strings.Contains(printed, secret) || strings.Contains(echoed, secret) {
						t.Errorf("%s: a secret is printed", vocabulary)
					}
				}
			}
		})
	}
}

// TestCredentialsFail: what hands out credentials refuses or is not there.
func TestCredentialsFail(t *testing.T) {
	server := testenv.MinIO(t)
	refusing := func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `<ErrorResponse><Error><Code>AccessDenied</Code><Message>Not authorized to perform sts:AssumeRoleWithWebIdentity</Message></Error></ErrorResponse>`)
	}
	tests := []struct {
		name     string
		set      func(t *testing.T)
		mentions string
	}{
		{"token file missing", func(t *testing.T) {
			t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent/token")
			t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::000000000000:role/archive")
		}, "no such file"},
		{"role missing", func(t *testing.T) {
			t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent/token")
		}, "role ARN is not set"},
		{"refused by STS", func(t *testing.T) {
			t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", written(t, "token", "x"))
			t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::000000000000:role/archive")
			t.Setenv("AWS_ENDPOINT_URL_STS", standIn(t, refusing))
		}, "AssumeRoleWithWebIdentity"},
		{"profile missing", func(t *testing.T) { t.Setenv("AWS_PROFILE", "archive") }, "archive"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bare(t)
			tt.set(t)
			_, err := Open(t.Context(), Options{IAMAuto: true, URL: server.URL, Bucket: "whatever"}, Tuning{})
			wantKind(t, err, drivers.Denied, "no credentials found", tt.mentions)
		})
	}
}

// TestSessionToken: temporary keys are nothing without their token.
func TestSessionToken(t *testing.T) {
	server := testenv.MinIO(t)
	session := server.Session(t, "")
	o := optionsFor(server, server.Bucket(t))
	o.AccessKey, o.SecretKey = session.AccessKey, session.SecretKey
	_, err := Open(t.Context(), o, Tuning{})
	wantKind(t, err, drivers.Denied)
	o.SessionToken = session.SessionToken
	s := opened(t, o)
	mustPut(t, s, uriOf(t, s, "k"), []byte("x"))
	if got := s.CredentialsSource(); got != "the configuration" {
		t.Errorf("the source is %q", got)
	}
	if echoed := s.fail("get", "", errors.New("token "+session.SessionToken)).Err.Error(); echoed != "token ***" {
		t.Error("the token is echoed")
	}
}

// TestAmbientRegion: the token service is asked where we run, whatever the S3
// bucket's region; the S3 bucket is asked where the configuration says.
func TestAmbientRegion(t *testing.T) {
	bare(t)
	t.Setenv("AWS_REGION", "eu-west-3")
	server, f := playAmazon(t)
	createAt(t, server, "archive")
	t.Setenv("AWS_ACCESS_KEY_ID", server.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", server.SecretKey)
	if _, err := f.takenFor(t, Options{IAMAuto: true, Region: playedRegion, Bucket: "archive"}); err != nil {
		t.Fatal(err)
	}
	for _, r := range f.requests(anyRequest) {
		if r.Host != "archive.s3.us-west-2.amazonaws.com" || !strings.Contains(r.Header.Get("Authorization"), "/us-west-2/s3/") {
			t.Errorf("a request to %s", r.Host)
		}
	}
}

// TestStrayCharacters: what does not show in a credential is named, wherever it
// comes from; nothing is stripped, and nothing of it is told.
func TestStrayCharacters(t *testing.T) {
	good := Options{AccessKey: "AKhush", SecretKey: "SKhush", URL: "http://localhost:9000", Bucket: "b"}
	registry := Options{RegistryAccessKey: ptr("AKhush"), RegistrySecretKey: ptr("SKhush"), Region: "eu-west-1", Bucket: "b"}
	for _, tt := range []struct {
		base   Options
		change func(*Options)
		want   string
	}{
		{good, func(o *Options) { o.AccessKey += "\n" }, "access_key: ends with a line break"},
		{good, func(o *Options) { o.SecretKey += "\r\n" }, "secret_key: ends with a line break"},
		{good, func(o *Options) { o.SecretKey = "SK\x00hush" }, "secret_key: holds a NUL"},
		{good, func(o *Options) { o.AccessKey = "AK hush" }, "access_key: holds a space"},
		{good, func(o *Options) { o.SessionToken = "SThush\n" }, "sessiontoken: ends with a line break"},
		{registry, func(o *Options) { o.RegistryAccessKey = ptr("AKhush\n") }, "accesskey: ends with a line break"},
		{registry, func(o *Options) { o.RegistrySecretKey = ptr("\tSKhush") }, "secretkey: begins with a tab"},
	} {
		o := tt.base
		tt.change(&o)
		err := o.Validate()
		wantKind(t, err, drivers.Config, tt.want, "Kubernetes Secret")
		if err != nil && strings.Contains(err.Error(), "hush") {
			t.Errorf("it tells the secret: %v", err)
		}
	}
	good.SecretKey = "SK hush" // signs as well as any other
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
}

// TestStrayCharactersInEnvironment: the same, of what iamauto finds.
func TestStrayCharactersInEnvironment(t *testing.T) {
	server := testenv.MinIO(t)
	t.Setenv("AWS_ACCESS_KEY_ID", server.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", server.SecretKey+"\n")
	_, err := Open(t.Context(), Options{IAMAuto: true, URL: server.URL, Bucket: server.Bucket(t)}, Tuning{})
	wantKind(t, err, drivers.Config, "the secret key from environment variables ends with a line break", "Kubernetes Secret")
}
