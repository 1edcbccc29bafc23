package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"sync"

	"carillon/dispatch"
)

// ownRefusals is a listener that makes JSON of the refusals that net/http writes itself,
// before it calls a handler, like all others, and for a browser a page (H2).
type ownRefusals struct{ net.Listener }

// Accept implements net.Listener.
func (l ownRefusals) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &refusingConn{Conn: conn}, nil
}

// refusingConn remembers how the request begins that is not answered yet, for net/http does not
// tell what the request accepts that it refuses.
type refusingConn struct {
	net.Conn
	mu    sync.Mutex // net/http reads while a handler writes
	begun []byte     // Invariant: at most maxBegun bytes
}

// maxBegun is how much of a request is looked at for what it accepts. Browsers say so before they
// send cookies, which may be long.
const maxBegun = 4 << 10

// acceptsPage matches the header of a browser that goes to a page.
var acceptsPage = regexp.MustCompile(`(?i)\r\naccept:[^\r]*text/html`)

// refusedPage is a page of a refusal: its reason is put into it. It loads nothing.
const refusedPage = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>That did not work</title>
<h1>That did not work</h1>
<p>%s</p>`

// Read implements net.Conn.
func (c *refusingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun = append(c.begun, p[:min(n, maxBegun-len(c.begun))]...)
	return n, err
}

// answered forgets how the request begins that is answered now, and says whether that, if refused, is for a page.
func (c *refusingConn) answered(refused bool) (page bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	page = refused && acceptsPage.Match(c.begun)
	c.begun = c.begun[:0]
	return page
}

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
	page := c.answered(ok)
	if !ok {
		return c.Conn.Write(p)
	}
	body, err := json.Marshal(dispatch.Errorf(refusalCode(status), "%s", reason))
	if err != nil {
		return c.Conn.Write(p)
	}
	head := "Content-Type: application/json"
	if page {
		head = "Content-Type: text/html; charset=utf-8\r\nContent-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store"
		body = fmt.Appendf(nil, refusedPage, html.EscapeString(reason))
	}
	answer := fmt.Appendf(nil, "%s\r\n%s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s\n", line, head, len(body)+1, body)
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
