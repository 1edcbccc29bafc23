package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// issuerKeys are the keys of an issuer. It is asked for them when a token names one that is not
// known, and in each keysFor, so that one that it has withdrawn is forgotten; but once in
// issuerPause at most.
//
// They are no oidc.RemoteKeySet, since that one may give a request the answer that the request
// before it had, and has no way to be asked less often.
type issuerKeys struct {
	client *http.Client
	url    string

	asking sync.Mutex // held while the issuer is asked

	mu      sync.Mutex
	known   []jose.JSONWebKey
	askedAt time.Time // of the issuer; no matter what it answered
	failed  error     // what it answered
	fresh   time.Time // when known was asked for
}

// verify is KeySet.VerifySignature. down is not nil if the issuer could not be asked for keys.
func (k *issuerKeys) verify(jwt string) (payload []byte, err, down error) {
	token, err := jose.ParseSigned(jwt, algorithms())
	if err != nil {
		return nil, err, nil
	}
	known, current, _ := k.have()
	if payload, err = verifyWith(known, token); err == nil && current {
		return payload, nil, nil
	}
	switch {
	case err != nil:
		k.asking.Lock()
	case !k.asking.TryLock(): // another request looks whether the key is still there
		return payload, nil, nil
	}
	k.ask()
	k.asking.Unlock()
	known, current, failed := k.have()
	if err == nil && !current {
		return payload, nil, nil // the issuer is down: what is known goes on
	}
	if payload, err = verifyWith(known, token); err != nil {
		down = failed
	}
	return payload, err, down
}

// have returns the keys that are known, and whether they are so young that the issuer is not asked
// for them again; and what is wrong with the issuer.
func (k *issuerKeys) have() (known []jose.JSONWebKey, current bool, failed error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.known, time.Since(k.fresh) < keysFor, k.failed
}

// ask asks the issuer for its keys, unless it was asked a moment ago. asking is held.
func (k *issuerKeys) ask() {
	k.mu.Lock()
	now, ago := time.Now(), time.Since(k.askedAt)
	early := !k.askedAt.IsZero() && ago < issuerPause
	k.mu.Unlock()
	if early {
		return
	}
	keys, err := k.fetch()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.askedAt, k.failed = now, err; err == nil {
		k.known, k.fresh = keys, now
	}
}

// fetch returns the keys that the issuer has, but for those of a kind that is not understood
// (RFC 7517, section 5).
func (k *issuerKeys) fetch() ([]jose.JSONWebKey, error) {
	resp, err := k.client.Get(k.url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("its keys are answered with %s", resp.Status)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&set); err != nil {
		return nil, fmt.Errorf("its keys cannot be read: %w", err)
	}
	var keys []jose.JSONWebKey
	for _, text := range set.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(text, &key) == nil {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// verifyWith returns what a token says, if one of the keys signed it.
func verifyWith(keys []jose.JSONWebKey, token *jose.JSONWebSignature) ([]byte, error) {
	if len(token.Signatures) != 1 {
		return nil, errors.New("want one signature")
	}
	id := token.Signatures[0].Header.KeyID
	for _, key := range keys {
		if id == "" || key.KeyID == id {
			if payload, err := token.Verify(&key); err == nil {
				return payload, nil
			}
		}
	}
	return nil, errors.New("no key of the issuer signed it")
}

// algorithms are signatures, as jose names them.
func algorithms() []jose.SignatureAlgorithm {
	named := make([]jose.SignatureAlgorithm, len(signatures))
	for i, name := range signatures {
		named[i] = jose.SignatureAlgorithm(name)
	}
	return named
}

// keyLookup is the oidc.KeySet of one token.
type keyLookup struct {
	KeySet *issuerKeys
	down   error // the issuer could not be asked
}

// VerifySignature implements oidc.KeySet.
func (l *keyLookup) VerifySignature(_ context.Context, jwt string) (payload []byte, err error) {
	payload, err, l.down = l.KeySet.verify(jwt)
	return payload, err
}
