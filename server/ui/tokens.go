package ui

import (
	"net/url"
	"slices"
	"strconv"
	"time"

	"carillon/server/api"
)

// tokensPerPage bounds what the page of tokens lists.
const tokensPerPage = 100

type tokensData struct {
	listed[[]api.Token]
	Made   *api.Token // just now, with its secret
	Form   url.Values
	Error  *api.Error
	Scopes []scopeChoice // of the one who asks: a token has no more than its maker
	Lives  []life
}

// scopeChoice is a scope, and what it lets an operator do.
type scopeChoice struct {
	Scope  api.Scope
	For    string
	Chosen bool
}

// life is how long a token may be good.
type life struct {
	Text, Value string
	Chosen      bool
}

// lives are those to choose from, in days; 0 is for good.
var lives = []struct {
	days int
	text string
}{{1, "a day"}, {7, "a week"}, {30, "30 days"}, {90, "90 days"}, {365, "a year"}, {0, "until it is revoked"}}

// lifeOfNew is how many days a token is good if its maker does not say.
const lifeOfNew = 90

func tokens(r *Request) (*Answer, error) { return r.showTokens(nil, url.Values{}, nil) }

// showTokens shows tokens, the latest first, and the form that makes one.
func (r *Request) showTokens(made *api.Token, form url.Values, failed *api.Error) (*Answer, error) {
	all, err := ask[[]api.Token](r, Call{Route: "GET /v1/tokens"})
	if err != nil {
		return nil, err
	}
	slices.Reverse(all)
	query := r.given()
	from, _ := strconv.Atoi(query.Get("from"))
	all, next := all[min(max(from, 0), len(all)):], ""
	if len(all) > tokensPerPage {
		all, next = all[:tokensPerPage], strconv.Itoa(max(from, 0)+tokensPerPage)
	}
	d := tokensData{listed: listingBy("from", all, query, next), Made: made, Form: form, Error: failed}
	for _, scope := range r.Scopes {
		d.Scopes = append(d.Scopes, scopeChoice{scope, scopeFor(scope), slices.Contains(form["scope"], string(scope))})
	}
	chosen := lifeOfNew
	if form.Has("days") {
		chosen, _ = strconv.Atoi(form.Get("days"))
	}
	for _, l := range lives {
		d.Lives = append(d.Lives, life{l.text, strconv.Itoa(l.days), l.days == chosen})
	}
	return r.show("tokens", "Tokens", []crumb{{"System", r.Base + "/system"}}, d), nil
}

// scopeFor is what the scope lets an operator do.
func scopeFor(scope api.Scope) string {
	switch scope {
	case api.ScopeRead:
		return "see apps, jobs, triggers and pools"
	case api.ScopeReadArgs:
		return "see arguments, results, logs, texts of errors and reasons"
	case api.ScopeWrite:
		return "act on jobs, triggers, pools and apps that are there"
	case api.ScopeCall:
		return "run functions"
	case api.ScopeActAs:
		return "choose whom a function runs as"
	case api.ScopeReadDocs:
		return "see documents"
	case api.ScopeWriteDocs:
		return "change documents"
	case api.ScopeAdmin:
		return "make and delete apps, backups and tokens, see the audit log"
	}
	return ""
}

// createToken makes the token of the form. Its text is on the page that answers, and nowhere after.
func createToken(r *Request) (*Answer, error) {
	f := fields{form: r.HTTP.PostForm}
	body := api.NewToken{Name: f.text("name"), Apps: f.lines("apps"), AllApps: f.text("all") != ""}
	for _, scope := range r.HTTP.PostForm["scope"] {
		body.Scopes = append(body.Scopes, api.Scope(scope))
	}
	days := f.number("days")
	if days < 0 || days > lives[len(lives)-2].days {
		f.wrong("a token is good for %d days, want up to %d, or 0 for one that is good until it is revoked", days, lives[len(lives)-2].days)
	}
	err := f.err
	var made api.Token
	if err == nil {
		if days > 0 {
			clock, err := ask[api.Clock](r, Call{Route: "GET /v1/clock"})
			if err != nil {
				return nil, err
			}
			body.ExpiresAt = clock.Wall.Add(time.Duration(days) * 24 * time.Hour)
		}
		made, err = ask[api.Token](r, Call{Route: "POST /v1/tokens", Body: body})
	}
	if err == nil {
		return r.showTokens(&made, url.Values{}, nil)
	}
	status, e := r.Refused(err)
	a, err := r.showTokens(nil, r.HTTP.PostForm, &e)
	if err == nil {
		a.status = status
	}
	return a, err
}

func revokeToken(r *Request) (*Answer, error) {
	if _, err := r.Ask(Call{Route: "DELETE /v1/tokens/{id}", Path: r.inPath("id")}); err != nil {
		return nil, err
	}
	return Go(r.Base + "/tokens"), nil
}
