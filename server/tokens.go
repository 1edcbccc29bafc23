package server

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"slices"
	"strings"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/server/api"
	"carillon/storage"
)

// A token is tokenPrefix, the id, "_" and a secret of 130 random bits. Its prefix tells a
// token that was sent to the wrong door, or has got into a log, from any other text.
const (
	tokenPrefix = "carillon_"
	tokenIDLen  = 10
)

// Tokens is an Options.Operator for the tokens of the engine's store, in the header
// "Authorization: Bearer …", and for sessions of the dashboard that began with one. A token that is unknown, expired or revoked is refused, from the
// next request on, and all of them alike.
func Tokens(eng *actors.Engine) func(*http.Request) (*Operator, error) {
	return func(r *http.Request) (*Operator, error) {
		text, given := bearer(r)
		if session := sessionOf(r.Context()); !given && session != "" {
			return ofSession(eng, session)
		}
		if !given {
			return nil, dispatch.Errorf(dispatch.CodeUnauthenticated, `operators need the header "Authorization: Bearer …" with a token`)
		}
		id, secret, _ := strings.Cut(strings.TrimPrefix(text, tokenPrefix), "_")
		token, known, err := eng.Tokens().Get(id)
		if err != nil {
			return nil, err
		}
		// Digests are of one length, so that the time it takes tells nothing of the token.
		hash := sha256.Sum256([]byte(secret))
		same := subtle.ConstantTimeCompare(hash[:], token.Hash[:]) == 1
		if !known || !same || !strings.HasPrefix(text, tokenPrefix) || expired(&token, eng.Clock().Wall) {
			if err := eng.Held(); err != nil { // the next owner may know it
				return nil, err
			}
			return nil, dispatch.Errorf(dispatch.CodeUnauthenticated, "this token is not good: it is unknown, has expired or was revoked")
		}
		return operatorOf(&token), nil
	}
}

// bearer is the credential of a request.
func bearer(r *http.Request) (text string, given bool) {
	scheme, text, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.TrimSpace(text), true
}

// expired says whether the token is good for nothing any more.
func expired(token *storage.Token, now time.Time) bool {
	return !token.ExpiresAt.IsZero() && !now.Before(token.ExpiresAt)
}

func operatorOf(token *storage.Token) *Operator {
	op := &Operator{Name: token.Name, Apps: token.Apps, AllApps: token.AllApps}
	for _, scope := range token.Scopes {
		op.Scopes = append(op.Scopes, Scope(scope))
	}
	return op
}

// NewToken makes a token that lets the operator in, until expiresAt unless that is zero. It is
// durable when NewToken returns. The text is shown here and never again: only its hash is kept.
// Errors: invalid_argument for a scope that there is not or what storage.Tokens refuses.
func NewToken(tokens storage.Tokens, op Operator, now, expiresAt time.Time) (text string, token storage.Token, err error) {
	for _, scope := range op.Scopes {
		if !slices.Contains(Scopes(), scope) {
			return "", token, dispatch.Errorf(dispatch.CodeInvalidArgument, "unknown scope %.32q, want any of %q", string(scope), Scopes())
		}
	}
	switch {
	case len(op.Scopes) == 0:
		return "", token, dispatch.Errorf(dispatch.CodeInvalidArgument, "a token needs scopes, any of %q", Scopes())
	case op.AllApps == (len(op.Apps) > 0):
		return "", token, dispatch.Errorf(dispatch.CodeInvalidArgument, "a token is for some apps or for all: which?")
	case !expiresAt.IsZero() && !expiresAt.After(now):
		return "", token, dispatch.Errorf(dispatch.CodeInvalidArgument, "the token would have expired at %s already", expiresAt.UTC().Format(time.RFC3339))
	}
	secret := rand.Text()
	token = storage.Token{
		ID: strings.ToLower(rand.Text()[:tokenIDLen]), Name: op.Name, Apps: op.Apps, AllApps: op.AllApps,
		Hash: sha256.Sum256([]byte(secret)), CreatedAt: now, ExpiresAt: expiresAt,
	}
	for _, scope := range op.Scopes {
		token.Scopes = append(token.Scopes, string(scope))
	}
	if err := tokens.Add(token); err != nil {
		return "", token, err
	}
	return tokenPrefix + token.ID + "_" + secret, token, nil
}

// TokenOf is a token of a store in JSON, as of an instant.
func TokenOf(t *storage.Token, now time.Time) api.Token {
	return api.Token{
		ID: t.ID, Name: t.Name, Apps: each(t.Apps, func(app storage.AppID) string { return string(app) }), AllApps: t.AllApps,
		Scopes: each(t.Scopes, func(scope string) api.Scope { return api.Scope(scope) }), CreatedAt: t.CreatedAt.UTC(),
		ExpiresAt: instant(t.ExpiresAt), Expired: expired(t, now),
	}
}

func (h *handler) listTokens(http.ResponseWriter, *request) (int, any, error) {
	all, err := h.eng.Tokens().List()
	if held := h.eng.Held(); held != nil { // the next owner may have others
		err = held
	}
	if err != nil {
		return 0, nil, err
	}
	shown, now := []api.Token{}, h.eng.Clock().Wall
	for i := range all {
		shown = append(shown, TokenOf(&all[i], now))
	}
	return http.StatusOK, shown, nil
}

// createToken makes a token with no more scopes than its maker has.
func (h *handler) createToken(w http.ResponseWriter, r *request) (int, any, error) {
	var body api.NewToken
	if status, err := h.decodeBody(w, r, &body); err != nil {
		return status, nil, err
	}
	for _, scope := range body.Scopes {
		if slices.Contains(Scopes(), scope) {
			if err := r.op.need(scope); err != nil {
				return 0, nil, err
			}
		}
	}
	now := h.eng.Clock().Wall
	text, token, err := NewToken(h.tokens(r), Operator{body.Name, each(body.Apps, func(app string) storage.AppID { return storage.AppID(app) }), body.AllApps, body.Scopes}, now, body.ExpiresAt)
	if err != nil {
		return 0, nil, err
	}
	shown := TokenOf(&token, now)
	shown.Token = text
	return http.StatusCreated, shown, nil
}

func (h *handler) revokeToken(w http.ResponseWriter, r *request) (int, any, error) {
	id := r.PathValue("id")
	known, err := h.tokens(r).Remove(id)
	if err == nil && !known {
		err = dispatch.Errorf(dispatch.CodeNotFound, "no token %.64q", id)
	}
	if err != nil {
		return 0, nil, err
	}
	h.opts.Connections.Recheck()
	return http.StatusOK, api.Empty{}, nil
}
