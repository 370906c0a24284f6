package s3

import (
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
)

func TestProbe(t *testing.T) {
	onEach(t, func(t *testing.T, server *testenv.S3Server) {
		s := fresh(t, server)
		report, err := s.Probe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if report.RoundTrip <= 0 || report.RoundTrip > time.Minute || report.ClockSkew != 0 {
			t.Errorf("round trip %v, skew %v", report.RoundTrip, report.ClockSkew)
		}
		report.RoundTrip = 0
		want := Report{
			Endpoint: server.URL, Region: "us-east-1", Credentials: "the configuration", Bucket: s.bucket,
			MD5ETag: true, ChecksMD5: true, ChecksCRC32C: true, MultiDelete: true,
		}
		if len(report.Denied) > 0 {
			t.Errorf("denied: %v", report.Denied)
		}
		if report.Denied = nil; !reflect.DeepEqual(report, want) {
			t.Errorf("report %+v, want %+v", report, want)
		}
		mustBeEmpty(t, s, server)
	})
}

func mustBeEmpty(t *testing.T, s *Store, server *testenv.S3Server) {
	t.Helper()
	if err := s.List(t.Context(), func(uri string, _ drivers.Info) error { t.Errorf("%s is left", uri); return nil }); err != nil {
		t.Error(err)
	}
	if left := uploads(t, server, s.bucket); len(left) > 0 {
		t.Errorf("unfinished uploads: %q", left)
	}
}

// TestProbeOtherAnswers lets a server be worse than the real ones are.
func TestProbeOtherAnswers(t *testing.T) {
	server := testenv.MinIO(t)
	tests := []struct {
		name    string
		instead func(http.ResponseWriter, *http.Request) bool
		change  func(*http.Response) error
		right   func(Report) bool
	}{
		{"clock ahead", nil, func(r *http.Response) error {
			r.Header.Set("Date", time.Now().Add(10*time.Minute).UTC().Format(http.TimeFormat))
			return nil
		}, func(r Report) bool { return r.ClockSkew >= 598*time.Second && r.ClockSkew <= 600*time.Second }},
		{"clock behind", nil, func(r *http.Response) error {
			r.Header.Set("Date", time.Now().Add(-10*time.Minute).UTC().Format(http.TimeFormat))
			return nil
		}, func(r Report) bool { return r.ClockSkew >= -602*time.Second && r.ClockSkew <= -599*time.Second }},
		{"no Date", nil, func(r *http.Response) error { r.Header.Set("Date", "yesterday"); return nil }, func(r Report) bool { return r.ClockSkew == 0 }},
		{"ETag of its own", nil, func(r *http.Response) error {
			r.Header.Set("Etag", `"`+strings.Repeat("0", 32)+`"`)
			return nil
		}, func(r Report) bool { return !r.MD5ETag }},
		{"no DeleteObjects", func(w http.ResponseWriter, r *http.Request) bool {
			_, many := r.URL.Query()["delete"]
			if many {
				w.WriteHeader(http.StatusNotImplemented)
			}
			return many
		}, nil, func(r Report) bool { return !r.MultiDelete }},
		{"no location", func(w http.ResponseWriter, r *http.Request) bool {
			_, location := r.URL.Query()["location"]
			if location {
				w.WriteHeader(http.StatusNotImplemented)
			}
			return location
		}, nil, func(r Report) bool { return r.Region == "us-east-1" && len(r.Denied) == 0 }},
		{"another location", func(w http.ResponseWriter, r *http.Request) bool {
			_, location := r.URL.Query()["location"]
			if location {
				_, _ = io.WriteString(w, `<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">EU</LocationConstraint>`)
			}
			return location
		}, nil, func(r Report) bool { return r.Region == "eu-west-1" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := behind(t, server, tt.instead, tt.change)
			report, err := s.Probe(t.Context())
			if err != nil || !tt.right(report) {
				t.Errorf("report %+v, %v", report, err)
			}
			mustBeEmpty(t, s, server)
		})
	}
}

// TestProbeFails half-way and leaves nothing behind.
func TestProbeFails(t *testing.T) {
	server := testenv.MinIO(t)
	s := behind(t, server, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "kedge-probe") || r.URL.Query().Get("uploadId") != "" {
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}, nil)
	_, err := s.Probe(t.Context())
	wantKind(t, err, drivers.Temporary, "get ", "503")
	mustBeEmpty(t, s, server)
}
