package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"

	"carillon/dispatch"
)

// jsonRefusals is a listener on whose connections the refusals that net/http writes
// itself, before there is a request, are JSON like all others (H2).
type jsonRefusals struct{ net.Listener }

// Accept implements net.Listener.
func (l jsonRefusals) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &refusingConn{conn}, nil
}

type refusingConn struct{ net.Conn }

// ownHeaders are those that net/http gives its own refusals, and no handler's
// answer has, which is dated.
var ownHeaders = []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")

// Write implements net.Conn. net/http writes such a refusal in one piece.
func (c *refusingConn) Write(p []byte) (int, error) {
	head, text, ok := bytes.Cut(p, ownHeaders)
	rest, version := bytes.CutPrefix(head, []byte("HTTP/1.1 "))
	if !ok || !version || len(rest) < 3 || bytes.ContainsRune(rest, '\n') {
		return c.Conn.Write(p)
	}
	status, err := strconv.Atoi(string(rest[:3]))
	if err != nil || status < 400 {
		return c.Conn.Write(p)
	}
	_, reason, _ := bytes.Cut(text, []byte(": "))
	if len(reason) == 0 {
		reason = []byte(http.StatusText(status))
	}
	body, err := json.Marshal(dispatch.Errorf(refusalCode(status), "%s", bytes.TrimSpace(reason)))
	if err != nil {
		return c.Conn.Write(p)
	}
	answer := fmt.Appendf(nil, "%s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s\n", head, len(body)+1, body)
	if _, err := c.Conn.Write(answer); err != nil {
		return 0, err
	}
	return len(p), nil
}

// refusalCode is the code of a status that net/http refuses a request with.
func refusalCode(status int) dispatch.Code {
	switch status {
	case http.StatusRequestHeaderFieldsTooLarge:
		return dispatch.CodeResourceExhausted
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		return dispatch.CodeUnimplemented
	}
	return dispatch.CodeInvalidArgument
}
