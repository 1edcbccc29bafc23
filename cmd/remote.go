package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"syscall"
	"time"

	"carillon/client"
	"carillon/dispatch"
	"carillon/server/api"
	"carillon/storage"
)

// requestTimeout bounds what a verb asks, which waits for a commit at most.
const requestTimeout = 30 * time.Second

// remote is the flags of a command that asks a server, or a data directory that is not served,
// about an app if it has app.
type remote struct {
	app, site, dir *string
	token          func() (string, error)
	output         func() (string, error)
	patient        bool   // a request is repeated, as a server that restarts needs it
	rows           string // field of the answer that has the rows of a list; "": the answer is the list
}

// access says whether a verb only reads, for which a directory may be any program's.
type access bool

const (
	reading  access = true
	changing access = false
)

// siteFlags declares those of any such command.
func siteFlags(flags *flag.FlagSet) *remote {
	r := placeFlags(flags)
	r.output = outputFlag(flags)
	return r
}

// placeFlags declares those that say what is asked.
func placeFlags(flags *flag.FlagSet) *remote {
	r := &remote{
		site: flags.String("server", "http://"+defaultListen, "`ADDRESS` of the server, host:port or URL"),
		dir:  flags.String("data", "", "`DIR` of the data in the place of a server, if it is not being served"),
	}
	r.token = siteToken(flags, r.site)
	return r
}

// remoteFlags declares them.
func remoteFlags(flags *flag.FlagSet) *remote {
	r := siteFlags(flags)
	r.app = appFlag(flags, "`APP` that it is about")
	return r
}

// namedFlags declares the flags of a command about one thing of an app, which has an id or a name,
// and returns what says which.
func namedFlags(flags *flag.FlagSet, what, id string) (r *remote, name func() (string, error)) {
	r = remoteFlags(flags)
	given := flags.String("name", "", "`"+strings.ToUpper(id)+"` of the "+what+", with or without the flag")
	return r, func() (string, error) {
		if *given == "" {
			return "", usageError{fmt.Errorf("the %s's %s is missing", what, id)}
		}
		return *given, nil
	}
}

// itemFlags is namedFlags of what a path may name: one that would lead elsewhere is refused.
func itemFlags(flags *flag.FlagSet, what, id string) (r *remote, name func() (string, error)) {
	r, given := namedFlags(flags, what, id)
	return r, func() (string, error) {
		text, err := given()
		if err != nil {
			return "", err
		}
		return inPath(what+"'s "+id, text)
	}
}

// numberFlags is namedFlags of what has a number.
func numberFlags(flags *flag.FlagSet, what string) (r *remote, id func() (uint64, error)) {
	r, given := namedFlags(flags, what, "id")
	return r, func() (uint64, error) {
		text, err := given()
		if err != nil {
			return 0, err
		}
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return 0, usageError{fmt.Errorf("the %s's id is %.64q, want a number", what, text)}
		}
		return n, nil
	}
}

// triggerFlags is namedFlags of a trigger.
func triggerFlags(flags *flag.FlagSet) (r *remote, name func() (string, error)) {
	r, given := namedFlags(flags, "trigger", "name")
	return r, func() (string, error) {
		text, err := given()
		if err == nil {
			if err = storage.CheckTriggerName(text); err != nil {
				err = usageError{err}
			}
		}
		return text, err
	}
}

// rowLimit is how many rows a list has at most.
type rowLimit int

func (n *rowLimit) String() string { return strconv.Itoa(int(*n)) }

func (n *rowLimit) Set(text string) error {
	i, err := strconv.Atoi(text)
	if err != nil || i < 1 || i > maxRows {
		return fmt.Errorf("want 1 to %d", maxRows)
	}
	*n = rowLimit(i)
	return nil
}

// maxRows bounds the rows of one answer.
const maxRows = 1000

// limitFlag declares the flag that says how many rows a list has at most.
func limitFlag(flags *flag.FlagSet, what string) *int {
	limit := new(100)
	flags.Var((*rowLimit)(limit), "n", "`N` "+what+" at most, 1 to 1000")
	return limit
}

// pageFlags declares the flags of a list that has pages.
func pageFlags(flags *flag.FlagSet, what string) (limit *int, cursor *string) {
	return limitFlag(flags, what), flags.String("cursor", "", "`CURSOR` that the page before ended with")
}

// place is what answers a verb: a server, or an engine upon a data directory.
type place struct {
	*client.Client
	site string // of the server
	shut func() // of the engine; nil: it is a server
}

func (p *place) close() {
	p.Close()
	if p.shut != nil {
		p.shut()
	}
}

// open returns what answers the verb.
func (r *remote) open(std Stdio, how access) (*place, error) {
	if *r.dir != "" {
		return openDirectory(std, *r.dir, how == reading)
	}
	return openSite(*r.site, r.token, r.patient)
}

// openSite returns the server, asked with the token that is found for it. It sends a request
// once, unless it is patient: who has asked sees at once that it failed, and knows what it was.
func openSite(site string, find func() (string, error), patient bool) (*place, error) {
	token, err := find()
	if err != nil {
		return nil, err
	}
	site = strings.TrimSuffix(siteURL(site), "/")
	attempts := 1
	if patient {
		attempts = 0 // as many as the client makes by default
	}
	c, err := client.New(site, client.Options{Token: token, UserAgent: "carillon-command", Attempts: attempts, NoKeys: true})
	if err != nil {
		return nil, usageError{fmt.Errorf("--server is %q, want host:port, or a URL such as http://%s", site, defaultListen)}
	}
	return &place{Client: c, site: site}, nil
}

// siteURL is the URL of a server that is given as host:port, or as a URL.
func siteURL(site string) string {
	if site == "" || strings.Contains(site, "://") {
		return site
	}
	return "http://" + site
}

// appOf refuses a line without an app, before anything is opened.
func (r *remote) appOf() (string, error) {
	app, err := checkApp(*r.app)
	return string(app), err
}

// ask asks about the app of the flags, and prints the answer as JSON, or else with text.
func ask[R any](ctx context.Context, r *remote, std Stdio, how access, do func(*client.App, context.Context) (R, error), text func(io.Writer, R)) error {
	app, err := r.appOf()
	if err != nil {
		return err
	}
	of := func(c *client.Client, ctx context.Context) (R, error) { return do(c.App(app), ctx) }
	return askStore(ctx, r, std, how, of, text)
}

// askStore asks, and prints the answer as JSON, or else with text.
func askStore[R any](ctx context.Context, r *remote, std Stdio, how access, do func(*client.Client, context.Context) (R, error), text func(io.Writer, R)) error {
	form, err := r.output()
	if err != nil {
		return err
	}
	at, err := r.open(std, how)
	if err != nil {
		return err
	}
	defer at.close()
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	result, err := do(at.Client, ctx)
	if err != nil {
		return at.told(err)
	}
	if form != formTable {
		all, err := json.Marshal(result)
		if err != nil {
			return err
		}
		if err := printAs(std.Out, form, all, r.rows); err != nil {
			return err
		}
		if form == formLines && r.rows != "" {
			var page struct{ Next string }
			if json.Unmarshal(all, &page) == nil { // the rows do not tell that the list goes on
				sayMore(std.Err, page.Next)
			}
		}
		return nil
	}
	text(std.Out, result)
	return nil
}

// affected is the answer of a change of one job.
func affected(err error) (api.Affected, error) { return api.Affected{Jobs: 1}, err }

// told is the error of a request in the words of the command: with what most often is the matter,
// and what to do then.
func (p *place) told(err error) error {
	e, ok := errors.AsType[*client.Error](err)
	if !ok {
		return err
	}
	message := e.Message
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		message = fmt.Sprintf(`connection refused: nothing listens at %s: does the server run, and is it the one that --server names?`, p.site)
	case e.Code == api.CodeDeadlineExceeded && e.Status == 0:
		message = fmt.Sprintf("%s has not answered within %v: what was asked may have been done", p.site, requestTimeout)
	case e.Status == 0 && p.shut == nil:
		message = p.site + ": " + message
	case strings.HasPrefix(message, "no route "): // it takes their paths for mistakes
		message = p.site + " serves no routes for operators"
	case strings.HasSuffix(message, "is none of the server's"):
		message = p.site + ": " + message + "; is it another server?"
	case e.Code == api.CodeUnauthenticated:
		message += "; show a token with --token-file, --token or $" + tokenVariable + `: "tokens create" makes one`
	case e.Code == api.CodeNotFound && strings.HasPrefix(message, "no such app ") && strings.HasSuffix(message, `"`):
		message += `; "apps list" lists those that there are`
	}
	if e.RequestID != "" {
		message += ": the server's log says more of request " + e.RequestID
	}
	return &dispatch.Error{Code: dispatch.Code(e.Code), Path: e.Path, Message: message, RetryAfter: e.RetryAfter}
}
