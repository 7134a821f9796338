package gate

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/guildhall/guildhall/access"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/decide"
)

// bodies are evaluations of all forms, and what is none. T-099
var bodies = []string{
	`{"subject":{"type":"credential","id":"gld_live_x"},"action":{"name":"workflows.run"},"resource":{"type":"organization","id":"acme"}}`,
	` { "resource" : { "properties" : { "organization" : "acme" } , "id" : "wf_1" , "type" : "workflow" } ,` + "\n\t\r" + `"context":{"address":"10.0.0.1"},"action":{"name":"a"},"subject":{"id":"u","type":"user"} } `,
	`{"subject":{},"action":{},"resource":{},"context":{}}`, `{}`, `{ }`, ``, ` `, `[]`, `null`, `"x"`, `{`, `{"`, `{"subject"`, `{"subject":`, `{"subject":{`, `{"subject":{}`, `{"subject":{},`, `{"subject":{},}`,
	`{"subject":{"type":"user","type":"user","id":"x"}}`, `{"subject":{},"subject":{}}`, `{"action":null}`, `{"subject":{"id":null}}`, `{"subject":{"id":1}}`,
	`{"subject":{"type":"user","id":"a\u0062"}}`, `{"subject":{"type":"user","id":"é"}}`, "{\"subject\":{\"type\":\"user\",\"id\":\"\xff\"}}", "{\"subject\":{\"type\":\"user\",\"id\":\"a\nb\"}}",
	"{\"subject\":{\"type\":\"user\",\"id\":\"\x7f\"}}", `{"subject":{"type":"user","id":"x","properties":{"a":1}}}`, `{"other":{}}`, `{"Subject":{"type":"user"}}`, `{"subject":{}}x`, `{"subject":{}}{}`, "\ufeff{}",
	`{"resource":{"type":"a","properties":{"organization":"b"},"properties":{}}}`, `{"resource":{"type":"a","type":"b"}}`, `{"resource":{"properties":{"organization":"a","organization":"b"}}}`,
	`{"resource":{"properties":null}}`, `{"resource":{"properties":{"other":"x"}}}`, `{"context":{"address":"a","more":1}}`, `{"context":{"region":"eu-west-1","address":"a"}}`, `{"context":{"region":1}}`, `{"action":{"name":"a"},"evaluations":[]}`, `{"subject" "x"}`, `{"subject":{"type" "x"}}`, `{"a":1}`, `{,}`,
}

// agree reports whether a body is plain, and what parse makes of one that is, if it is something else.
func agree(body string) (plain bool, differs string) {
	var got plainEvaluation
	if !got.scan(body) {
		return false, ""
	}
	var want evaluation
	if err := parse([]byte(body), &want); err != nil {
		return true, "parse refuses it: " + err.Error()
	}
	return true, cmp.Diff(want, got.evaluation)
}

func TestAPlainEvaluationIsReadAsEveryOther(t *testing.T) {
	plain := 0
	for _, body := range bodies {
		is, differs := agree(body)
		if differs != "" {
			t.Errorf("%q: (-parse +scan)\n%s", body, differs)
		}
		if is {
			plain++
		}
	}
	if plain != 6 {
		t.Errorf("%d of the bodies are plain, want 6", plain)
	}
}

// FuzzEvaluation looks for a body that scan takes for another evaluation than parse does. T-099
func FuzzEvaluation(f *testing.F) {
	for _, body := range bodies {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		if _, differs := agree(body); differs != "" {
			t.Error(differs)
		}
	})
}

// TestEvaluationsMadeAtRandomAreReadAsEveryOther composes bodies of the pieces that count.
func TestEvaluationsMadeAtRandomAreReadAsEveryOther(t *testing.T) {
	text := rapid.SampledFrom([]string{`"a"`, `""`, `"user"`, `"gld_live_x"`, `"a\"b"`, `"é"`, `1`, `null`, `{}`})
	name := rapid.SampledFrom([]string{"type", "id", "name", "properties", "organization", "address", "x"})
	object := rapid.Custom(func(t *rapid.T) string {
		var members []string
		for range rapid.IntRange(0, 3).Draw(t, "members") {
			value := text.Draw(t, "value")
			if rapid.IntRange(0, 3).Draw(t, "nested") == 0 {
				value = `{"` + name.Draw(t, "inner") + `":` + text.Draw(t, "inner value") + `}`
			}
			members = append(members, `"`+name.Draw(t, "name")+`":`+value)
		}
		return "{" + strings.Join(members, ",") + "}"
	})
	plain := 0
	rapid.Check(t, func(t *rapid.T) {
		var members []string
		for range rapid.IntRange(0, 5).Draw(t, "parts") {
			part := rapid.SampledFrom([]string{"subject", "action", "resource", "context", "x"}).Draw(t, "part")
			members = append(members, `"`+part+`":`+object.Draw(t, "object"))
		}
		body := "{" + strings.Join(members, ",") + "}"
		is, differs := agree(body)
		if differs != "" {
			t.Fatalf("%s: (-parse +scan)\n%s", body, differs)
		}
		if is {
			plain++
		}
	})
	if plain == 0 {
		t.Error("no body was plain")
	}
}

// answer is an answer as a JSON encoder writes it: what appendAnswer has to write.
type answer struct {
	Decision bool          `json:"decision"`
	Context  answerContext `json:"context"`
}

type answerContext struct {
	Reason  string         `json:"reason"`
	Needs   string         `json:"needs,omitzero"`
	FixURL  string         `json:"fix_url,omitzero"`
	Holders []check.Holder `json:"holders,omitempty"`
}

func TestANoIsWrittenAsAnEncoderWouldWriteIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var v access.Verdict
		text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "a<b>&\u2028", "\"\\/", "/docs/permissions#a-b", "/x\"y"}))
		v.Reason, v.Needs, v.FixURL = decide.Reason(text.Draw(t, "reason")), charter.Permission(text.Draw(t, "needs")), text.Draw(t, "fix")
		if rapid.Bool().Draw(t, "holders") {
			v.Holders = []check.Holder{{Member: "mem_1", Name: text.Draw(t, "name"), Role: "owner"}}
		}
		base := text.Draw(t, "base")
		c := answerContext{Reason: string(v.Reason), Needs: string(v.Needs), FixURL: v.FixURL, Holders: v.Holders}
		if strings.HasPrefix(c.FixURL, "/") {
			c.FixURL = base + c.FixURL
		}
		want, err := jsonv2.Marshal(answer{Context: c})
		if err != nil {
			t.Fatal(err)
		}
		g := Gate{base: quoteBeginning(base)}
		if got := g.appendAnswer(nil, &v); string(got) != string(want) {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
	})
}

func TestAYesIsWrittenInItsOrder(t *testing.T) {
	w := check.Who{Kind: "key", User: check.MakeID("usr_1"), Member: check.MakeID("mem_1"), Organization: check.MakeID("org_1"), Role: check.MakeID("editor"),
		Credential: check.MakeID("key_1"), Region: "eu", Plan: "pro", Features: []string{"sso", "mcp"}}
	const want = `,"kind":"key","user":"usr_1","member":"mem_1","organization":"org_1","role":"editor","credential":"key_1","region":"eu","plan":"pro","features":["sso","mcp"]`
	if got := string(appendWho(nil, &w)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := appendWho(nil, &check.Who{}); len(got) != 0 {
		t.Errorf("of nobody: %s", got)
	}
	if !json.Valid(slices.Concat([]byte(`{"x":1`), []byte(want), []byte("}"))) {
		t.Error("not JSON")
	}
}
