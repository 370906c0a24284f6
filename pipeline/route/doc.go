// Package route is the two stores between which documents go, and what follows from them
// and a row alone: whether the row is the run's (Selected, Selection, Count), and in which
// form its payload arrives, with what memory that takes (forms.go).
//
// Nothing is read or written for that but the catalog, by Count.
package route
