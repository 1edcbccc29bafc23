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

// jsonRefusals is a listener that makes JSON of the refusals that net/http writes itself,
// before it calls a handler, like all others (H2).
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

// CloseWrite lets net/http end an answer while the client still sends, rather than
// reset the connection, which can take the answer from the client.
func (c *refusingConn) CloseWrite() error { return closeWrite(c.Conn) }

func closeWrite(conn net.Conn) error {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Write implements net.Conn. net/http writes a refusal of its own in one piece.
func (c *refusingConn) Write(p []byte) (int, error) {
	line, status, reason, ok := ownRefusal(p)
	if !ok {
		return c.Conn.Write(p)
	}
	body, err := json.Marshal(dispatch.Errorf(refusalCode(status), "%s", reason))
	if err != nil {
		return c.Conn.Write(p)
	}
	answer := fmt.Appendf(nil, "%s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s\n", line, len(body)+1, body)
	if _, err := c.Conn.Write(answer); err != nil {
		return 0, err
	}
	return len(p), nil
}

// ownHeaders are those that net/http gives its own refusals, and no handler's
// answer has, which is dated.
var ownHeaders = []byte("Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")

// ownRefusal says whether p is a refusal of net/http, and what it says.
func ownRefusal(p []byte) (line []byte, status int, reason string, ok bool) {
	if !bytes.HasPrefix(p, []byte("HTTP/1.1 4")) && !bytes.HasPrefix(p, []byte("HTTP/1.1 5")) {
		return nil, 0, "", false
	}
	line, rest, _ := bytes.Cut(p, []byte("\r\n"))
	status, err := strconv.Atoi(string(line[len("HTTP/1.1 "):min(len(line), len("HTTP/1.1 400"))]))
	if err != nil {
		return nil, 0, "", false
	}
	text, own := bytes.CutPrefix(rest, ownHeaders)
	_, why, found := bytes.Cut(text, []byte(": "))
	switch {
	case own && found:
		return line, status, string(bytes.TrimSpace(why)), true
	case own:
		return line, status, http.StatusText(status), true
	case status == http.StatusExpectationFailed && bytes.HasSuffix(rest, []byte("\r\n\r\n")): // dated, and empty
		return line, status, "the header Expect asks for what is not known", true
	}
	return nil, 0, "", false
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
