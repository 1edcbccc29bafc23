package oidc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/coreos/go-oidc/v3/oidc/oidctest"
	"go.uber.org/goleak"

	"carillon/cmd"
	"carillon/dispatch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testIssuer is an issuer on this machine.
type testIssuer struct {
	url string

	mu     sync.Mutex
	down   bool
	server oidctest.Server
	asked  int // for its keys
}

func mustIssuer(t *testing.T) *testIssuer {
	i := &testIssuer{}
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.down {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/keys") {
			i.asked++
		}
		i.server.ServeHTTP(w, r)
	}))
	t.Cleanup(site.Close)
	i.url = site.URL
	i.server.SetIssuer(site.URL)
	return i
}

// set changes the issuer.
func (i *testIssuer) set(down bool, keys ...oidctest.PublicKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down, i.server.PublicKeys = down, keys
}

func publicKey(key crypto.Signer, id, alg string) oidctest.PublicKey {
	return oidctest.PublicKey{PublicKey: key.Public(), KeyID: id, Algorithm: alg}
}

// TestOIDCLetsGoodTokensIn: signed by the issuer, for this audience and app, and in time; each other
// credential is refused, and never anonymous.
func TestOIDCLetsGoodTokensIn(t *testing.T) {
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	rs, _ := rsa.GenerateKey(rand.Reader, 2048)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	stranger, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	i := mustIssuer(t)
	i.set(false, publicKey(ec, "ec", oidc.ES256), publicKey(rs, "rs", oidc.RS256), publicKey(ed, "ed", oidc.EdDSA))
	c := &Issuer{issuer: i.url, audience: "carillon", claim: "apps"}
	ask := func(c *Issuer, app, credential string) (*dispatch.Identity, error) {
		r := httptest.NewRequest("POST", "/", nil)
		r.SetPathValue("app", app)
		if credential != "" {
			r.Header.Set("Authorization", credential)
		}
		return c.identify(r)
	}
	end := time.Now().Add(time.Hour).Unix()
	claims := func(change string) string {
		of := fmt.Sprintf(`"iss":%q,"aud":"carillon","sub":"ann","exp":%d,"apps":["acme","globex"],"name":"Ann"`, i.url, end)
		if before, after, ok := strings.Cut(change, " -> "); ok {
			of = strings.Replace(of, before, after, 1)
		}
		return "{" + of + "}"
	}
	sign := func(change string) string {
		return "Bearer " + oidctest.SignIDToken(ec, "ec", oidc.ES256, claims(change))
	}
	for alg, token := range map[string]string{
		oidc.ES256: sign(""),
		oidc.RS256: "bearer " + oidctest.SignIDToken(rs, "rs", oidc.RS256, claims("")),
		oidc.EdDSA: "Bearer " + oidctest.SignIDToken(ed, "ed", oidc.EdDSA, claims("")),
	} {
		id, err := ask(c, "globex", token)
		if err != nil || id.Subject != "ann" || id.Claims["name"] != "Ann" || id.Claims["aud"] != nil || id.ExpiresAt.Unix() != end+int64(clockSkew.Seconds()) {
			t.Errorf("%s: %+v, %v", alg, id, err)
		}
	}
	if _, err := ask(c, "acme", sign(`["acme","globex"] -> "acme"`)); err != nil {
		t.Errorf("one app, and no list: %v", err)
	}
	if _, err := ask(c, "acme", sign(`"exp": -> "e":1,"exp":`)); err != nil {
		t.Errorf("another claim: %v", err)
	}
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims(""))) + "."
	good := sign("")
	past := func(d time.Duration) string { return fmt.Sprintf("exp\":%d", time.Now().Add(-d).Unix()) }
	now := fmt.Sprintf("exp\":%d", end)
	for name, tt := range map[string]struct {
		app, credential string
		code            dispatch.Code
	}{
		"no token":             {"acme", "", dispatch.CodeUnauthenticated},
		"no bearer":            {"acme", "Basic YTpi", dispatch.CodeUnauthenticated},
		"an empty one":         {"acme", "Bearer ", dispatch.CodeUnauthenticated},
		"nonsense":             {"acme", "Bearer x.y.z", dispatch.CodeUnauthenticated},
		"a long one":           {"acme", good + strings.Repeat("A", 20<<10), dispatch.CodeUnauthenticated},
		"unsigned":             {"acme", "Bearer " + none, dispatch.CodeUnauthenticated},
		"changed":              {"acme", good[:len(good)-4] + "AAAA", dispatch.CodeUnauthenticated},
		"another signer":       {"acme", "Bearer " + oidctest.SignIDToken(stranger, "ec", oidc.ES256, claims("")), dispatch.CodeUnauthenticated},
		"another algorithm":    {"acme", "Bearer " + oidctest.SignIDToken(rs, "rs", oidc.RS512, claims("")), dispatch.CodeUnauthenticated},
		"another issuer":       {"acme", sign(i.url + " -> https://other.example"), dispatch.CodeUnauthenticated},
		"another audience":     {"acme", sign(`"carillon" -> "other"`), dispatch.CodeUnauthenticated},
		"no subject":           {"acme", sign(`"ann" -> ""`), dispatch.CodeUnauthenticated},
		"no end":               {"acme", sign(`"exp" -> "xxx"`), dispatch.CodeUnauthenticated},
		"expired":              {"acme", sign(now + " -> " + past(clockSkew+2*time.Second)), dispatch.CodeUnauthenticated},
		"another app":          {"other", good, dispatch.CodePermissionDenied},
		"no app":               {"acme", sign(`"apps" -> "ap"`), dispatch.CodePermissionDenied},
		"an app within a name": {"acm", sign(`["acme","globex"] -> "acme"`), dispatch.CodePermissionDenied},
	} {
		if id, err := ask(c, tt.app, tt.credential); err == nil || dispatch.AsError(err).Code != tt.code {
			t.Errorf("%s: %+v, %v, want %s", name, id, err, tt.code)
		}
	}
	if _, err := ask(c, "acme", sign(now+" -> "+past(clockSkew-10*time.Second))); err != nil {
		t.Errorf("expired within the skew of clocks: %v", err)
	}
	open := &Issuer{issuer: i.url, audience: "carillon", anyApp: true, anonymous: true}
	if id, err := ask(open, "any", ""); id != nil || err != nil {
		t.Errorf("no token, where that is let in: %+v, %v", id, err)
	}
	if id, err := ask(open, "any", good); err != nil || id.Subject != "ann" {
		t.Errorf("any app: %+v, %v", id, err)
	}
	if id, err := ask(open, "any", "Bearer bad"); err == nil {
		t.Errorf("a bad token where none is needed: %+v", id)
	}
}

// TestOIDCFollowsItsIssuer: one that is down at first, whose keys are rotated and withdrawn, and
// that is not asked for each token that is made up.
func TestOIDCFollowsItsIssuer(t *testing.T) {
	first, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	second, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	i := mustIssuer(t)
	c := &Issuer{issuer: i.url, audience: "carillon", anyApp: true}
	code := func(key crypto.PrivateKey, id string) dispatch.Code {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("Authorization", "Bearer "+oidctest.SignIDToken(key, id, oidc.ES256, fmt.Sprintf(`{"iss":%q,"aud":"carillon","sub":"ann","exp":%d}`, i.url, time.Now().Add(time.Hour).Unix())))
		_, err := c.identify(r)
		if err == nil {
			return "ok"
		}
		return dispatch.AsError(err).Code
	}
	is := func(what string, got, want dispatch.Code) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	later := func(d time.Duration) { // the issuer was asked so long ago
		c.triedAt = c.triedAt.Add(-d)
		if k := c.keys; k != nil {
			k.askedAt, k.fresh = k.askedAt.Add(-d), k.fresh.Add(-d)
		}
	}
	i.set(true)
	is("the issuer is down", code(first, "1"), dispatch.CodeUnavailable)
	i.set(false, publicKey(first, "1", oidc.ES256))
	is("asked a moment ago", code(first, "1"), dispatch.CodeUnavailable)
	later(issuerPause)
	is("it is up", code(first, "1"), "ok")
	for range 5 {
		is("a key that is made up", code(second, "x"), dispatch.CodeUnauthenticated)
	}
	if i.asked != 1 {
		t.Errorf("the issuer was asked %d times for its keys", i.asked)
	}
	i.set(false, publicKey(first, "1", oidc.ES256), publicKey(second, "2", oidc.ES256))
	later(issuerPause)
	is("a new key", code(second, "2"), "ok")
	is("the old one with it", code(first, "1"), "ok")
	i.set(true)
	later(issuerPause)
	is("a known key while the issuer is down", code(first, "1"), "ok")
	is("an unknown one", code(first, "3"), dispatch.CodeUnavailable)
	later(keysFor)
	is("a known key while the issuer is down for long", code(first, "1"), "ok")
	i.set(false, publicKey(second, "2", oidc.ES256))
	is("a withdrawn key, a moment later", code(first, "1"), "ok")
	later(keysFor)
	is("a withdrawn key, an hour later", code(first, "1"), dispatch.CodeUnauthenticated)
	is("the other one", code(second, "2"), "ok")
}

// TestOIDCFlags refuses what is not whole.
func TestOIDCFlags(t *testing.T) {
	for _, args := range []string{
		"--oidc-audience a", "--oidc-any-app", "--oidc-anonymous", "--oidc-issuer https://i.example --oidc-any-app", "--oidc-issuer https://i.example --oidc-audience a",
		"--oidc-issuer https://i.example --oidc-audience a --oidc-any-app --oidc-app-claim b", "--oidc-issuer http://i.example --oidc-audience a --oidc-any-app",
		"--oidc-issuer i.example --oidc-audience a --oidc-any-app",
	} {
		err := cmd.Run(t.Context(), cmd.Options{Clients: new(Issuer)}, append([]string{"serve", "--data", t.TempDir(), "--listen", "127.0.0.1:0"}, strings.Fields(args)...), nil, io.Discard, io.Discard)
		if cmd.ExitCode(err) != 2 || !strings.Contains(err.Error(), "oidc") {
			t.Errorf("%s: %v", args, err)
		}
	}
}
