package secret_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/internal/secret"
)

// holder is what a program makes of secrets: fields shown and hidden, nested,
// behind pointers and in collections.
type holder struct {
	Shown   secret.Text
	hidden  secret.Text
	Token   secret.Token
	token   secret.Token
	pointer *secret.Token
	list    []secret.Text
	Map     map[string]secret.Text
}

// T-050
func TestSecretsDoNotPrint(t *testing.T) {
	password := secret.Hide("correct horse battery staple")
	key := secret.New(nil, "gld", "live")
	h := holder{
		Shown: password, hidden: password, Token: key, token: key, pointer: &key,
		list: []secret.Text{password}, Map: map[string]secret.Text{"a": password},
	}
	var out bytes.Buffer
	for _, value := range []any{password, &password, key, &key, h, &h, []any{h, &key}, fmt.Errorf("with %v and %v", password, key)} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T %v"} {
			if strings.HasPrefix(verb, "%T") {
				fmt.Fprintf(&out, verb, value, value)
				continue
			}
			fmt.Fprintf(&out, verb, value)
		}
		fmt.Fprint(&out, value)
		slog.New(slog.NewTextHandler(&out, nil)).Info("text", "value", value)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "value", value)
	}
	encode(t, &out, h)
	for _, shown := range []string{password.Reveal(), key.Reveal(), key.Reveal()[9:40]} {
		for _, form := range []string{shown, fmt.Sprintf("%x", shown), fmt.Sprintf("%X", shown)} {
			if i := strings.Index(out.String(), form); i >= 0 {
				t.Errorf("a secret is printed: %s", out.String()[max(0, i-80):i+len(form)])
			}
		}
	}
	if !strings.Contains(out.String(), "***") || !strings.Contains(out.String(), key.Display()) {
		t.Errorf("neither mask nor display is printed: the test sees nothing:\n%s", &out)
	}
}

func encode(t *testing.T, out *bytes.Buffer, h holder) {
	t.Helper()
	if err := json.NewEncoder(out).Encode(h); err != nil {
		t.Fatal(err)
	}
	if err := xml.NewEncoder(out).Encode(h.Shown); err != nil {
		t.Fatal(err)
	}
}

func TestTextIsWhatWasHidden(t *testing.T) {
	if got := secret.Hide("x").Reveal(); got != "x" {
		t.Errorf("Reveal() = %q", got)
	}
	var none secret.Text
	if none.Reveal() != "" || !none.Empty() || secret.Hide("x").Empty() {
		t.Error("the zero Text is not the empty one")
	}
}
