package client

import (
	"context"
	"io"
	"iter"
	"net/http"
	"net/url"

	"carillon/server/api"
)

// AppFilter chooses apps.
type AppFilter struct {
	Prefix   string // how the name begins
	Contains string // a text that is somewhere in the name
	Limit    int    // apps a page, 1 to 1,000; 0 is 100
	Cursor   string // Next of a page: where to go on; "" is the beginning
}

// Apps yields the operator's apps that the filter chooses, by name, page by page. It wakes none.
func (c *Client) Apps(ctx context.Context, f AppFilter) iter.Seq2[api.App, error] {
	return rows(c.AppPages(ctx, f), func(p *api.AppPage) []api.App { return p.Apps })
}

// AppPages is Apps by pages, which say what volumes cannot be read.
func (c *Client) AppPages(ctx context.Context, f AppFilter) iter.Seq2[*api.AppPage, error] {
	return pages(f.Cursor, func(cursor string) (*api.AppPage, string, error) {
		q := url.Values{}
		set(q, "prefix", f.Prefix)
		set(q, "contains", f.Contains)
		set(q, "cursor", cursor)
		setNumber(q, "limit", f.Limit)
		page := new(api.AppPage)
		err := c.do(ctx, request{method: http.MethodGet, path: v1("apps"), query: q, repeat: always}, page)
		return page, page.Next, err
	})
}

// CreateApp makes an app. It is already_exists if there is one of the name.
func (c *Client) CreateApp(ctx context.Context, name string) (*api.AppStatus, error) {
	return c.app(ctx, request{method: http.MethodPost, path: v1("apps"), body: &api.NewApp{Name: name}, repeat: ifNotDone})
}

// Status returns what there is to say of the app without waking it.
func (a *App) Status(ctx context.Context) (*api.AppStatus, error) { return a.c.app(ctx, a.get()) }

// History returns what the app did in the last hour, a minute each, the oldest first, as far as the server knows.
func (a *App) History(ctx context.Context) ([]api.AppSample, error) {
	r := a.get()
	r.query = url.Values{"history": {"true"}}
	status, err := a.c.app(ctx, r)
	if err != nil {
		return nil, err
	}
	return status.History, nil
}

// Pause has none of the app's jobs begin, until Resume. reason is for people, up to 1,024 bytes.
func (a *App) Pause(ctx context.Context, reason string) (*api.AppStatus, error) {
	return a.c.app(ctx, a.post(always, &api.PauseApp{Reason: reason}, "pause"))
}

// Resume ends the pause of the app.
func (a *App) Resume(ctx context.Context) (*api.AppStatus, error) {
	return a.c.app(ctx, a.post(always, nil, "resume"))
}

// Delete deletes the app for good, with all that it has. It waits until the app's jobs have stopped.
func (a *App) Delete(ctx context.Context) error {
	r := request{method: http.MethodDelete, path: a.path(), body: &api.DeleteApp{Name: a.name}, repeat: ifNotDone}
	return a.c.do(ctx, r, nil)
}

// Export returns all of the app, as of one moment, for Import. The caller closes it. One that does not
// come to its end, an error of Read that is not io.EOF, is of no use.
func (a *App) Export(ctx context.Context) (io.ReadCloser, error) {
	return a.c.open(ctx, a.get("export"), streamType)
}

// Import makes the app of what Export has returned, as a whole or not at all. It is sent once. It is
// already_exists if there is such an app.
func (a *App) Import(ctx context.Context, export io.Reader) (*api.AppStatus, error) {
	return a.c.app(ctx, request{method: http.MethodPost, path: a.path("import"), stream: export, repeat: never})
}

// app is a request that is answered with the status of an app.
func (c *Client) app(ctx context.Context, r request) (*api.AppStatus, error) {
	status := new(api.AppStatus)
	if err := c.do(ctx, r, status); err != nil {
		return nil, err
	}
	return status, nil
}
