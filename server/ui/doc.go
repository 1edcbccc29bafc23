// Package ui has the pages of the dashboard that package server mounts below /ui/, for operators with
// a browser. It knows no engine: a page asks for its data, and makes its changes, by the rows of the
// JSON API, which are run as Go functions with the operator's rights. So one shows, and
// does, nothing that the other does not.
//
// Use, by package server:
//
//	for _, page := range ui.Pages() {
//		// a route of page.Method and page.Pattern, for which
//		answer, err := page.Do(&ui.Request{HTTP: r, Base: "/ui", Operator: "ann", Ask: ask})
//		answer.Write(w)
//	}
//
// How a request goes:
//
//	GET  ── host ── session or token ── page ── Ask (scopes, app) ── template ── 200
//	POST ── host ── origin ── session or token ── page ── Ask (scopes, app, audit) ── 303 to a GET
//	          │        │              │                        │
//	         403      403     401 and the form         its code, as a page
//
// Invariants:
//
//	U1  A page has no data but what Ask returns, which leaves out what the operator may not see.
//	U2  A GET changes nothing; a change is a form that works without JavaScript, and ends in a redirect. But for
//	    what a function that was run returns, which is nowhere else.
//	U3  All text goes through html/template, which escapes it for where it stands. No template has the
//	    text of a script, a style or a handler of events in it, so that the Content-Security-Policy lets
//	    none run but the scripts of static, which need no data and make no text part of a page's tags.
//	U4  What is shown of a filter is in the URL, and nothing secret is.
//	U5  A script only has a page be as the server would show it now: it asks for the page again, by its address.
package ui
