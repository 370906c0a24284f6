package observe

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Address makes an address to listen on of what the operator wrote: HOST:PORT,
// :PORT or PORT. Without a host it is loopback: to be seen from elsewhere has to
// be asked for.
func Address(written string) (string, error) {
	host, port, err := net.SplitHostPort(written)
	if err != nil {
		host, port = "", written
	}
	if n, perr := strconv.ParseUint(port, 10, 16); perr != nil || strconv.FormatUint(n, 10) != port {
		return "", fmt.Errorf("%q is no address to listen on, such as 127.0.0.1:9187, [::1]:9187 or 9187", written)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// loopback says whether only this machine reaches what listens there.
func loopback(a net.Addr) bool {
	at, err := netip.ParseAddrPort(a.String())
	return err == nil && at.Addr().Unmap().IsLoopback()
}

// local says whether a request that names this host may be answered by a server
// on loopback. A page elsewhere can make a browser ask this machine under a name
// of that page's own ("DNS rebinding"), but never under an address or localhost.
func local(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}
