package oidc

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"carillon/dispatch"
)

// Bounds of what is asked of an issuer of tokens.
const (
	issuerTimeout = 5 * time.Second
	issuerAnswer  = 1 << 20 // bytes
	// issuerPause is how long the issuer is left alone after it was asked, so that tokens that
	// are made up, or its fault, do not make it be asked for each.
	issuerPause = 5 * time.Second
	// keysFor is how long its keys are trusted without looking whether it still has them.
	keysFor = time.Hour
	// clockSkew is how long a token is good after its end, since clocks differ.
	clockSkew = 30 * time.Second
	// maxCredential is how long a token may be, in bytes.
	maxCredential = 16 << 10
)

// signatures are how a token may be signed: each by a key that only the issuer has.
var signatures = []string{oidc.RS256, oidc.PS256, oidc.ES256, oidc.ES384, oidc.EdDSA}

// protocolClaims are about a token, and not about its subject.
var protocolClaims = []string{"sub", "aud", "exp", "nbf", "iat", "jti", "nonce", "at_hash", "c_hash"}

// Issuer lets clients in that have a token of an issuer, as the flags of serve say. It is
// the Clients of carillon/cmd.Options. The zero value is ready for use; without the flags
// it lets every client in, as no one in particular.
type Issuer struct {
	issuer, audience string
	claim            string // that has the apps of the token; "": each token is for any
	anyApp           bool
	anonymous        bool // a request without a token is let in

	transport issuerTransport
	mu        sync.Mutex // held while the issuer is asked what it is
	keys      *issuerKeys
	triedAt   time.Time
}

// Flags declares the flags of serve that say which issuer it is, and what its tokens are for.
func (c *Issuer) Flags(flags *flag.FlagSet) {
	flags.StringVar(&c.issuer, "oidc-issuer", "", "`URL` of the OpenID Connect issuer whose tokens clients call with; without it anyone calls")
	flags.StringVar(&c.audience, "oidc-audience", "", "`NAME` that a token has to be for")
	flags.StringVar(&c.claim, "oidc-app-claim", "", "`CLAIM` of a token that names the app, or apps, it is for")
	flags.BoolVar(&c.anyApp, "oidc-any-app", false, "let each token call every app, in the place of --oidc-app-claim")
	flags.BoolVar(&c.anonymous, "oidc-anonymous", false, "let clients without a token call, too, as anonymous ones")
}

// Identify returns what says who sends a request, and whose tokens that wants, for people;
// or nil if there is no issuer. It asks the issuer nothing yet.
func (c *Issuer) Identify() (identify func(*http.Request) (*dispatch.Identity, error), whose string, err error) {
	if err := c.check(); err != nil || c.issuer == "" {
		return nil, "", err
	}
	return c.identify, "tokens of " + c.issuer, nil
}

// check says what is wrong with the flags.
func (c *Issuer) check() error {
	if c.issuer == "" {
		if c.audience != "" || c.claim != "" || c.anyApp || c.anonymous {
			return errors.New("--oidc-issuer is missing")
		}
		return nil
	}
	u, err := url.Parse(c.issuer)
	local := err == nil && u.Scheme == "http" && (u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1" || u.Hostname() == "::1")
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && !local:
		return fmt.Errorf("--oidc-issuer is %q, want an https URL", c.issuer)
	case c.audience == "":
		return errors.New("--oidc-audience is missing: who are the tokens for?")
	case (c.claim == "") == !c.anyApp:
		return errors.New("want either --oidc-app-claim, which says what apps a token is for, or --oidc-any-app")
	}
	return nil
}

// identify is server.Options.Identify.
func (c *Issuer) identify(r *http.Request) (*dispatch.Identity, error) {
	credential := r.Header.Get("Authorization")
	if credential == "" && c.anonymous {
		return nil, nil
	}
	scheme, text, _ := strings.Cut(credential, " ")
	if text = strings.TrimSpace(text); !strings.EqualFold(scheme, "Bearer") || text == "" || len(text) > maxCredential {
		return nil, unauthenticated(`clients need the header "Authorization: Bearer …" with a token of the issuer`, nil)
	}
	keys, err := c.discover()
	if err != nil {
		return nil, unavailable(err)
	}
	asked := &keyLookup{KeySet: keys}
	verifier := oidc.NewVerifier(c.issuer, asked, &oidc.Config{
		ClientID: c.audience, SupportedSigningAlgs: signatures, Now: func() time.Time { return time.Now().Add(-clockSkew) },
	})
	token, err := verifier.Verify(r.Context(), text)
	switch {
	case asked.down != nil:
		return nil, unavailable(asked.down)
	case err != nil:
		return nil, unauthenticated("this token is not good", err)
	case token.Subject == "":
		return nil, unauthenticated("this token has no subject", nil)
	}
	claims := map[string]any{}
	if err := token.Claims(&claims); err != nil {
		return nil, unauthenticated("the claims of this token cannot be read", err)
	}
	if app := r.PathValue("app"); !c.anyApp && !claimNames(claims[c.claim], app) {
		return nil, dispatch.Errorf(dispatch.CodePermissionDenied, "this token is not for app %.64q", app)
	}
	for _, name := range protocolClaims {
		delete(claims, name)
	}
	return &dispatch.Identity{Subject: token.Subject, Claims: claims, ExpiresAt: token.Expiry.Add(clockSkew)}, nil
}

// claimNames says whether a claim is the app, or a list that has it.
func claimNames(claim any, app string) bool {
	if list, ok := claim.([]any); ok {
		return slices.Contains(list, any(app))
	}
	return claim == any(app)
}

func unauthenticated(message string, err error) error {
	return &dispatch.Error{Code: dispatch.CodeUnauthenticated, Message: message, Err: err}
}

func unavailable(err error) error {
	return &dispatch.Error{
		Code: dispatch.CodeUnavailable, Message: "the issuer of tokens cannot be asked: nothing was done", RetryAfter: issuerPause, Err: err,
	}
}

// discover returns the issuer's keys. It asks what the issuer is until it has answered once.
func (c *Issuer) discover() (*issuerKeys, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys != nil {
		return c.keys, nil
	}
	if !c.triedAt.IsZero() && time.Since(c.triedAt) < issuerPause {
		return nil, errors.New("it could not be asked a moment ago")
	}
	ctx := oidc.ClientContext(context.Background(), &http.Client{Transport: &c.transport, Timeout: issuerTimeout})
	provider, err := oidc.NewProvider(ctx, c.issuer)
	var metadata struct {
		Keys string `json:"jwks_uri"`
	}
	if err == nil {
		err = provider.Claims(&metadata)
	}
	if err != nil {
		c.triedAt = time.Now()
		slog.Warn("the issuer of tokens cannot be asked", "issuer", c.issuer, "err", err)
		return nil, err
	}
	c.keys = &issuerKeys{client: &http.Client{Transport: &c.transport, Timeout: issuerTimeout}, url: metadata.Keys}
	return c.keys, nil
}

// issuerTransport bounds what an issuer answers.
type issuerTransport struct{}

// RoundTrip implements http.RoundTripper.
func (*issuerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, issuerAnswer), resp.Body}
	}
	return resp, err
}
