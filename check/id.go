package check

import "github.com/go-json-experiment/json/jsontext"

// ID is an id as a value: an answer from memory carries it without allocating. The zero value is no id.
type ID struct {
	length uint8
	text   [maxID]byte
}

// maxID is how long an id can be. Guildhall's have thirty characters, and a role's name in a charter at most forty.
const maxID = 40

// MakeID makes an ID of text; a longer one than any id is none.
func MakeID(text string) (id ID) {
	if len(text) > maxID {
		return ID{}
	}
	id.length = uint8(copy(id.text[:], text))
	return id
}

// String is the id's text.
func (id ID) String() string { return string(id.text[:id.length]) }

// AppendText appends the id's text. It never fails.
func (id ID) AppendText(b []byte) ([]byte, error) { return append(b, id.text[:id.length]...), nil }

// Empty reports whether there is no id.
func (id ID) Empty() bool { return id.length == 0 }

// MarshalJSONTo writes the id as its text.
func (id ID) MarshalJSONTo(e *jsontext.Encoder) error {
	return e.WriteToken(jsontext.String(id.String()))
}
