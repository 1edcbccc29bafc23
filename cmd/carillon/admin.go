package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"

	"carillon/dispatch"
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

// adminGate decides who may use the admin routes of a server that listens on
// addr. With a token it asks for that. Without one it lets every client on this
// machine, and it is nil, which lets none, if others can reach the address.
func adminGate(token string, addr net.Addr) func(*http.Request) error {
	switch {
	case token != "":
		return bearerGate(token)
	case isLoopback(addr):
		return func(*http.Request) error { return nil } // package server checks the host
	}
	return nil
}

// bearerGate lets requests that carry the token. What is compared are digests:
// they are of one length, so that the time it takes tells nothing of the token.
func bearerGate(token string) func(*http.Request) error {
	want := sha256.Sum256([]byte(token))
	return func(r *http.Request) error {
		scheme, given, ok := strings.Cut(r.Header.Get("Authorization"), " ")
		if !ok || !strings.EqualFold(scheme, "Bearer") {
			return dispatch.Errorf(dispatch.CodeUnauthenticated, `admin operations need the header "Authorization: Bearer …" with the admin token`)
		}
		got := sha256.Sum256([]byte(strings.TrimSpace(given)))
		if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			return dispatch.Errorf(dispatch.CodePermissionDenied, "this is not the admin token")
		}
		return nil
	}
}

// isLoopback says whether only this machine reaches the address.
func isLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// greetAdmin says who may look after the triggers.
func greetAdmin(w io.Writer, token string, addr net.Addr) {
	switch {
	case token != "":
		fmt.Fprintln(w, "Cron triggers are looked after with the admin token; see carillon help crons.")
	case isLoopback(addr):
		fmt.Fprintln(w, "Cron triggers are looked after from this machine, without a token; see carillon help crons.")
	default:
		fmt.Fprintf(w, "Admin operations are not served: %s is not loopback only, and there is no --admin-token.\n", addr)
	}
}
