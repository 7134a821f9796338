package secret

import (
	"fmt"
	"io"
	"log/slog"
)

// mask is what a secret prints as, wherever it is printed.
const mask = "***"

// Text is a string that does not print: neither fmt nor slog nor JSON shows
// it. Only Reveal does, which a reader can search for. The zero value is the
// empty secret. Two of them are compared by Reveal or Hash, not by ==.
type Text struct {
	// A pointer, because fmt cannot call the methods of an unexported field of
	// somebody's struct and prints what is in it: an address, then.
	secret *string
}

// Hide makes a Text of s.
func Hide(s string) Text { return Text{&s} }

// Reveal returns the secret itself.
func (t Text) Reveal() string {
	if t.secret == nil {
		return ""
	}
	return *t.secret
}

// Empty reports whether there is no secret.
func (t Text) Empty() bool { return t.Reveal() == "" }

// Hash returns what is stored of the secret.
func (t Text) Hash() Hash { return HashOf(t.Reveal()) }

// String returns "***".
func (Text) String() string { return mask }

// GoString returns "***".
func (Text) GoString() string { return mask }

// Format writes "***" for every verb.
func (Text) Format(s fmt.State, _ rune) { io.WriteString(s, mask) }

// MarshalJSON returns "***" as a JSON string.
func (Text) MarshalJSON() ([]byte, error) { return []byte(`"` + mask + `"`), nil }

// MarshalText returns "***"; with it, a Text is masked as a map key and in
// XML and YAML too.
func (Text) MarshalText() ([]byte, error) { return []byte(mask), nil }

// LogValue returns "***".
func (Text) LogValue() slog.Value { return slog.StringValue(mask) }

// String returns the token's Display.
func (t Token) String() string { return t.Display() }

// GoString returns the token's Display.
func (t Token) GoString() string { return t.Display() }

// Format writes the token's Display for every verb.
func (t Token) Format(s fmt.State, _ rune) { io.WriteString(s, t.Display()) }

// MarshalText returns the token's Display, for JSON too.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.Display()), nil }

// LogValue returns the token's Display.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.Display()) }
