package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"carillon/dispatch"
)

// Path is the function whose jobs are the deliveries.
const Path = "carillon:webhook"

// How long one delivery may take, and what secrets are like.
const (
	Timeout       = 15 * time.Second
	MinSecretSize = 24 // bytes
	MaxSecretSize = 64
	secretPrefix  = "whsec_"
)

// Options are where alerts are sent.
type Options struct {
	// URL is an absolute one of https, or of http on this machine (localhost, 127.0.0.0/8, ::1).
	URL string

	// Secret is "whsec_" and base64 of MinSecretSize to MaxSecretSize bytes.
	Secret string

	// Client sends the requests. The default follows no redirect and keeps two idle connections.
	// Whichever it is, a delivery has Timeout.
	Client *http.Client
}

// Register binds the function at Path and has the registry's alerts go to it. The error says what
// of the options is wrong, and nothing is bound then. It panics as Registry.AlertTo does.
func Register(reg *dispatch.Registry, opts Options) error {
	s, err := newSender(opts)
	if err != nil {
		return err
	}
	// Waits of up to 30 s, 1 min, … 2 h, half as long on average: about a day in all.
	deliver := dispatch.InternalAction[dispatch.Alert, dispatch.None](Path, dispatch.Deadline(2*Timeout),
		dispatch.Retry(dispatch.RetryPolicy{MaxAttempts: 32, Base: 30 * time.Second, Max: 2 * time.Hour, Jitter: true}))
	deliver.Handle(reg, func(ctx *dispatch.ActionCtx, a dispatch.Alert) (dispatch.None, error) {
		return dispatch.None{}, s.send(ctx, ctx.Job.IdempotencyKey(), ctx.Now, a)
	})
	reg.AlertTo(deliver)
	return nil
}

// sender sends alerts to one URL.
type sender struct {
	url    string
	secret []byte
	client *http.Client
}

func newSender(opts Options) (*sender, error) {
	if err := checkURL(opts.URL); err != nil {
		return nil, err
	}
	secret, err := decodeSecret(opts.Secret)
	if err != nil {
		return nil, err
	}
	s := &sender{opts.URL, secret, opts.Client}
	if s.client == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConns = 2
		s.client = &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return s, nil
}

func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return errors.New("webhook: the URL is not an absolute one") // its text may have a password
	}
	ip := net.ParseIP(u.Hostname())
	local := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return fmt.Errorf("webhook: the URL is of %q, want https, or http on this machine", u.Scheme)
	}
	return nil
}

func decodeSecret(text string) ([]byte, error) {
	coded, ok := strings.CutPrefix(text, secretPrefix)
	if !ok {
		return nil, fmt.Errorf("webhook: the secret does not begin with %q", secretPrefix)
	}
	secret, err := base64.StdEncoding.DecodeString(coded)
	if err != nil {
		return nil, fmt.Errorf("webhook: what follows %q in the secret is not base64", secretPrefix)
	}
	if n := len(secret); n < MinSecretSize || n > MaxSecretSize {
		return nil, fmt.Errorf("webhook: the secret has %d bytes, want %d to %d", n, MinSecretSize, MaxSecretSize)
	}
	return secret, nil
}

// send delivers the alert once. The id is the same in each attempt.
func (s *sender) send(ctx context.Context, id string, now time.Time, a dispatch.Alert) error {
	body, err := json.Marshal(a)
	if err != nil {
		return dispatch.Permanent(err)
	}
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return dispatch.Permanent(errors.New("the webhook's URL makes no request"))
	}
	stamp := strconv.FormatInt(now.Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "carillon-webhook")
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", stamp)
	req.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(sign(s.secret, id, stamp, body)))
	resp, err := s.client.Do(req)
	if err != nil {
		var ofURL *url.Error
		if errors.As(err, &ofURL) {
			err = ofURL.Err // without the URL, which may have a password
		}
		return dispatch.Errorf(dispatch.CodeUnavailable, "the webhook could not be reached: %v", err)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // so that the connection can be used again
	return answered(resp)
}

// answered is what the answer means.
func answered(resp *http.Response) error {
	code := resp.StatusCode
	err := dispatch.Errorf(dispatch.CodeUnavailable, "the webhook has answered with %d", code)
	after, convErr := strconv.Atoi(resp.Header.Get("Retry-After"))
	switch {
	case code >= 200 && code < 300:
		return nil
	case code == http.StatusGone:
		return dispatch.Permanent(err)
	case (code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable) && convErr == nil && after > 0:
		return dispatch.RetryAfter(time.Duration(min(after, int(dispatch.MaxRetryAfter/time.Second)))*time.Second, dispatch.Because(err))
	}
	return err
}

// sign is the signature of what Standard Webhooks signs.
func sign(secret []byte, id, stamp string, body []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(id + "." + stamp + "."))
	mac.Write(body)
	return mac.Sum(nil)
}

// MaxSkew is how far the timestamp of a request may be from now.
const MaxSkew = 5 * time.Minute

// Verify says whether the request, whose body was read already, was signed with the secret no
// longer than MaxSkew before or after now. A receiver that wants each alert once keeps the
// header webhook-id.
func Verify(secret string, header http.Header, body []byte, now time.Time) error {
	key, err := decodeSecret(secret)
	if err != nil {
		return err
	}
	id, stamp := header.Get("Webhook-Id"), header.Get("Webhook-Timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || id == "" {
		return errors.New("webhook: no id or no timestamp")
	}
	if skew := now.Sub(time.Unix(seconds, 0)); skew > MaxSkew || skew < -MaxSkew {
		return fmt.Errorf("webhook: the timestamp is off by %v, more than %v", skew.Round(time.Second), MaxSkew)
	}
	want := sign(key, id, stamp, body)
	for word := range strings.FieldsSeq(header.Get("Webhook-Signature")) {
		coded, ok := strings.CutPrefix(word, "v1,")
		got, err := base64.StdEncoding.DecodeString(coded)
		if ok && err == nil && hmac.Equal(got, want) {
			return nil
		}
	}
	return errors.New("webhook: the signature is not one of this secret")
}
