package server

import (
	"net/http"
	"time"
)

// Bounds of one request, whatever server the handler is mounted in.
const (
	// readTimeout is how long a client may take to send a body.
	readTimeout = 30 * time.Second
	// discardTimeout is how long the rest of a body may take whose request is answered
	// without it. net/http holds the answer back until it has thrown that away, and
	// closes the connection if it does not come.
	discardTimeout = time.Second
	// writeTimeout is how long a client may take to read an answer, the discardTimeout
	// included.
	writeTimeout = time.Minute
)

// The setters ignore errors: a writer without deadlines, such as a test's recorder, has
// no slow reader at its other end.

// setDeadlines bounds the reading of a request that has just begun, and lifts
// what is left of the answer before on the same connection.
func setDeadlines(w http.ResponseWriter) {
	conn := http.NewResponseController(w)
	_ = conn.SetReadDeadline(time.Now().Add(readTimeout))
	_ = conn.SetWriteDeadline(time.Time{})
}

// liftReadDeadline is for when the body has been read: with a deadline, a call
// that takes longer would look like a client that went away.
func liftReadDeadline(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
}

func setDiscardDeadline(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(discardTimeout))
}

func setWriteDeadline(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
}
