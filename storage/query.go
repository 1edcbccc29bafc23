package storage

import (
	"errors"
	"iter"
	"math"
	"slices"
)

// Query is a question to one table, built up step by step and then asked with
// All, Page, First or Count:
//
//	docs, next, err := notes.Query(ctx.DB).By("by_author").Eq(author).From(monday).Desc().Take(20).Page()
//
// Each step returns a new Query and leaves the old one as it was, so the
// beginning of a query can be kept and continued in several ways. What is wrong
// with a step, such as a value of another type than the field's, is said when
// the query is asked: ErrInvalid or ErrLimit, never a panic. A Query is good
// for as long as its Reader is.
//
// Without By, a query reads the whole table in the order of insertion.
type Query[T any] struct {
	table *Table[T]
	view  *view
	plan  plan
}

// plan is what the steps of a query asked for.
type plan struct {
	by     bool
	index  string
	eq     []any
	lower  *bound
	upper  *bound
	desc   bool
	take   int // 0: not said
	cursor string
	err    error // of the first step that is wrong in itself
}

// bound is one end of a range over a field.
type bound struct {
	value     any
	inclusive bool
}

var (
	errTwoIndexes = errors.New("By is given twice")
	errTwoLower   = errors.New("two lower bounds: give one From or After")
	errTwoUpper   = errors.New("two upper bounds: give one To or Before")
	errTake       = errors.New("Take wants 1 or more")
)

// Query begins a query of the table as r shows it.
func (t *Table[T]) Query(r Reader) Query[T] {
	return Query[T]{table: t, view: r.reader()}
}

// By reads through the index with the name, in its order.
func (q Query[T]) By(index string) Query[T] {
	if q.plan.by {
		return q.wrong(errTwoIndexes)
	}
	q.plan.by, q.plan.index = true, index
	return q
}

// Eq keeps the documents whose first fields, as many as there are values, have
// these values. A value has the field's Go type; a plain string, bool, int or
// float64 does where the constant would, and for a pointer field also what it
// points to, or nil. A second Eq goes on where the first ended.
func (q Query[T]) Eq(values ...any) Query[T] {
	q.plan.eq = append(slices.Clip(q.plan.eq), values...)
	return q
}

// From keeps the documents whose next field, the one after those of Eq, is value or more.
func (q Query[T]) From(value any) Query[T] { return q.bounded(&bound{value, true}, nil) }

// After keeps the documents whose next field, the one after those of Eq, is more than value.
func (q Query[T]) After(value any) Query[T] { return q.bounded(&bound{value, false}, nil) }

// To keeps the documents whose next field, the one after those of Eq, is value
// or less. A pointer field's nil is less than everything.
func (q Query[T]) To(value any) Query[T] { return q.bounded(nil, &bound{value, true}) }

// Before keeps the documents whose next field, the one after those of Eq, is
// less than value. A pointer field's nil is less than everything.
func (q Query[T]) Before(value any) Query[T] { return q.bounded(nil, &bound{value, false}) }

// Desc turns the order around.
func (q Query[T]) Desc() Query[T] {
	q.plan.desc = true
	return q
}

// Take ends the answer after n documents, n being 1 or more. For Page it is the
// page's size: up to 1,000, and 100 without Take.
func (q Query[T]) Take(n int) Query[T] {
	if n < 1 {
		return q.wrong(errTake)
	}
	q.plan.take = n
	return q
}

// Cursor goes on after the page that returned the cursor. The query must be the
// same but for Take. "" is the beginning.
func (q Query[T]) Cursor(cursor string) Query[T] {
	q.plan.cursor = cursor
	return q
}

func (q Query[T]) wrong(err error) Query[T] {
	if q.plan.err == nil {
		q.plan.err = err
	}
	return q
}

func (q Query[T]) bounded(lower, upper *bound) Query[T] {
	if lower != nil {
		if q.plan.lower != nil {
			return q.wrong(errTwoLower)
		}
		q.plan.lower = lower
	}
	if upper != nil {
		if q.plan.upper != nil {
			return q.wrong(errTwoUpper)
		}
		q.plan.upper = upper
	}
	return q
}

// All yields the documents one by one, reading ahead a little. It stops after
// an error.
//
// In a mutation the loop's body may write. All yields what matched when the
// loop began and still does when its turn comes, as it is then, each document
// once: neither what the body inserts nor what it moves is met again.
func (q Query[T]) All() iter.Seq2[Doc[T], error] {
	return func(yield func(Doc[T], error) bool) {
		t := q.table.decl
		s, err := q.plan.resolve(t, q.view)
		if err != nil {
			yield(Doc[T]{}, t.wrap(err))
			return
		}
		n := 0
		for m, err := range s.each() {
			var doc Doc[T]
			if err == nil {
				doc, err = q.table.doc(m)
			}
			if err != nil {
				yield(Doc[T]{}, t.wrap(err))
				return
			}
			if n++; !yield(doc, nil) || n == q.plan.take {
				return
			}
		}
	}
}

// Page returns up to Take documents, and the cursor to go on from; "" means
// that there are no more. docs is not nil unless err is not. Documents inserted
// or deleted between two pages do not make the next one repeat or miss others.
func (q Query[T]) Page() (docs []Doc[T], next string, err error) {
	t := q.table.decl
	s, err := q.plan.resolve(t, q.view)
	if err != nil {
		return nil, "", t.wrap(err)
	}
	size := q.plan.take
	switch {
	case size == 0:
		size = defaultPage
	case size > maxPage:
		return nil, "", t.wrap(invalid("a page of %d documents: want 1 to %d", size, maxPage))
	}
	found, last, err := s.page(size)
	if err != nil {
		return nil, "", t.wrap(err)
	}
	docs = make([]Doc[T], 0, len(found))
	for _, m := range found {
		doc, err := q.table.doc(m)
		if err != nil {
			return nil, "", t.wrap(err)
		}
		docs = append(docs, doc)
	}
	if last != nil {
		next = s.cursorAt(last)
	}
	return docs, next, nil
}

// First returns the first document. ok is false if there is none.
func (q Query[T]) First() (doc Doc[T], ok bool, err error) {
	t := q.table.decl
	s, err := q.plan.resolve(t, q.view)
	if err != nil {
		return Doc[T]{}, false, t.wrap(err)
	}
	found, _, err := s.page(1)
	if err != nil || len(found) == 0 {
		return Doc[T]{}, false, t.wrap(err)
	}
	doc, err = q.table.doc(found[0])
	return doc, err == nil, t.wrap(err)
}

// Count counts the documents, up to Take if that is given. It reads no
// documents but walks over as many keys as it counts.
func (q Query[T]) Count() (int, error) {
	t := q.table.decl
	s, err := q.plan.resolve(t, q.view)
	if err != nil {
		return 0, t.wrap(err)
	}
	limit := q.plan.take
	if limit == 0 {
		limit = math.MaxInt
	}
	n, err := s.count(limit)
	return n, t.wrap(err)
}

func (t *Table[T]) doc(m match) (Doc[T], error) {
	value, err := t.decode(m.id, m.data)
	return Doc[T]{ID: ID[T](m.id), Value: value}, err
}
