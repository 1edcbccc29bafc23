package server

import (
	"context"
	"net/http"

	"carillon/dispatch"
	"carillon/storage"
)

// answered is the result of an operation that has written its answer.
type answered struct{}

// backup streams a backup. If it fails on the way, the connection is cut: what has come of it
// does not have its end.
func (h *handler) backup(w http.ResponseWriter, r *request) (int, any, error) {
	query := r.URL.Query()
	if err := onlyOnce(query, []string{"since"}); err != nil {
		return 0, nil, err
	}
	since := query.Get("since")
	if since != "" {
		if err := storage.CheckPosition(since); err != nil {
			return 0, nil, dispatch.Errorf(dispatch.CodeInvalidArgument, "since: %w", err)
		}
	}
	if err := h.eng.Audit(r.Context(), ""); err != nil {
		return 0, nil, err
	}
	liftReadDeadline(w)
	stream := &backupStream{w: w, ctx: r.Context()}
	_, err := h.eng.Backup(r.Context(), stream, since)
	if err != nil && stream.begun {
		panic(http.ErrAbortHandler)
	}
	return 0, answered{}, err
}

// backupStream is the answer of the route. A client has writeTimeout for each piece.
type backupStream struct {
	w     http.ResponseWriter
	ctx   context.Context
	begun bool
}

// Write implements io.Writer.
func (s *backupStream) Write(p []byte) (int, error) {
	if !s.begun {
		s.begun = true
		head := s.w.Header()
		head.Set("Content-Type", "application/octet-stream")
		head.Set("Cache-Control", "no-store")
		head.Set("X-Content-Type-Options", "nosniff")
		setDiscardDeadline(s.w)
		setWriteDeadline(s.w)
		_ = http.NewResponseController(s.w).Flush() // what it discards of a body it discards now
		// Past a deadline to read, net/http takes the client to be gone, and ends the context.
		liftReadDeadline(s.w)
	}
	setWriteDeadline(s.w)
	if err := s.ctx.Err(); err != nil {
		return 0, err // looked at after the deadline was set, which its end has set anew
	}
	return s.w.Write(p)
}
