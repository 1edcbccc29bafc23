package cmd

import (
	"errors"
	"flag"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"carillon/dispatch"
	"carillon/server"
)

// tokenVariable is where a token is taken from that no flag gives: unlike a
// flag ps does not show it.
const tokenVariable = "CARILLON_ADMIN_TOKEN"

// tokenFlag declares the flag of the admin token and returns what reads it once
// the flags are parsed. The variable is no default of the flag, because help
// would print it.
func tokenFlag(flags *flag.FlagSet, name, usage string) func() (string, error) {
	given := flags.String(name, "", usage+"; $"+tokenVariable+" if not given")
	return func() (string, error) {
		token := *given
		if token == "" {
			token = os.Getenv(tokenVariable)
		}
		if strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }) {
			return "", usageError{errors.New("the admin token has a space or another character that no HTTP header carries")}
		}
		return token, nil
	}
}

// siteToken declares the flags of the token that a server is shown, and returns what reads it.
// It is that of --token, $CARILLON_ADMIN_TOKEN or --token-file; or else, for a server on this
// machine, the first one of ./data, which belongs to a server that was started here.
func siteToken(flags *flag.FlagSet, site *string) func() (string, error) {
	given := tokenFlag(flags, "token", "`TOKEN` of an operator of the server")
	file := flags.String("token-file", "", "`FILE` that has the token; ./data/"+tokenFile+", if there is one and the server is on this machine, if no token is given")
	return func() (string, error) {
		token, err := given()
		if err != nil || token != "" {
			return token, err
		}
		path := *file
		if path == "" {
			if u, err := url.Parse(siteURL(*site)); err != nil || !isLocal(u.Hostname()) {
				return "", nil
			}
			path = filepath.Join("data", tokenFile)
		}
		text, err := os.ReadFile(path)
		if err != nil && *file == "" {
			return "", nil // there is none, or it is not for this user
		}
		return strings.TrimSpace(string(text)), err
	}
}

// isLocal says whether a host's name means this machine.
func isLocal(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// proxied says whether a request says that it comes from elsewhere.
func proxied(h http.Header) bool {
	for name := range h {
		if name == "Forwarded" || name == "Via" || strings.HasPrefix(name, "X-Forwarded-") {
			return true
		}
	}
	return false
}

// operatorGate decides who is an operator: the tokens of the store; and if it is open, for which the
// address is a loopback one, every client on this machine that shows no token. Package server checks
// the host.
func operatorGate(tokens func(*http.Request) (*server.Operator, error), open bool) func(*http.Request) (*server.Operator, error) {
	all := &server.Operator{Name: "host", AllApps: true, Scopes: server.Scopes()}
	return func(r *http.Request) (*server.Operator, error) {
		if open && r.Header.Get("Authorization") == "" {
			if proxied(r.Header) {
				return nil, dispatch.Errorf(dispatch.CodePermissionDenied, "a request that came by a proxy needs a token: this server is open to its own machine only")
			}
			return all, nil
		}
		return tokens(r)
	}
}

// isLoopback says whether only this machine reaches the address.
func isLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
