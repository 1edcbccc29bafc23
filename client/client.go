package client

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Options are how a Client asks. The zero value works.
type Options struct {
	// Token is sent with every request, as "Authorization: Bearer …": an operator's, or what the
	// server's Identify takes of a client. A server refuses an operator's token where a client
	// is asked for, so that a program that is both has two Clients. Default: none.
	Token string
	// HTTP sends the requests. It must not follow redirects, which the server never answers, and
	// its Timeout, if it has one, ends streams as well. Default: a client of its own, with up to
	// 100 idle connections, which Client.Close closes.
	HTTP *http.Client
	// UserAgent is the header of that name. Default "carillon-client".
	UserAgent string

	// Attempts is how often a request is sent, at most, that may be repeated; 1 never repeats
	// one. Default 8, which takes some 10 s.
	Attempts int
	// Backoff is the wait before the second attempt. It doubles with each, up to MaxBackoff, and
	// is cut by up to a half, at random. Default 100 ms.
	Backoff time.Duration
	// MaxBackoff is the longest wait between attempts, and the longest Retry-After that is waited
	// for: a request that the server puts off for longer fails. Default 5 s.
	MaxBackoff time.Duration
	// AttemptTimeout bounds an attempt of a request that may be repeated whatever has become of
	// it, answer included; the next one follows. Streams have none. Default 0: as long as the
	// context lasts.
	AttemptTimeout time.Duration
	// NoKeys has Call and Schedule draw no idempotency key where WithIdempotencyKey gives none:
	// an app keeps each key for a day, and 100,000 of them. What has no key is repeated only if
	// it is certain that it was not done.
	NoKeys bool
	// MaxAnswer bounds an answer that is held in memory, in bytes; a longer one is an error
	// (resource_exhausted). Streams have no bound. Default 64 MiB.
	MaxAnswer int64
}

func (o Options) withDefaults() Options {
	o.UserAgent = cmp.Or(o.UserAgent, "carillon-client")
	o.Attempts = cmp.Or(o.Attempts, 8)
	o.Backoff = cmp.Or(o.Backoff, 100*time.Millisecond)
	o.MaxBackoff = cmp.Or(o.MaxBackoff, 5*time.Second)
	o.MaxAnswer = cmp.Or(o.MaxAnswer, 64<<20)
	return o
}

func (o *Options) validate() error {
	switch {
	case o.Attempts < 1:
		return invalid("options: Attempts is %d, want 1 or more", o.Attempts)
	case o.Backoff < 0 || o.MaxBackoff < o.Backoff:
		return invalid("options: Backoff is %s and MaxBackoff %s, want 0 or more, and no less", o.Backoff, o.MaxBackoff)
	case o.AttemptTimeout < 0:
		return invalid("options: AttemptTimeout is %s, want 0 or more", o.AttemptTimeout)
	case o.MaxAnswer < 1:
		return invalid("options: MaxAnswer is %d, want 1 or more", o.MaxAnswer)
	case !printable(o.Token) || !printable(o.UserAgent):
		return invalid("options: Token or UserAgent has characters that no header may have")
	}
	return nil
}

// Client asks one server. It is for any number of goroutines.
type Client struct {
	base string // the server's URL, without a slash at its end
	opts Options
	own  *http.Transport // nil if Options.HTTP was given
}

// New returns a client of the server at the URL, such as "https://jobs.example.com/carillon" for
// one whose routes are below "/carillon/v1". It sends nothing. The error, an *Error with
// invalid_argument, is about the URL or the options.
func New(site string, opts Options) (*Client, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	u, err := url.Parse(site)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, invalid("the server's URL is %.256q, want one such as http://127.0.0.1:8377", site)
	}
	c := &Client{base: u.Scheme + "://" + u.Host + strings.TrimRight(u.EscapedPath(), "/"), opts: opts}
	if opts.HTTP == nil {
		c.own = &http.Transport{Proxy: http.ProxyFromEnvironment}
		if t, ok := http.DefaultTransport.(*http.Transport); ok {
			c.own = t.Clone()
		}
		c.own.MaxIdleConnsPerHost = 100
		c.opts.HTTP = &http.Client{Transport: c.own, CheckRedirect: noRedirect}
	}
	return c, nil
}

// noRedirect has an answer that redirects be the answer: the token is for no other host, and a
// POST that becomes a GET is another request.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Close closes idle connections, unless Options.HTTP was given, whose owner does that. Requests
// under way go on.
func (c *Client) Close() {
	if c.own != nil {
		c.own.CloseIdleConnections()
	}
}

// App is one app of the server. It is for any number of goroutines.
type App struct {
	c    *Client
	name string
}

// App returns the app of that name. It sends nothing: whether there is such an app is said by what
// it is asked.
func (c *Client) App(name string) *App { return &App{c, name} }

// Name returns the app's name.
func (a *App) Name() string { return a.name }
