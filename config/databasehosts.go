package config

import (
	"cmp"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// hostPort is one place where the database may be. The host is a name, an
// address without brackets, or the directory of a Unix socket; "" is libpq's
// default. The port "" is PostgreSQL's.
type hostPort struct{ host, port string }

// defaultPort is PostgreSQL's.
const defaultPort = "5432"

func (h hostPort) isDirectory() bool { return strings.HasPrefix(h.host, "/") }

// String is host:port.
func (h hostPort) String() string {
	return net.JoinHostPort(h.host, cmp.Or(h.port, defaultPort))
}

// parseHosts reads host:port,host:port,…; either may be missing. It gives what is
// wrong with it, "" for nothing.
func parseHosts(text string) (hosts []hostPort, msg string) {
	list := strings.Split(text, ",")
	for _, one := range list {
		h, msg := parseHost(one)
		switch {
		case msg != "":
			return nil, msg
		case h.host == "" && len(list) > 1:
			return nil, "one of the hosts is empty"
		}
		hosts = append(hosts, h)
	}
	return hosts, ""
}

func parseHost(text string) (h hostPort, msg string) {
	port := ""
	inner, bracketed := strings.CutPrefix(text, "[")
	switch {
	case strings.HasPrefix(text, "/"):
		return hostPort{host: text}, ""
	case bracketed:
		literal, after, closed := strings.Cut(inner, "]")
		ip, err := netip.ParseAddr(literal)
		if !closed || err != nil || !ip.Is6() || after != "" && after[0] != ':' {
			return h, "the address in brackets is not an IPv6 address"
		}
		h.host, port = literal, strings.TrimPrefix(after, ":")
	default:
		h.host, port, _ = strings.Cut(text, ":")
		if strings.ContainsAny(h.host, " %\\[]@#?=&") {
			return h, "the host's name holds characters that no host's name has (a socket's directory is given as ?host=/directory)"
		}
	}
	h.port, msg = parsePort(port)
	return h, msg
}

func parsePort(port string) (number, msg string) {
	if port == "" {
		return "", ""
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", "the port is not a number from 1 to 65535 (a password that holds \":\" or \"/\" needs an \"@\" behind it)"
	}
	return strconv.FormatUint(n, 10), ""
}

// setPorts gives the hosts their ports: one for all, or one for each.
func (d *Database) setPorts(ports string) string {
	list := strings.Split(ports, ",")
	if len(d.hosts) == 0 {
		d.hosts = make([]hostPort, len(list))
	}
	if len(list) != 1 && (len(list) != len(d.hosts) || d.hosts[0].host == "") {
		return "there are not as many ports as hosts"
	}
	for i := range d.hosts {
		port, msg := parsePort(list[min(i, len(list)-1)])
		if msg != "" {
			return msg
		}
		d.hosts[i].port = port
	}
	return ""
}

// inPlace says whether the hosts can stand before the database's name in a URL:
// there is one at most, and it is no directory.
func (d Database) inPlace() bool {
	return len(d.hosts) == 0 || len(d.hosts) == 1 && d.hosts[0].host != "" && !d.hosts[0].isDirectory()
}

// hostQuery is the hosts and ports as parameters, for those that cannot stand
// elsewhere.
func (d Database) hostQuery(q map[string]string) {
	if d.inPlace() {
		return
	}
	var hosts, ports []string
	for _, h := range d.hosts {
		hosts, ports = append(hosts, h.host), append(ports, cmp.Or(h.port, defaultPort))
	}
	if list := strings.Join(hosts, ","); strings.Trim(list, ",") != "" {
		q["host"] = list
	}
	q["port"] = strings.Join(ports, ",")
}
