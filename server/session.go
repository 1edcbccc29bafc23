package server

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"carillon/actors"
	"carillon/dispatch"
)

// A session of the dashboard is a cookie that names a token by its id, and says until when: it is no
// credential but of the pages, and lets in what the token lets in, as long as that is good.
const (
	sessionCookie = "carillon_session"
	// sessionLife is how long a session lasts, whatever is done in it.
	sessionLife = 12 * time.Hour
)

// sessionKey is the key in a context of the id of the session's token.
type sessionKey struct{}

// sessionOf is the id of the token of the session that the request is of; "" if it is of none.
func sessionOf(ctx context.Context) string {
	id, _ := ctx.Value(sessionKey{}).(string)
	return id
}

// ofSession is the operator of a session with the token's id, which has to be good still.
func ofSession(eng *actors.Engine, id string) (*Operator, error) {
	token, known, err := eng.Tokens().Get(id)
	if err != nil {
		return nil, err
	}
	if !known || expired(&token, eng.Clock().Wall) {
		if err := eng.Held(); err != nil { // the next owner may know it
			return nil, err
		}
		return nil, dispatch.Errorf(dispatch.CodeUnauthenticated, "this session's token has expired or was revoked: sign in again")
	}
	return operatorOf(&token), nil
}

// hostSession begins what a session of Options.Token names: no id of a token has a dash.
const hostSession = "host-"

// hostSessionID is what a session of Options.Token names: not the same of another one, and nothing to guess the token by.
func (h *handler) hostSessionID() (string, error) {
	key, err := h.eng.Tokens().SessionKey()
	return hostSession + seal(key, "host "+h.opts.Token), err
}

// newSession is the cookie of a session that begins now.
func (h *handler) newSession(r *http.Request, id string) (*http.Cookie, error) {
	key, err := h.eng.Tokens().SessionKey()
	if err != nil {
		return nil, err
	}
	text := id + "." + strconv.FormatInt(h.eng.Clock().Wall.Add(sessionLife).Unix(), 10)
	return h.cookie(r, text+"."+seal(key, text), int(sessionLife/time.Second)), nil
}

// cookie is that of sessions. Its maxAge is as that of http.Cookie.
func (h *handler) cookie(r *http.Request, value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: sessionCookie, Value: value, Path: h.opts.BasePath + dashboardPattern, MaxAge: maxAge,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: r.TLS != nil,
	}
}

// seal is what only the server can write behind the text.
func seal(key []byte, text string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("session " + text))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// withSession is the request, with the session that its cookie is of, if it is of one.
func (h *handler) withSession(r *http.Request) (*http.Request, error) {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return r, nil // there is none
	}
	key, err := h.eng.Tokens().SessionKey()
	if err != nil {
		return r, err
	}
	dot := strings.LastIndexByte(cookie.Value, '.')
	if dot < 0 || !hmac.Equal([]byte(cookie.Value[dot+1:]), []byte(seal(key, cookie.Value[:dot]))) {
		return r, nil
	}
	id, until, _ := strings.Cut(cookie.Value[:dot], ".")
	seconds, err := strconv.ParseInt(until, 10, 64)
	if err != nil || !h.eng.Clock().Wall.Before(time.Unix(seconds, 0)) {
		return r, nil
	}
	return r.WithContext(context.WithValue(r.Context(), sessionKey{}, id)), nil
}
