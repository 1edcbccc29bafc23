package remote

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"carillon/dispatch"
)

// MinSecret and MaxSecret bound a secret, in bytes.
const (
	MinSecret = 16
	MaxSecret = 1024
)

// MaxAge is how far a request's timestamp may be from the worker's clock.
const MaxAge = 5 * time.Minute

// The headers of a request beside its body.
const (
	bodySignature = "X-Lunora-Scheduler-Signature"
	fullSignature = "X-Carillon-Signature"
	attemptHeader = "X-Carillon-Attempt"
	timeHeader    = "X-Carillon-Timestamp"
)

func (c *Caller) sign(h http.Header, call *dispatch.RemoteCall, body []byte) {
	attempt, stamp := strconv.Itoa(call.Attempt), strconv.FormatInt(c.now().Unix(), 10)
	h.Set(bodySignature, mac(c.secret, body))
	h.Set(attemptHeader, attempt)
	h.Set(timeHeader, stamp)
	h.Set(fullSignature, mac(c.secret, full(string(call.App), string(call.Job), attempt, stamp, body)))
}

func mac(secret, text []byte) string {
	h := hmac.New(sha256.New, secret)
	h.Write(text)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// full is what the second signature is of.
func full(app, job, attempt, stamp string, body []byte) []byte {
	return fmt.Appendf(nil, "carillon/1\n%s\n%s\n%s\n%s\n%s", app, job, attempt, stamp, body)
}

// Verify returns what a worker in Go is asked, and in which attempt (0: it is no job's), if the
// request has both signatures, made with the secret no longer than MaxAge before or after now. A
// worker that is given the same ID and attempt again is given a copy: it must not run that.
func Verify(secret string, h http.Header, body []byte, now time.Time) (d Dispatch, attempt int, err error) {
	bad := errors.New("remote: the request is not signed with the secret")
	if err := json.Unmarshal(body, &d); err != nil {
		return Dispatch{}, 0, bad
	}
	number, stamp := h.Get(attemptHeader), h.Get(timeHeader)
	ofBody, ofAll := mac([]byte(secret), body), mac([]byte(secret), full(d.InstanceName, d.ID, number, stamp, body))
	if !hmac.Equal([]byte(h.Get(bodySignature)), []byte(ofBody)) || !hmac.Equal([]byte(h.Get(fullSignature)), []byte(ofAll)) {
		return Dispatch{}, 0, bad
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err == nil {
		attempt, err = strconv.Atoi(number)
	}
	if err != nil {
		return Dispatch{}, 0, bad
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > MaxAge || age < -MaxAge {
		return Dispatch{}, 0, fmt.Errorf("remote: the request was signed %v ago, want at most %v", age.Round(time.Second), MaxAge)
	}
	return d, attempt, nil
}
