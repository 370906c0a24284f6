package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The parameters of a database URL, which are libpq's and those of the drivers
// that SQLAlchemy knows.
var (
	// ownParameters mean something to kedge itself.
	ownParameters = []string{"ssl", "sslmode", "requiressl", "sslrootcert", "sslcert", "sslkey", "timeout", "connect_timeout",
		"host", "port", "dbname", "user", "password", "fallback_application_name"}
	// passedOn are given to the server or to pgx, with the values that they may
	// have; nil for any.
	passedOn = map[string][]string{
		"application_name": nil, "options": nil, "passfile": nil, "sslpassword": nil,
		"target_session_attrs": {"any", "read-write", "read-only", "primary", "standby", "prefer-standby"},
		"sslsni":               {"0", "1"},
		"sslnegotiation":       {"postgres", "direct"},
		"sslcertmode":          {"disable", "allow", "require"},
		"channel_binding":      {"disable", "prefer", "require"},
		"require_auth":         nil,
	}
	// without are those that kedge does without: a connection is kept alive, and
	// its text is UTF-8, whatever they say.
	without = []string{"client_encoding", "encoding", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count",
		"tcp_keepalive", "tcp_user_timeout"}
	// notFollowed are libpq's other ones, with which a connection may differ from
	// what was asked for.
	notFollowed = []string{"hostaddr", "service", "servicefile", "replication", "requirepeer",
		"gssencmode", "gsslib", "gssdelegation", "krbsrvname", "sslcompression", "sslcrl", "sslcrldir", "sslkeylogfile",
		"ssl_min_protocol_version", "ssl_max_protocol_version", "min_protocol_version", "max_protocol_version", "load_balance_hosts",
		"scram_client_key", "scram_server_key", "authtype", "tty", "oauth_issuer", "oauth_client_id", "oauth_client_secret", "oauth_scope"}
	// demands are those of notFollowed that choose the server, or how it proves who it
	// is: to connect without them would be another connection than was asked for. The
	// values are those with which they demand nothing that kedge does not do.
	demands = map[string][]string{
		"hostaddr": {""}, "service": {""}, "servicefile": {""}, "requirepeer": {""}, "sslcrl": {""}, "sslcrldir": {""},
		"gssencmode":               {"", "disable", "prefer"},
		"ssl_min_protocol_version": {"", "TLSv1", "TLSv1.1", "TLSv1.2"},
	}
	sslModes = []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}
)

// knownParameters lists those that have an effect, sorted.
func knownParameters() []string {
	list := slices.Clone(ownParameters)
	for key := range passedOn {
		list = append(list, key)
	}
	slices.Sort(list)
	return list
}

// setParameter takes over one of the URL's parameters or of db_connect_args. It
// gives what is wrong with it, "" for nothing. What changes nothing is a warning.
func (d *Database) setParameter(key, value string) string {
	allowed, passed := passedOn[key]
	switch {
	case slices.Contains(ownParameters, key):
		return d.setOwn(key, value)
	case passed && allowed != nil && !slices.Contains(allowed, value):
		return "wants one of " + strings.Join(allowed, ", ")
	case passed:
		if d.parameters == nil {
			d.parameters = map[string]string{}
		}
		d.parameters[key] = value
	case slices.Contains(without, key):
	case demands[key] != nil && slices.Contains(demands[key], value):
	case demands[key] != nil:
		return "kedge cannot do what this parameter demands, and does not connect without it: leave it out, or say the same with others (host, port, sslmode, sslrootcert)"
	case slices.Contains(notFollowed, key):
		d.warnings = append(d.warnings, parameterWarning{key, "kedge does not follow this parameter of libpq and connects without it"})
	default:
		known := knownParameters()
		if near := nearMiss(key, slices.Concat(known, without, notFollowed)); near != "" {
			return unknownKey(near, known)
		}
		d.warnings = append(d.warnings, parameterWarning{key, "kedge does not know this parameter and connects without it"})
	}
	return ""
}

// isParameter says whether that is the name of a parameter.
func isParameter(key string) bool {
	_, passed := passedOn[key]
	return passed || slices.Contains(ownParameters, key) || slices.Contains(without, key) || slices.Contains(notFollowed, key)
}

// parameterWarning is a warning about a parameter.
type parameterWarning struct{ key, msg string }

// Warnings are what there is to say about parameters that change nothing, each in
// one line without a value.
func (d Database) Warnings() []string {
	var list []string
	for _, w := range d.warnings {
		list = append(list, oneLine(fmt.Sprintf("database URL: the parameter %s: %s", shown(w.key), w.msg)))
	}
	return list
}

func (d *Database) setOwn(key, value string) (msg string) {
	switch key {
	case "ssl", "requiressl", "sslmode", "sslrootcert", "sslcert", "sslkey":
		return d.setEncryption(key, value)
	case "timeout":
		return setSeconds(&d.Timeout, value)
	case "connect_timeout":
		return setSeconds(&d.ConnectTimeout, value)
	case "host":
		d.hosts, msg = parseHosts(value)
	case "port":
		return d.setPorts(value)
	case "dbname":
		d.name = value
	case "user":
		d.user, d.rawUser = value, value
	case "password":
		d.password, d.rawPassword = value, value
	case "fallback_application_name":
		if d.parameters["application_name"] == "" {
			return d.setParameter("application_name", value)
		}
	}
	return msg
}

// setEncryption takes over what says how the connection is encrypted.
func (d *Database) setEncryption(key, value string) string {
	switch key {
	case "ssl":
		return d.setSSL(value)
	case "requiressl":
		d.SSL = d.SSL || value == "1"
	case "sslmode":
		if !slices.Contains(sslModes, value) {
			return "wants one of " + strings.Join(sslModes, ", ")
		}
		d.SSLMode = value
	case "sslrootcert":
		d.SSLRootCert = value
	case "sslcert":
		d.SSLCert = value
	case "sslkey":
		d.SSLKey = value
	}
	return ""
}

// setSSL reads ssl, which is a boolean to pg8000 and an sslmode to asyncpg.
func (d *Database) setSSL(value string) string {
	if slices.Contains(sslModes, value) {
		d.SSLMode = value
		return ""
	}
	b, ok := scalar{text: value, expanded: value == ""}.boolean()
	if !ok {
		return "wants true or false"
	}
	d.SSL = b
	return ""
}

// maxSeconds keeps a time-out within what every place that takes one can hold.
const maxSeconds = math.MaxInt32

func setSeconds(d *time.Duration, value string) string {
	s, err := strconv.ParseFloat(value, 64)
	if err != nil || math.IsNaN(s) || s < 0 || s > maxSeconds {
		return "wants a number of seconds"
	}
	*d = time.Duration(s * float64(time.Second))
	return ""
}
