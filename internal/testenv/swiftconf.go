package testenv

import (
	_ "embed"
	"fmt"
	"os/user"
	"path/filepath"
	"strings"
	"time"
)

//go:embed openstack/swift_servers.py
var swiftProgram []byte

// configuration gives the files of the folder.
func (s *SwiftServer) configuration() (map[string]string, error) {
	me, err := user.Current()
	if err != nil {
		return nil, err
	}
	common := func(name string, port int) string {
		return fmt.Sprintf(`[DEFAULT]
bind_ip = 127.0.0.1
bind_port = %d
bind_timeout = 3
workers = 0
user = %s
swift_dir = %s
log_level = WARNING
log_name = %s
`, port, me.Username, s.folder, name)
	}
	cert, key, err := selfSigned()
	if err != nil {
		return nil, err
	}
	if s.settings.TLS {
		s.CAFile = filepath.Join(s.folder, "certificate.pem")
	}
	files := map[string]string{
		"certificate.pem":  cert,
		"key.pem":          key,
		"swift_servers.py": string(swiftProgram), // not swift.py, which would hide the package
		"swift.conf": `[swift-hash]
swift_hash_path_prefix = kedge
swift_hash_path_suffix = tests
[storage-policy:0]
name = Policy-0
default = yes
`,
	}
	for i, name := range []string{"account", "container", "object"} {
		files[name+".conf"] = common(name, s.ports[i+1]) + fmt.Sprintf(`devices = %[1]s/devices
mount_check = false
disable_fallocate = true
fallocate_reserve = 0
recon_cache_path = %[1]s
[pipeline:main]
pipeline = healthcheck %[2]s-server
[app:%[2]s-server]
use = egg:swift#%[2]s
[filter:healthcheck]
use = egg:swift#healthcheck
`, s.folder, name)
	}
	proxy := common("proxy", s.ports[0])
	if s.settings.TLS {
		proxy += fmt.Sprintf("cert_file = %s\nkey_file = %s\n", s.CAFile, filepath.Join(s.folder, "key.pem"))
	}
	files["proxy.conf"] = proxy + s.proxyPipeline()
	return files, nil
}

// proxyPipeline configures the proxy's filters. Without proxy-logging answers
// to HEAD carry a stray chunk.
func (s *SwiftServer) proxyPipeline() string {
	auth, names := s.tempauth(), "tempauth"
	if s.Keystone != nil {
		auth, names = s.Keystone.filters(), "authtoken keystoneauth"
	}
	var b strings.Builder
	fmt.Fprintf(&b, `[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck proxy-logging cache listing_formats bulk %s copy container-quotas account-quotas slo dlo versioned_writes proxy-logging proxy-server
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
[filter:cache]
paste.filter_factory = swift_servers:cache
%s`, names, auth)
	for name, egg := range map[string]string{
		"catch_errors": "catch_errors", "gatekeeper": "gatekeeper", "healthcheck": "healthcheck",
		"proxy-logging": "proxy_logging", "listing_formats": "listing_formats", "bulk": "bulk", "copy": "copy",
		"container-quotas": "container_quotas", "account-quotas": "account_quotas", "slo": "slo", "dlo": "dlo",
		"versioned_writes": "versioned_writes",
	} {
		fmt.Fprintf(&b, "[filter:%s]\nuse = egg:swift#%s\n", name, egg)
		if name == "versioned_writes" {
			b.WriteString("allow_versioned_writes = true\n")
		}
	}
	return b.String()
}

func (s *SwiftServer) tempauth() string {
	life := s.settings.TokenLife
	if life == 0 {
		life = 24 * time.Hour
	}
	return fmt.Sprintf(`[filter:tempauth]
use = egg:swift#tempauth
token_life = %d
user_test_tester = %s .admin
user_test_reader = %s
`, max(int(life/time.Second), 1), s.Key, s.ReaderKey)
}
