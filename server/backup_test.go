package server_test

import (
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"carillon/server"
	"carillon/storage"
)

// TestBackup makes backups over HTTP, as an admin, and restores them.
func TestBackup(t *testing.T) {
	s := mustAdminSite(t)
	ask := func(method, since, token string) reply {
		t.Helper()
		req := s.mustRequest(t, method, "/v1/backup?since="+url.QueryEscape(since), http.NoBody)
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := s.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return reply{status: resp.StatusCode, body: string(body)}
	}
	mustPostNote := func(text string) {
		t.Helper()
		if got := s.call(t, "acme", "notes:post", `{"text":"`+text+`"}`); got.status != http.StatusOK {
			t.Fatalf("post: %d %s", got.status, got.body)
		}
	}
	mustPostNote("one")
	all := ask("GET", "", "s3cret")
	info, err := storage.VerifyBackup(strings.NewReader(all.body))
	if err != nil || all.status != http.StatusOK || info.Since != "" {
		t.Fatalf("backup: %d, %+v, %v", all.status, info, err)
	}
	mustPostNote("two")
	more := ask("GET", info.Position, "s3cret")
	dir := filepath.Join(t.TempDir(), "made")
	last, err := storage.Restore(t.Context(), dir, strings.NewReader(all.body), strings.NewReader(more.body))
	if err != nil || last.Since != info.Position {
		t.Fatalf("restore: %+v, %v", last, err)
	}
	for _, tt := range []struct {
		method, since, token string
		status               int
	}{
		{"GET", "", "", http.StatusUnauthorized},
		{"GET", "nonsense", "s3cret", http.StatusBadRequest},
		{"POST", "", "s3cret", http.StatusMethodNotAllowed},
		{"HEAD", "", "s3cret", http.StatusMethodNotAllowed},
	} {
		if got := ask(tt.method, tt.since, tt.token); got.status != tt.status {
			t.Errorf("%s since %q with token %q: %d %s, want %d", tt.method, tt.since, tt.token, got.status, got.body, tt.status)
		}
	}
}

// TestBackupWithoutAdmin: a server without admin routes has none of backups.
func TestBackupWithoutAdmin(t *testing.T) {
	s := mustSite(t, server.Options{})
	resp, err := s.client.Get(s.url + "/v1/backup")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("got %d, %v", resp.StatusCode, err)
	}
}

// TestBackupThatFailsIsCutOff: when a backup fails on its way, the client can tell: its answer
// has no end.
func TestBackupThatFailsIsCutOff(t *testing.T) {
	s := mustAdminSite(t)
	for range 3 {
		if got := s.call(t, "acme", "notes:post", `{"text":"`+strings.Repeat("x", 500<<10)+`"}`); got.status != http.StatusOK {
			t.Fatalf("post: %d %s", got.status, got.body)
		}
	}
	req := s.mustRequest(t, "GET", "/v1/backup", http.NoBody)
	w := &failingWriter{header: http.Header{}}
	defer func() {
		if v := recover(); v != http.ErrAbortHandler {
			t.Errorf("the handler ended with %v", v)
		}
	}()
	server.New(s.eng, server.Options{Admin: func(*http.Request) error { return nil }}).ServeHTTP(w, req)
	t.Error("the handler ended as if all were well")
}

// failingWriter fails behind its first piece.
type failingWriter struct {
	header http.Header
	pieces int
}

func (w *failingWriter) Header() http.Header { return w.header }
func (w *failingWriter) WriteHeader(int)     {}
func (w *failingWriter) Write(p []byte) (int, error) {
	if w.pieces++; w.pieces > 1 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}
