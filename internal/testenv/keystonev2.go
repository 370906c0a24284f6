package testenv

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TokensV2 answers as Keystone's version 2.0 did, which no Keystone does any
// more: POST /v2.0/tokens only. It hands out tokens of a Swift with tempauth.
type TokensV2 struct {
	// URL has no version in it.
	URL string
	// User and Password are good for Tenant, and for the id TenantID.
	User, Password, Tenant, TenantID string
}

// TokensV2 starts such a service in front of a Swift with tempauth; it ends
// with the test.
func (s *SwiftServer) TokensV2(tb testing.TB) *TokensV2 {
	tb.Helper()
	if s.AuthVersion != 1 {
		tb.Fatal("testenv: tokens of version 2 are handed out for a Swift with tempauth only")
	}
	t := &TokensV2{User: "anchore", Password: randomName("password"), Tenant: "archive", TenantID: randomName("tenant")}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v2.0/tokens", func(w http.ResponseWriter, r *http.Request) { t.answer(w, r, s) })
	front := httptest.NewServer(mux)
	tb.Cleanup(front.Close)
	t.URL = front.URL
	return t
}

// tokenRequest is what a client of version 2.0 sends.
type tokenRequest struct {
	Auth struct {
		PasswordCredentials struct {
			Username, Password string
		}
		TenantName, TenantID string
	}
}

func (t *TokensV2) answer(w http.ResponseWriter, r *http.Request, s *SwiftServer) {
	var asked tokenRequest
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	given := asked.Auth.PasswordCredentials
	if given.Username != t.User || given.Password != t.Password ||
		asked.Auth.TenantName != t.Tenant && asked.Auth.TenantID != t.TenantID {
		http.Error(w, "Invalid user / password", http.StatusUnauthorized)
		return
	}
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, s.AuthURL, nil)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	req.Header.Set("X-Auth-User", s.User)
	req.Header.Set("X-Auth-Key", s.Key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	account := resp.Header.Get("X-Storage-Url")
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(object{"access": object{
		"token": object{"id": resp.Header.Get("X-Auth-Token"), "expires": "2100-01-01T00:00:00Z"},
		"serviceCatalog": []object{{"type": "object-store", "name": "swift", "endpoints": []object{
			{"region": "RegionOne", "publicURL": account, "internalURL": account},
		}}},
	}}) // the client has gone if this fails
}
