// Package entries is a table with three indexes and what is done to it, for the series
// of documents. It is a package of its own since an engine that has functions of a
// package has all of its tables, in every app.
package entries
