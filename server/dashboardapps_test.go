package server_test

import (
	"bytes"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/server"
	"carillon/storage"
)

// sendFile sends a form with a name, and a file behind it.
func (b *browser) sendFile(path, name string, file []byte, header ...string) *httptest.ResponseRecorder {
	media, body := formWithFile(name, file)
	return b.send("POST", path, media, bytes.NewReader(body), header...)
}

// formWithFile is the type and the body of a form with a name, and a file behind it.
func formWithFile(name string, file []byte) (media string, body []byte) {
	var buffer bytes.Buffer
	form := multipart.NewWriter(&buffer)
	_ = form.WriteField("name", name)
	part, _ := form.CreateFormFile("file", "some.carillon")
	_, _ = part.Write(file)
	_ = form.Close()
	return form.FormDataContentType(), buffer.Bytes()
}

// apps are the names of those that there are.
func (b *browser) apps(t *testing.T) (names []string) {
	t.Helper()
	page, err := b.h.Engine.ListApps(storage.AppFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range page.Apps {
		names = append(names, string(a.ID))
	}
	return names
}

// audit is what the audit log has of the app, the latest first.
func (b *browser) audit(t *testing.T, app storage.AppID) (actions []string) {
	t.Helper()
	page, err := b.h.Engine.AuditLog(storage.AuditFilter{Apps: []storage.AppID{app}})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range page.Entries {
		actions = append(actions, e.Operator+": "+e.Action)
	}
	return actions
}

// TestFormsMakeApps: an app is made of the name that was typed, by one who may, as one of theirs; else the form says why, with
// what was typed, and there is none.
func TestFormsMakeApps(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		b.signInAs(t, server.Scopes()...)
		b.has(t, "/ui/apps", `href="/ui/new-app"`)
		b.has(t, "/ui/new-app", `action="/ui/new-app"`, `enctype="multipart/form-data" action="/ui/new-app/import"`)
		b.mustGo(t, "/ui/new-app", "/ui/apps/"+strings.Repeat("a", 64), url.Values{"name": {strings.Repeat("a", 64)}})
		for name, want := range map[string]struct {
			code int
			text string
		}{
			"":                      {400, `role="alert"`},
			"a/b":                   {400, `value="a/b"`},
			strings.Repeat("a", 65): {400, `value="aaaa`},
			"acme":                  {409, "acme"},
			hostile:                 {400, "&lt;script&gt;"},
		} {
			w := b.ask("POST", "/ui/new-app", url.Values{"name": {name}})
			if w.Code != want.code || !strings.Contains(w.Body.String(), want.text) || harmIn(w.Body.String()) != "" {
				t.Errorf("an app of the name %q: %d %s", name, w.Code, w.Body)
			}
		}
		if apps := b.apps(t); !slices.Equal(apps, []string{strings.Repeat("a", 64), "acme"}) {
			t.Errorf("there are %q", apps)
		}
		if log := b.audit(t, storage.AppID(strings.Repeat("a", 64))); !slices.Equal(log, []string{"ann: POST apps"}) {
			t.Errorf("the audit log has %q", log)
		}
		own, _ := b.token(t, server.Operator{Apps: []storage.AppID{"own"}, Scopes: server.Scopes()}, time.Time{})
		b.signIn(t, own)
		if w := b.ask("POST", "/ui/new-app", url.Values{"name": {"other"}}); w.Code != 403 {
			t.Errorf("an app that is not theirs: %d %s", w.Code, w.Body)
		}
		b.mustGo(t, "/ui/new-app", "/ui/apps/own", url.Values{"name": {"own"}})
		b.signInAs(t, server.ScopeRead, server.ScopeWrite)
		b.has(t, "/ui/apps", "!/ui/new-app")
	})
}

// counted is a body that says how much of it was read.
type counted struct {
	io.Reader
	read int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read += n
	return n, err
}

// TestFormsImportApps: the file that an export was saved as makes an app of the name before it, as the row of an import does: of
// those who may, of no more bytes than it takes, and of all of it or nothing. A name that is taken is refused before the file is
// read, and so is a form of another origin.
func TestFormsImportApps(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		const at = "/ui/new-app/import"
		b.signInAs(t, server.Scopes()...)
		file := b.ask("GET", "/ui/apps/acme/export", nil).Body.Bytes()
		limited := func(more int) {
			b.site = server.New(b.h.Engine, server.Options{Operator: server.Tokens(b.h.Engine), Logger: slog.New(slog.DiscardHandler), MaxImport: int64(len(file) + more)})
		}
		limited(0)
		if w := b.sendFile(at, "copy", file, "Sec-Fetch-Site", "same-origin"); w.Code != 303 || w.Header().Get("Location") != "/ui/apps/copy" {
			t.Fatalf("imported: %d %v %s", w.Code, w.Header(), w.Body)
		}
		b.has(t, "/ui/apps/copy/jobs/"+b.job, "bad:say")
		if log := b.audit(t, "copy"); !slices.Equal(log, []string{"ann: POST import"}) {
			t.Errorf("the audit log has %q", log)
		}
		before := b.apps(t)
		refused := func(what string, w *httptest.ResponseRecorder, code int, texts ...string) {
			t.Helper()
			if w.Code != code || harmIn(w.Body.String()) != "" {
				t.Errorf("%s: %d %s", what, w.Code, w.Body)
			}
			wantIn(t, what, w.Body.String(), texts...)
			if apps := b.apps(t); !slices.Equal(apps, before) {
				t.Errorf("%s: there are %q", what, apps)
			}
		}
		refused("a name that is taken", b.sendFile(at, "copy", file), 409, `role="alert"`, `id="of" name="name" value="copy"`)
		refused("a name that is none", b.sendFile(at, hostile, file), 400, `role="alert"`, "&lt;script&gt;")
		refused("no name", b.sendFile(at, "", file), 400, "no name")
		refused("no file", b.ask("POST", at, url.Values{"name": {"new"}}), 400, "the form has no file", `value="new"`)
		refused("an empty file", b.sendFile(at, "new", nil), 400, `value="new"`)
		refused("half of it", b.sendFile(at, "new", file[:len(file)/2]), 400, `value="new"`)
		damaged := bytes.Clone(file)
		damaged[len(damaged)/2] ^= 1
		refused("a damaged one", b.sendFile(at, "new", damaged), 400, `value="new"`)
		refused("of another origin", b.sendFile(at, "new", file, "Sec-Fetch-Site", "cross-site"), 403)
		media, body := formWithFile("new", file)
		refused("a form without its end", b.send("POST", at, media, bytes.NewReader(body[:len(body)-len(file)]), "Origin", "http://localhost"), 400)
		refused("no form at all", b.send("POST", at, "multipart/form-data", strings.NewReader("x")), 400, "could not be read")
		limited(-1)
		refused("a file that is too large", b.sendFile(at, "new", file), 413, "the app was not made", `value="new"`)
		refused("one whose length says so", b.sendFile(at, "new", make([]byte, len(file)+(64<<10))), 413, "the app was not made")
		b.mount()
		media, body = formWithFile("copy", bytes.Repeat([]byte("x"), 1<<20))
		taken := &counted{Reader: bytes.NewReader(body)}
		refused("a large one of a name that is taken", b.send("POST", at, media, taken), 409)
		media, body = formWithFile(strings.Repeat("x", 64<<10), file)
		refused("fields that are too long", b.send("POST", at, media, bytes.NewReader(body)), 413, "65536")

		b.signInAs(t, server.ScopeRead, server.ScopeWrite, server.ScopeCall)
		media, body = formWithFile("new", bytes.Repeat([]byte("x"), 1<<20))
		may := &counted{Reader: bytes.NewReader(body)}
		refused("by one who may not", b.send("POST", at, media, may), 403)
		own, _ := b.token(t, server.Operator{Apps: []storage.AppID{"own"}, Scopes: server.Scopes()}, time.Time{})
		b.signIn(t, own)
		refused("an app that is not theirs", b.sendFile(at, "new", file), 403)
		if taken.read > 64<<10 || may.read > 64<<10 {
			t.Errorf("%d and %d bytes were read of files that were refused", taken.read, may.read)
		}
		if w := b.sendFile(at, "own", file); w.Code != 303 {
			t.Errorf("one that is theirs: %d %s", w.Code, w.Body)
		}
	})
}

// TestAnUploadEndsWithItsSession: a file may take longer than other forms, and makes no app once the token of its session has
// ended: within a second the upload is over.
func TestAnUploadEndsWithItsSession(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		text, id := b.token(t, allOperator(), time.Time{})
		b.signIn(t, text)
		file := b.ask("GET", "/ui/apps/acme/export", nil).Body.Bytes()
		media, body := formWithFile("new", file)
		client := b.h.Peer(b.site)
		read, write := io.Pipe()
		r, err := http.NewRequestWithContext(b.h.Context(), "POST", "http://localhost/ui/new-app/import", read)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", media)
		r.Header.Set("Cookie", b.cookie)
		status := make(chan int, 1)
		go func() {
			resp, err := client.Do(r)
			if err != nil {
				status <- 0 // it was cut off
				return
			}
			_ = resp.Body.Close()
			status <- resp.StatusCode
		}()
		for i := range 3 { // each comes before the one before has been for too long
			if _, err := write.Write(body[i*len(body)/4 : (i+1)*len(body)/4]); err != nil {
				t.Fatal(err)
			}
			b.h.Advance(20 * time.Second)
		}
		if len(status) != 0 {
			t.Fatalf("the upload has ended with %d while its session was good", <-status)
		}
		if known, err := b.h.Engine.Tokens().Remove(id); !known || err != nil {
			t.Fatal(known, err)
		}
		b.h.Advance(time.Second)
		select {
		case got := <-status:
			if got != 0 && got != http.StatusUnauthorized {
				t.Errorf("the upload has ended with %d", got)
			}
		default:
			t.Error("the upload goes on")
		}
		_ = write.Close()
		if apps := b.apps(t); !slices.Equal(apps, []string{"acme"}) {
			t.Errorf("there are %q", apps)
		}
	})
}

// TestAPageBacksUpTheStore: what the page of the system sends is a backup, of all or of what came since, to those who look
// after the store.
func TestAPageBacksUpTheStore(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		b.signInAs(t, server.Scopes()...)
		b.has(t, "/ui/system", `href="/ui/backup" download`, `name="since"`, "<dt>Scopes</dt>")
		all := b.ask("GET", "/ui/backup", nil)
		info, err := storage.VerifyBackup(bytes.NewReader(all.Body.Bytes()))
		if name := all.Header().Get("Content-Disposition"); err != nil || all.Code != 200 || info.Since != "" || !strings.HasPrefix(name, "attachment; filename=carillon-20") || !strings.HasSuffix(name, "Z.backup") {
			t.Fatalf("a backup: %d %v: %+v, %v", all.Code, all.Header(), info, err)
		}
		b.ask("POST", "/ui/new-app", url.Values{"name": {"more"}})
		since := b.ask("GET", "/ui/backup?since="+url.QueryEscape(info.Position), nil)
		if next, err := storage.VerifyBackup(bytes.NewReader(since.Body.Bytes())); err != nil || next.Since != info.Position {
			t.Errorf("what came since: %d: %+v, %v", since.Code, next, err)
		}
		for _, path := range []string{"/ui/backup?since=nonsense", "/ui/backup?until=1"} {
			if w := b.ask("GET", path, nil); w.Code != 400 || w.Header().Get("Content-Disposition") != "" || !strings.Contains(w.Body.String(), "<h1>") {
				t.Errorf("%s: %d %v", path, w.Code, w.Header())
			}
		}
		page, err := b.h.Engine.AuditLog(storage.AuditFilter{})
		if err != nil || !slices.ContainsFunc(page.Entries, func(e storage.AuditEntry) bool { return e.Action == "GET backup" && e.Operator == "ann" }) {
			t.Errorf("the audit log has %+v, %v", page.Entries, err)
		}
		b.signInAs(t, server.ScopeRead, server.ScopeWrite)
		b.has(t, "/ui/system", "!/ui/backup")
	})
}

// TestAPageSendsTypes: the documents that programs are made of are saved as files.
func TestAPageSendsTypes(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		b.signInAs(t, server.ScopeRead)
		b.has(t, "/ui/apps/acme/functions", `href="/ui/apps/acme/openapi.json"`, `href="/ui/apps/acme/api.d.ts"`)
		for path, want := range map[string][2]string{
			"openapi.json": {"acme-openapi.json", `"openapi":"3.1`}, "api.d.ts": {"acme.d.ts", "export"}, "api.d.ts?internal=true": {"acme.d.ts", "bad:say"},
		} {
			w := b.ask("GET", "/ui/apps/acme/"+path, nil)
			if w.Code != 200 || w.Header().Get("Content-Disposition") != "attachment; filename="+want[0] || !strings.Contains(w.Body.String(), want[1]) {
				t.Errorf("%s: %d %v %s", path, w.Code, w.Header(), w.Body)
			}
		}
		if body := b.ask("GET", "/ui/apps/acme/api.d.ts", nil).Body.String(); strings.Contains(body, "bad:say") {
			t.Errorf("internal functions are among those of clients: %s", body)
		}
	})
}
