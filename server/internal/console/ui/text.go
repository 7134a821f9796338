// Package ui is the console's design system: typed components that every page
// is made of, the frames around a page, and the response headers that its
// markup relies on.
//
// Components translate what they are given into accessible HTML and decide
// nothing: whether somebody may press a button is told to them. Every one works
// without JavaScript. Their style sheet and script are package assets.
package ui

import "fmt"

// T is the one door that texts for people pass through: it returns the wording
// of an English text in the reader's language, with args put in as by
// fmt.Sprintf. English is the only language so far, so the catalogue is the
// set of its calls, and a test refuses text in a template that is not one.
func T(english string, args ...any) string {
	if len(args) == 0 {
		return english
	}
	return fmt.Sprintf(english, args...)
}

// N is T for a text that counts: one, as it stands, when count is 1, and many
// with the count put in otherwise.
func N(count int, one, many string) string {
	if count == 1 {
		return one
	}
	return fmt.Sprintf(many, count)
}
