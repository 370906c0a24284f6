package config

import (
	"strings"
	"testing"
)

var (
	s3Keys = []string{"access_key", "secret_key", "iamauto", "url", "region", "bucket", "create_bucket", "prefix", "accesskey", "secretkey",
		"sessiontoken", "regionendpoint", "rootdirectory", "secure", "skipverify", "v4auth", "forcepathstyle", "chunksize", "encrypt", "keyid",
		"storageclass", "objectacl", "useragent", "usedualstack", "accelerate", "usefipsendpoint"}
	swiftKeys = []string{"container", "create_container", "anchore_key_prefix", "auth", "user", "key", "auth_version", "os_auth_url",
		"os_auth_type", "os_username", "os_password", "os_user_id", "os_user_domain_name", "os_user_domain_id", "os_project_name",
		"os_project_id", "os_project_domain_name", "os_project_domain_id", "os_tenant_name", "os_tenant_id", "os_application_credential_id",
		"os_application_credential_secret", "os_auth_token", "os_storage_url", "os_region_name", "os_endpoint_type", "snet", "os_cacert",
		"os_cert", "os_key", "insecure", "retries", "starting_backoff", "max_backoff", "timeout", "retry_on_ratelimit", "segment_size",
		"segment_container", "use_slo"}
)

// A misspelt key is found, and the key that was meant.
func TestNearMiss(t *testing.T) {
	compression := []string{"enabled", "min_size_kbytes"}
	for _, test := range []struct {
		known     []string
		key, want string
	}{
		{s3Keys, "acess_key", "access_key"}, {s3Keys, "acces_key", "access_key"}, {s3Keys, "secret_kye", "secret_key"},
		{s3Keys, "secert_key", "secret_key"}, {s3Keys, "secret-key", "secret_key"}, {s3Keys, "SecretKey", "secret_key"},
		{s3Keys, "create_buket", "create_bucket"}, {s3Keys, "createbucket", "create_bucket"}, {s3Keys, "bukcet", "bucket"},
		{s3Keys, "buckett", "bucket"}, {s3Keys, "ulr", "url"}, {s3Keys, "regoin", "region"}, {s3Keys, "prefx", "prefix"},
		{s3Keys, "iam_auto", "iamauto"}, {s3Keys, "region_endpoint", "regionendpoint"}, {s3Keys, "root_directory", "rootdirectory"},
		{s3Keys, "chunk_size", "chunksize"}, {s3Keys, "skip_verify", "skipverify"}, {s3Keys, "forcepathsyle", "forcepathstyle"},
		{compression, "min_size_kb", "min_size_kbytes"}, {compression, "min_size_kbyte", "min_size_kbytes"}, {compression, "enable", "enabled"},
		{storeKeys, "compresion", "compression"}, {storeKeys, "storage_drive", "storage_driver"}, {storeKeys, "verify_content_digest", "verify_content_digests"},
		{swiftKeys, "os_usrname", "os_username"}, {swiftKeys, "contaner", "container"}, {swiftKeys, "auth_verison", "auth_version"},
		{swiftKeys, "os_project_domain", "os_project_domain_id"}, {swiftKeys, "anchore_keyprefix", "anchore_key_prefix"},
		{databaseKeys, "db_conect", "db_connect"}, {databaseKeys, "pasword", "password"}, {databaseKeys, "db_connect_arg", "db_connect_args"},
		{knownParameters(), "sslmod", "sslmode"}, {knownParameters(), "ssl_mode", "sslmode"}, {knownParameters(), "sslrootcrt", "sslrootcert"},
		{knownParameters(), "target_session_attr", "target_session_attrs"},
		{s3Keys, "access_key:AKIAIOSFODNN7EXAMPLE", "access_key"},
	} {
		if got := nearMiss(test.key, test.known); got != test.want {
			t.Errorf("%s: %q, want %s", test.key, got, test.want)
		}
	}
}

// Other programs' keys were not meant for us.
func TestForeignKeysAreNoNearMisses(t *testing.T) {
	for _, list := range []struct {
		known []string
		keys  string
	}{
		{s3Keys, `multipartcopychunksize multipartcopymaxconcurrency multipartcopythresholdsize loglevel logLevel objectownership
			aws_access_key_id aws_secret_access_key aws_session_token path_style aws_signature_version enable_signature_v4_streaming provider
			endpoint host use_iam_profile proxy_download parallelwalk maxrequestspersecond maxretries sse_algorithm sse_customer_key
			signature_version bucket_name addressing_style checksum_disabled disable_ssl ca_bundle profile role_arn external_id acl kms_key_id
			multipart_threshold max_concurrency connect_timeout read_timeout retries unittest session`},
		{swiftKeys, `verbose debug info force_auth_retry os_service_type auth_type sync_to sync_from meta header read_acl write_acl sync_key
			container_threads object_dd_threads object_uu_threads segment_threads checksum shuffle ignore_checksum out_directory no_download
			remove_prefix skip_identical versions marker prefix delimiter leave_segments changed fail_fast yes_all dir_marker object_name
			out_file end_marker query_string http_proxy os_identity_api_version os_system_scope os_application_credential_name`},
		{storeKeys, `direct_access runtime_compliance migrate_from_storage_driver archive shards object_store_bucket`},
		{[]string{"enabled", "min_size_kbytes"}, `level algorithm type`},
		{databaseKeys, `username dbname hostname ssl timeout pool_size max_overflow driver engine url iam_auth db_pool_recycle schema`},
		{catalogKeys, `enabled require_auth endpoint_hostname listen port analysis_queue_priority runtime_compliance analysis_archive
			document_views cycle_timer_seconds cycle_timers event_log image_gc down_analyzer_task_requeue ssl_enable max_request_threads`},
		{knownParameters(), `pool_size charset async_fallback prepared_statement_cache_size server_settings command_timeout ssl_context
			unix_sock tcp_nodelay service_name`},
	} {
		for _, key := range strings.Fields(list.keys) {
			if near := nearMiss(key, list.known); near != "" {
				t.Errorf("%s is taken for %s", key, near)
			}
		}
	}
}

// A key of another program is told once, with its line and without its value.
func TestUnknownKeysAreWarnings(t *testing.T) {
	f, err := Parse("c.yaml", []byte(catalogSection("object_store:", "  shards: 3", "  storage_driver:", "    name: s3", "    labels: {a: hunter2}",
		"    config:", "      bucket: b", "      logLevel: debug", "      sse_customer_key: hunter2")))
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	f.OnWarning = func(w Warning) { told = append(told, w.String()) }
	for range 2 {
		s, err := f.ObjectStore()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Options.Decode(&s3Options{}); err != nil {
			t.Fatal(err)
		}
	}
	const at = "services.catalog.object_store."
	want := []string{"c.yaml:4: " + at + "shards: unknown key", "c.yaml:7: " + at + "storage_driver.labels: unknown key",
		"c.yaml:10: " + at + "storage_driver.config.logLevel: unknown key", "c.yaml:11: " + at + "storage_driver.config.sse_customer_key: unknown key"}
	if len(told) != len(want) || len(f.Warnings()) != len(want) {
		t.Fatalf("told %q", told)
	}
	for i, w := range want {
		if !strings.HasPrefix(told[i], w+" (known keys: ") || strings.Contains(told[i], "hunter2") {
			t.Errorf("got  %s\nwant %s", told[i], w)
		}
	}
}
