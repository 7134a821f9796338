package guildhall_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/access"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/op"
)

// A server whose clock is not the database's answers nothing, from memory neither, until it is. T-103
func TestAServerWithAWrongClockAnswersNothing(t *testing.T) {
	h := runHall(t, guildhall.Config{Database: testdb.DSN(t, sqldb.PostgreSQL), SecretFile: filepath.Join(t.TempDir(), "secret"), Peers: guildhall.Peers{Listen: "127.0.0.1:0"}})
	operator := op.As(t.Context(), op.Caller{Machine: true})
	key, err := credential.CreateServiceKey.Call(operator, h.Service(), credential.CreateServiceKeyInput{Name: "back end"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		says string
		off  time.Duration
		want string
	}{{"right", 0, ""}, {"an hour fast", time.Hour, "clock_differs"}, {"an hour slow", -time.Hour, "clock_differs"}, {"ten seconds slow", -10 * time.Second, "clock_differs"},
		{"two seconds fast", 2 * time.Second, ""}, {"right again", 0, ""}} {
		guildhall.CompareClocks(t.Context(), h, func() time.Time { return time.Now().Add(c.off) })
		sent := access.SentBy(key.Secret, "")
		_, called := credential.ListServiceKeys.Call(operator, h.Service(), credential.ListServiceKeysInput{Page: op.Page{Limit: 25}})
		for what, err := range map[string]error{"a check": h.Access().Find(t.Context(), &sent), "an operation": called, "whether it is ready": h.Ready(t.Context())} {
			if got := codeOf(err); got != c.want {
				t.Errorf("%s: %s: %q, want %q", c.says, what, got, c.want)
			}
		}
	}
}

// codeOf is the code of an error; empty for none.
func codeOf(err error) string {
	if err == nil {
		return ""
	}
	return op.AsError(err).FullCode()
}
