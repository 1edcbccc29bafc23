package client

import (
	"iter"

	"carillon/server/api"
)

// pages yields pages until one has no next, an error, or the loop ends. get returns the page at the
// cursor, which is zero for the first, and the cursor of the next.
func pages[P any, C comparable](cursor C, get func(cursor C) (page P, next C, err error)) iter.Seq2[P, error] {
	return func(yield func(P, error) bool) {
		at := cursor
		for {
			page, next, err := get(at)
			if err != nil {
				var none P
				yield(none, err)
				return
			}
			var last C
			if !yield(page, nil) || next == last {
				return
			}
			if next == at {
				var none P
				yield(none, &Error{Code: api.CodeUnimplemented, Message: "the next page is the same one: this is no listing"})
				return
			}
			at = next
		}
	}
}

// FirstPage is the first page of a listing by pages, such as App.JobPages. It asks once, and blocks as
// long as that does; the error is the listing's.
func FirstPage[P any](pages iter.Seq2[*P, error]) (*P, error) {
	for page, err := range pages {
		return page, err
	}
	return new(P), nil
}

// rows yields the rows of the pages.
func rows[P, R any](of iter.Seq2[P, error], in func(P) []R) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		for page, err := range of {
			if err != nil {
				var none R
				yield(none, err)
				return
			}
			for _, row := range in(page) {
				if !yield(row, nil) {
					return
				}
			}
		}
	}
}
