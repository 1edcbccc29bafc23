package remote_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"carillon/server/remote"
)

// TestG41_AddressesThatAreDialled: of a name what is public, or was allowed; never link-local ones, in
// no way of writing.
func TestG41_AddressesThatAreDialled(t *testing.T) {
	ten := netip.MustParsePrefix("10.1.0.0/16")
	local := netip.MustParsePrefix("169.254.0.0/16")
	for _, tt := range []struct {
		host string // of the URL
		addr string // that it resolves to
		ok   bool
	}{
		{"worker.example", "93.184.215.14", true},
		{"worker.example", "2606:2800:21f:cb07::1", true},
		{"worker.example", "10.1.2.3", true}, // allowed
		{"worker.example", "::ffff:10.1.2.3", true},
		{"worker.example", "10.2.2.3", false},
		{"worker.example", "127.0.0.1", false},
		{"worker.example", "::1", false},
		{"worker.example", "::ffff:127.0.0.1", false},
		{"worker.example", "172.16.0.1", false},
		{"worker.example", "172.32.0.1", true},
		{"worker.example", "192.168.1.1", false},
		{"worker.example", "100.64.0.1", false},
		{"worker.example", "fd00::1", false},
		{"worker.example", "0.0.0.0", false},
		{"worker.example", "::", false},
		{"worker.example", "64:ff9b::7f00:1", false},
		{"worker.example", "64:ff9b::a9fe:a9fe", false},
		{"worker.example", "2002:a9fe:a9fe::1", false},
		{"worker.example", "2002:7f00:1::1", false},
		{"worker.example", "169.254.169.254", false}, // though it is allowed
		{"worker.example", "::ffff:169.254.169.254", false},
		{"worker.example", "fe80::1%eth0", false},
		{"worker.example", "febf::1", false},
		{"worker.example", "224.0.0.1", false},
		{"localhost", "127.0.0.1", true},
		{"LOCALHOST.", "::1", true},
		{"localhost", "192.168.1.1", false},
		{"localhost", "169.254.169.254", false},
		{"localhost.example", "127.0.0.1", false},
		{"127.0.0.1", "127.0.0.1", true},
		{"192.168.1.1", "192.168.1.1", true},
		{"[::1]", "::1", true},
		{"[fd00::1]", "fd00::1", true},
	} {
		opts := remote.Options{URL: "http://" + tt.host + ":80", Allow: []netip.Prefix{ten, local}, Secret: secret}
		err := remote.CheckDial(opts, net.JoinHostPort(tt.addr, "80"))
		if (err == nil) != tt.ok {
			t.Errorf("%s at %s: %v", tt.host, tt.addr, err)
		}
	}
}

// TestG41_ANameIsCheckedWhenItIsDialled: what it resolves to then, and not before.
func TestG41_ANameIsCheckedWhenItIsDialled(t *testing.T) {
	asked := false
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer server.Close()
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	for _, allow := range [][]netip.Prefix{nil, {netip.MustParsePrefix("127.0.0.0/8")}} {
		c := mustNew(t, remote.Options{URL: "http://worker.example:" + port, Allow: allow, Secret: secret, Resolver: loopbackDNS()})
		_, err := c.Call(t.Context(), call())
		if refused := err != nil && strings.Contains(err.Error(), "which is private"); refused == (allow != nil) || asked == (allow == nil) {
			t.Errorf("with %v: %v, and the worker was asked: %t", allow, err, asked)
		}
	}
}

// loopbackDNS answers each name with 127.0.0.1, as a name server over TCP does.
func loopbackDNS() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			for {
				var size uint16
				if binary.Read(server, binary.BigEndian, &size) != nil {
					return
				}
				ask := make([]byte, size)
				if _, err := io.ReadFull(server, ask); err != nil {
					return
				}
				end := 12 + bytes.IndexByte(ask[12:], 0) + 5 // of the question
				answers := byte(0)
				if ask[end-3] == 1 { // for an address of IPv4
					answers = 1
				}
				reply := append([]byte{ask[0], ask[1], 0x81, 0x80, 0, 1, 0, answers, 0, 0, 0, 0}, ask[12:end]...)
				if answers == 1 {
					reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1)
				}
				server.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...))
			}
		}()
		return client, nil
	}}
}

// TestG41_OptionsThatAreRefused: in which no secret is told.
func TestG41_OptionsThatAreRefused(t *testing.T) {
	long := strings.Repeat("s", remote.MaxSecret)
	for _, tt := range []struct {
		url, secret string
		ok          bool
	}{
		{"http://127.0.0.1:9000", secret, true},
		{"https://worker.example/base/", long, true},
		{"https://worker.example", long + "s", false},
		{"https://worker.example", long[:remote.MinSecret], true},
		{"https://worker.example", long[:remote.MinSecret-1], false},
		{"https://worker.example", "", false},
		{"worker.example", secret, false},
		{"ftp://worker.example", secret, false},
		{"http://", secret, false},
		{"http://worker.example/?q", secret, false},
		{"http://169.254.169.254", secret, false},
		{"http://[::ffff:169.254.169.254]", secret, false},
		{"http://[fe80::1%25eth0]", secret, false},
		{"http://0.0.0.0", secret, false},
		{"http://user:hidden@ worker", secret, false},
	} {
		_, err := remote.New(remote.Options{URL: tt.url, Secret: tt.secret})
		if (err == nil) != tt.ok {
			t.Errorf("%s with a secret of %d bytes: %v", tt.url, len(tt.secret), err)
		}
		if err != nil && (strings.Contains(err.Error(), "hidden") || strings.Contains(err.Error(), secret)) {
			t.Errorf("the error tells a secret: %v", err)
		}
	}
	c := mustNew(t, remote.Options{URL: "http://user:hidden@127.0.0.1:1", Secret: secret})
	if _, err := c.Call(t.Context(), call()); err == nil || strings.Contains(err.Error(), "hidden") || errors.Unwrap(err) == nil {
		t.Errorf("the error of a call: %v", err)
	}
}
