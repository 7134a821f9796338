package gate

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/guildhall/guildhall/access"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/op"
)

// appendAnswer writes an answer as JSON: the decision, and a context that says why, and on a yes for whom and where. What
// is not known is left out.
func (g *Gate) appendAnswer(b []byte, v *access.Verdict) []byte {
	b = strconv.AppendBool(append(b, `{"decision":`...), v.Allow)
	b = append(b, `,"context":{"reason":`...)
	b = appendText(b, string(v.Reason))
	b = appendField(b, `,"needs":`, string(v.Needs))
	b = g.appendFix(b, v.FixURL)
	if len(v.Holders) > 0 {
		b = append(b, `,"holders":`...)
		holders, _ := json.Marshal(v.Holders) // texts always marshal
		b = append(b, holders...)
	}
	if v.Allow {
		var who check.Who
		g.config.Access.Name(v, &who)
		b = appendWho(b, &who)
		if v.Remaining != nil {
			b = strconv.AppendInt(append(b, `,"remaining":`...), *v.Remaining, 10)
		}
	}
	return append(b, "}}"...)
}

func appendWho(b []byte, w *check.Who) []byte {
	b = appendField(b, `,"kind":`, w.Kind)
	b = appendID(b, `,"user":`, &w.User)
	b = appendID(b, `,"member":`, &w.Member)
	b = appendID(b, `,"organization":`, &w.Organization)
	b = appendID(b, `,"role":`, &w.Role)
	b = appendID(b, `,"credential":`, &w.Credential)
	b = appendField(b, `,"region":`, w.Region)
	b = appendField(b, `,"plan":`, w.Plan)
	return appendTexts(b, `,"features":`, w.Features)
}

// appendTexts writes a member that is a list, unless it is empty.
func appendTexts(b []byte, name string, texts []string) []byte {
	if len(texts) == 0 {
		return b
	}
	b = append(b, name...)
	for i, text := range texts {
		b = appendText(append(b, "[,"[min(i, 1)]), text)
	}
	return append(b, ']')
}

// appendWrong answers a question of a batch that is not well-formed.
func appendWrong(b []byte, e *op.Error) []byte {
	b = append(b, `{"decision":false,"context":{"reason":"malformed","error":{"status":`...)
	b = append(strconv.AppendInt(b, http.StatusBadRequest, 10), `,"message":`...)
	return append(appendText(b, e.Text), "}}}"...)
}

// appendFix says where to read on: a path is one of ours.
func (g *Gate) appendFix(b []byte, url string) []byte {
	if !strings.HasPrefix(url, "/") {
		return appendField(b, `,"fix_url":`, url)
	}
	b = append(append(b, `,"fix_url":`...), g.base...)
	at := len(b)
	b = appendText(b, url)
	return append(b[:at], b[at+1:]...) // one text, of which the base is the beginning
}

// quoteBeginning is the beginning of a text of JSON.
func quoteBeginning(text string) []byte {
	b := appendText(nil, text)
	return b[: len(b)-1 : len(b)-1]
}

// appendField writes a member of an object, unless it is empty.
func appendField(b []byte, name, text string) []byte {
	if text == "" {
		return b
	}
	return appendText(append(b, name...), text)
}

// appendID writes an id, unless there is none. Ids and roles are letters, digits, _ and -.
func appendID(b []byte, name string, id *check.ID) []byte {
	if id.Empty() {
		return b
	}
	b, _ = id.AppendText(append(append(b, name...), '"'))
	return append(b, '"')
}

// appendText writes a text as JSON.
func appendText(b []byte, text string) []byte {
	b, _ = jsontext.AppendQuote(b, text)
	return b
}
