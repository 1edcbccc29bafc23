package server

import (
	"net/url"
	"slices"
	"strconv"
	"time"

	"carillon/dispatch"
)

// This file reads the parameters of a URL that more than one listing has.

// maxLimit bounds the parameter limit.
const maxLimit = 1000

// onlyOnce refuses parameters of a URL that are not among the known ones, or given twice though
// they are not among those that may be.
func onlyOnce(query url.Values, known []string, often ...string) error {
	for key, values := range query {
		if !slices.Contains(known, key) {
			return dispatch.Errorf(dispatch.CodeInvalidArgument, "unknown parameter %.32q, want any of %q", key, known)
		}
		if len(values) > 1 && !slices.Contains(often, key) {
			return dispatch.Errorf(dispatch.CodeInvalidArgument, "%s is given twice", key)
		}
	}
	return nil
}

// limitOf is how many a page has at most, which is byDefault if the URL does not say.
func limitOf(query url.Values, byDefault int) (limit int, err error) {
	text := query.Get("limit")
	if text == "" {
		return byDefault, nil
	}
	if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxLimit {
		return 0, dispatch.Errorf(dispatch.CodeInvalidArgument, "limit is %.32q, want 1 to %d", text, maxLimit)
	}
	return limit, nil
}

// flagOf is a parameter that is true or false, which it is if it is not given.
func flagOf(query url.Values, key string) (bool, error) {
	switch text := query.Get(key); text {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, dispatch.Errorf(dispatch.CodeInvalidArgument, "%s is %.32q, want true or false", key, text)
	}
}

// instantsOf reads those of the parameters that are given.
func instantsOf(query url.Values, into map[string]*time.Time) (err error) {
	for key, at := range into {
		if text := query.Get(key); text != "" {
			if *at, err = time.Parse(time.RFC3339, text); err != nil {
				return dispatch.Errorf(dispatch.CodeInvalidArgument, "%s is %.64q, want an instant in RFC 3339, such as 2026-03-08T07:00:00Z", key, text)
			}
		}
	}
	return nil
}
