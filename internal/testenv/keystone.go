package testenv

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/kedge/kedge/internal/testenv/tools"
)

//go:embed openstack/keystone_server.py
var keystoneProgram []byte

// KeystoneServer is a running Keystone (version 3) whose catalog names one
// Swift, in the region RegionOne; what it names in RegionTwo does not answer.
type KeystoneServer struct {
	// URL ends in /v3.
	URL string
	// User has all rights on Project; Reader has a role on it that Swift gives
	// no rights. All are in the domain default. A user and a project of the
	// same names, with OtherPassword, are in the domain OtherDomain.
	User, Password, Project    string
	Reader, ReaderPassword     string
	OtherDomain, OtherPassword string
	// UserID and ProjectID are Keystone's ids of User and Project.
	UserID, ProjectID string

	adminPassword string
	folder        string
	process       *process
	token         string
}

var sharedKeystoneSwift shared[*SwiftServer]

// SwiftKeystone returns the shared Swift that takes Keystone's tokens (version
// 3). Give a test a Container of its own in it.
func SwiftKeystone(tb testing.TB) *SwiftServer {
	tb.Helper()
	return sharedKeystoneSwift.get(tb, func(env *environment) (*SwiftServer, error) {
		k, err := env.newKeystone()
		if err != nil {
			return nil, err
		}
		env.atEnd(k.discard)
		s, err := env.newSwift(SwiftSettings{}, k)
		if err == nil {
			env.atEnd(s.discard)
		}
		return s, err
	})
}

func (e *environment) newKeystone() (*KeystoneServer, error) {
	python, err := tools.Keystone()
	if err != nil {
		return nil, err
	}
	folder, err := e.serverFolder("keystone")
	if err != nil {
		return nil, err
	}
	k := &KeystoneServer{
		User: "anchore", Password: randomName("password"), Project: "archive",
		Reader: "reader", ReaderPassword: randomName("password"),
		OtherDomain: "corp", OtherPassword: randomName("password"),
		adminPassword: randomName("password"), folder: folder,
	}
	err = k.install(python)
	if err == nil {
		err = onFreePort(func(port int) error { return k.start(python, port) })
	}
	if err == nil {
		err = k.fill(context.Background())
	}
	if err != nil {
		k.discard()
		return nil, err
	}
	return k, nil
}

// install makes the database and the keys.
func (k *KeystoneServer) install(python string) error {
	for _, repository := range []string{"fernet", "credential"} {
		dir := filepath.Join(k.folder, repository)
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		for _, number := range []string{"0", "1"} { // 1 signs, 0 is the next
			var key [32]byte
			_, _ = rand.Read(key[:]) // never fails
			text := base64.URLEncoding.EncodeToString(key[:])
			if err := os.WriteFile(filepath.Join(dir, number), []byte(text), 0o600); err != nil {
				return err
			}
		}
	}
	config := fmt.Sprintf(`[DEFAULT]
use_stderr = true
default_log_levels = keystone=WARNING
[database]
connection = sqlite:///%[1]s/keystone.db
[token]
provider = fernet
[fernet_tokens]
key_repository = %[1]s/fernet
[fernet_receipts]
key_repository = %[1]s/fernet
[credential]
key_repository = %[1]s/credential
[cache]
enabled = true
backend = dogpile.cache.memory
[identity]
password_hash_rounds = 4
`, k.folder)
	if err := os.WriteFile(filepath.Join(k.folder, "keystone.conf"), []byte(config), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(k.folder, "keystone_server.py"), keystoneProgram, 0o600); err != nil {
		return err
	}
	if err := k.manage(python, "db_sync"); err != nil {
		return err
	}
	return k.manage(python, "bootstrap", "--bootstrap-password", k.adminPassword)
}

func (k *KeystoneServer) manage(python string, args ...string) error {
	all := append([]string{"/usr/bin/keystone-manage", "--config-file", filepath.Join(k.folder, "keystone.conf")}, args...)
	if out, err := k.command(python, all...).CombinedOutput(); err != nil {
		return fmt.Errorf("keystone-manage %s: %w\n%s", args[0], err, out[max(0, len(out)-tailBytes):])
	}
	return nil
}

func (k *KeystoneServer) command(python string, args ...string) *exec.Cmd {
	cmd := exec.Command(python, args...)
	cmd.Dir = k.folder
	cmd.Env = []string{"HOME=" + k.folder, "PATH=" + os.Getenv("PATH"), "PYTHONDONTWRITEBYTECODE=1"}
	return cmd
}

func (k *KeystoneServer) start(python string, port int) error {
	k.URL = fmt.Sprintf("http://127.0.0.1:%d/v3", port)
	p, err := startProcess("keystone", k.command(python, filepath.Join(k.folder, "keystone_server.py"), k.folder, fmt.Sprint(port)),
		filepath.Join(k.folder, "server.log"))
	if err != nil {
		return err
	}
	k.process = p
	err = awaitReady(p, k.authenticate)
	if err != nil {
		p.stop(syscall.SIGKILL)
	}
	return err
}

func (k *KeystoneServer) discard() {
	if k.process != nil {
		k.process.stop(syscall.SIGKILL)
	}
	_ = os.RemoveAll(k.folder)
}

type object = map[string]any

// authenticate gets the administrator's token.
func (k *KeystoneServer) authenticate(ctx context.Context) error {
	header, _, err := k.call(ctx, http.MethodPost, "/auth/tokens", passwordAuth("admin", k.adminPassword, "admin"), "")
	if err == nil {
		k.token = header.Get("X-Subject-Token")
	}
	return err
}

func passwordAuth(user, password, project string) object {
	domain := object{"id": "default"}
	return object{"auth": object{
		"identity": object{"methods": []string{"password"}, "password": object{
			"user": object{"name": user, "password": password, "domain": domain},
		}},
		"scope": object{"project": object{"name": project, "domain": domain}},
	}}
}

// call makes one request of Keystone's API.
func (k *KeystoneServer) call(ctx context.Context, method, path string, body object, token string) (http.Header, object, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, nil, err
	}
	if body == nil {
		text = nil
	}
	req, err := http.NewRequestWithContext(ctx, method, k.URL+path, bytes.NewReader(text))
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("X-Auth-Token", token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		return nil, nil, fmt.Errorf("keystone: %s %s: %s", method, path, resp.Status)
	}
	answer := object{}
	if resp.StatusCode == http.StatusNoContent {
		return resp.Header, answer, nil
	}
	return resp.Header, answer, json.NewDecoder(resp.Body).Decode(&answer)
}

// make creates one thing of a kind and returns its id.
func (k *KeystoneServer) make(ctx context.Context, kind string, with object) (string, error) {
	_, answer, err := k.call(ctx, http.MethodPost, "/"+kind+"s", object{kind: with}, k.token)
	if err != nil {
		return "", err
	}
	made, _ := answer[kind].(object)
	id, _ := made["id"].(string)
	if id == "" {
		return "", errors.New("keystone: no id for a new " + kind)
	}
	return id, nil
}

// fill makes users, projects and roles.
func (k *KeystoneServer) fill(ctx context.Context) error {
	corp, err := k.make(ctx, "domain", object{"name": k.OtherDomain})
	if err != nil {
		return err
	}
	roles := map[string]string{}
	for _, role := range []string{"swiftoperator", "onlooker"} {
		if roles[role], err = k.make(ctx, "role", object{"name": role}); err != nil {
			return err
		}
	}
	k.ProjectID, err = k.make(ctx, "project", object{"name": k.Project, "domain_id": "default"})
	if err != nil {
		return err
	}
	other, err := k.make(ctx, "project", object{"name": k.Project, "domain_id": corp})
	if err != nil {
		return err
	}
	for _, one := range []struct{ name, password, domain, project, role string }{
		{k.Reader, k.ReaderPassword, "default", k.ProjectID, "onlooker"},
		{k.User, k.OtherPassword, corp, other, "swiftoperator"},
		{k.User, k.Password, "default", k.ProjectID, "swiftoperator"},
	} {
		id, err := k.make(ctx, "user", object{"name": one.name, "password": one.password, "domain_id": one.domain})
		if err != nil {
			return err
		}
		path := "/projects/" + one.project + "/users/" + id + "/roles/" + roles[one.role]
		if _, _, err := k.call(ctx, http.MethodPut, path, nil, k.token); err != nil {
			return err
		}
		k.UserID = id // of the last
	}
	return nil
}

// setEndpoint makes the catalog name the object store, and Keystone itself,
// which the object store looks up there.
func (k *KeystoneServer) setEndpoint(target string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for _, region := range []string{"RegionOne", "RegionTwo"} {
		if _, _, err := k.call(ctx, http.MethodGet, "/regions/"+region, nil, k.token); err == nil {
			continue
		}
		if _, err := k.make(ctx, "region", object{"id": region}); err != nil {
			return err
		}
	}
	services := map[string]string{}
	for _, kind := range []string{"identity", "object-store"} {
		var err error
		if services[kind], err = k.make(ctx, "service", object{"name": kind, "type": kind}); err != nil {
			return err
		}
	}
	const nowhere = "http://127.0.0.1:9/v1/AUTH_nobody" // discard: nothing listens there
	for _, one := range []struct{ service, region, kind, url string }{
		{"identity", "RegionOne", "public", k.URL}, {"identity", "RegionOne", "internal", k.URL},
		{"object-store", "RegionOne", "public", target}, {"object-store", "RegionOne", "internal", target},
		{"object-store", "RegionOne", "admin", nowhere}, {"object-store", "RegionTwo", "public", nowhere},
	} {
		_, err := k.make(ctx, "endpoint", object{
			"service_id": services[one.service], "region_id": one.region, "interface": one.kind, "url": one.url,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// filters configures the proxy's part of Keystone.
func (k *KeystoneServer) filters() string {
	return fmt.Sprintf(`[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
www_authenticate_uri = %[1]s
auth_url = %[1]s
interface = internal
auth_type = password
username = admin
password = %[2]s
project_name = admin
user_domain_id = default
project_domain_id = default
delay_auth_decision = true
cache = swift.cache
service_token_roles_required = true
[filter:keystoneauth]
use = egg:swift#keystoneauth
operator_roles = swiftoperator
`, k.URL, k.adminPassword)
}

// ApplicationCredential makes an application credential of User for Project.
func (k *KeystoneServer) ApplicationCredential(tb testing.TB) (id, secret string) {
	tb.Helper()
	ctx := tb.Context()
	header, _, err := k.call(ctx, http.MethodPost, "/auth/tokens", passwordAuth(k.User, k.Password, k.Project), "")
	if err != nil {
		tb.Fatalf("testenv: %v", err)
	}
	secret = randomName("secret")
	path := "/users/" + url.PathEscape(k.UserID) + "/application_credentials"
	_, answer, err := k.call(ctx, http.MethodPost, path,
		object{"application_credential": object{"name": randomName("app"), "secret": secret}}, header.Get("X-Subject-Token"))
	if err != nil {
		tb.Fatalf("testenv: application credential: %v", err)
	}
	made, _ := answer["application_credential"].(object)
	id, _ = made["id"].(string)
	return id, secret
}

// trusting gives a transport that accepts the certificates in a PEM file, which
// may be "".
func trusting(file string) (*http.Transport, error) {
	t := &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute}
	if file == "" {
		return t, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	t.TLSClientConfig = &tls.Config{RootCAs: roots}
	return t, nil
}
