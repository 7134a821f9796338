package cli_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/cmd/guildhall/internal/cli"
)

// Every operation is a command that explains itself, and no field of an input hides a flag of every command.
func TestEveryOperationIsACommand(t *testing.T) {
	for _, o := range guildhall.Operations() {
		i := o.Info()
		t.Run(i.Name, func(t *testing.T) {
			var out, errors bytes.Buffer
			exit := cli.Run(t.Context(), cli.Config{Operations: guildhall.Operations(), Stdout: &out, Stderr: &errors}, []string{i.Noun(), i.Verb(), "--help"})
			if exit != 0 || !strings.HasPrefix(out.String(), i.Summary) || i.Summary == "" {
				t.Fatalf("got exit %d: %s%s", exit, out.String(), errors.String())
			}
			flags := map[string]bool{}
			for line := range strings.Lines(out.String()) {
				for _, word := range strings.Fields(line)[:min(2, len(strings.Fields(line)))] {
					if name, ok := strings.CutPrefix(word, "--"); ok && flags[name] {
						t.Errorf("--%s means two things", name)
					} else if ok {
						flags[name] = true
					}
				}
			}
		})
	}
}
