package mail_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guildhall/guildhall/internal/mail"
)

func TestACatcherKeepsWhatWasSent(t *testing.T) {
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	c := &mail.Catcher{Now: func() time.Time { return noon }}
	text := "Join us: https://hall.test/i/abc?x=1&y=2.\nOr <http://localhost:8080/login>, or not (https://hall.test/help)!"
	if err := c.Send(t.Context(), mail.Message{To: "ann@acme.test", Subject: "Hello\nAnn", Text: text}); err != nil {
		t.Fatal(err)
	}
	want := []mail.Caught{{
		To: "ann@acme.test", Subject: "Hello Ann", Text: text, At: noon,
		Links: []string{"https://hall.test/i/abc?x=1&y=2", "http://localhost:8080/login", "https://hall.test/help"},
	}}
	if diff := cmp.Diff(want, c.Messages()); diff != "" {
		t.Errorf("caught (-want +got):\n%s", diff)
	}
}

func TestACatcherForgetsTheOldest(t *testing.T) {
	var c mail.Catcher
	for i := range 505 {
		if err := c.Send(t.Context(), mail.Message{To: "ann@acme.test", Subject: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	got := c.Messages()
	if len(got) != 500 || got[0].Subject != "5" || got[499].Subject != "504" {
		t.Errorf("%d messages from %q to %q, want 500 from 5 to 504", len(got), got[0].Subject, got[len(got)-1].Subject)
	}
}

// T-035
func TestWhatIsNoAddressGetsNoMail(t *testing.T) {
	senders := map[string]mail.Sender{
		"catcher": &mail.Catcher{},
		"smtp":    &mail.SMTP{Host: "127.0.0.1", Port: 1, FromAddress: "hall@acme.test"},
	}
	for name, sender := range senders {
		for _, to := range []string{
			"", "ann", "ann@", "@acme.test", "ann@acme.test, bob@acme.test", "Ann <ann@acme.test>",
			"ann@acme.test\r\nBcc: eve@evil.test", "ann@acme.test\n", "ann\x00@acme.test", "ann@acme.test\u202e", " ann@acme.test",
		} {
			err := sender.Send(context.Background(), mail.Message{To: to})
			if err == nil || !mail.Refused(err) {
				t.Errorf("%s: Send to %q = %v, want it refused for good", name, to, err)
			}
		}
	}
}

// T-035
func TestASubjectIsOneLine(t *testing.T) {
	var c mail.Catcher
	for subject, want := range map[string]string{
		"Invitation to Acme":                     "Invitation to Acme",
		"a\r\nBcc: eve@evil.test":                "a Bcc: eve@evil.test",
		"a\n\n<script>":                          "a <script>",
		"a\u2028b\u2029c":                        "a b c",
		"Acme \u202egpj.exe":                     "Acme gpj.exe",
		"nul\x00 tab\t end\x7f":                  "nul tab end",
		"bad \xff byte":                          "bad \ufffd byte",
		"Zoë 漢字 😀":                               "Zoë 漢字 😀",
		strings.Repeat("ü", 300):                 strings.Repeat("ü", 199) + "…",
		"=?utf-8?q?=0D=0ABcc:_eve@evil.test?= x": "=?utf-8?q?=0D=0ABcc:_eve@evil.test?= x",
	} {
		if err := c.Send(t.Context(), mail.Message{To: "ann@acme.test", Subject: subject}); err != nil {
			t.Fatal(err)
		}
		caught := c.Messages()
		if got := caught[len(caught)-1].Subject; got != want {
			t.Errorf("subject %q becomes %q, want %q", subject, got, want)
		}
	}
}
