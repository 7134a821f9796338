// Command openfga is OpenFGA's own server, built from its module at the version that go.mod says, for the benchmark to
// measure beside. It is a module of its own: nothing else needs it.
package main

import (
	"os"

	"github.com/openfga/openfga/cmd"
	"github.com/openfga/openfga/cmd/run"
)

func main() {
	root := cmd.NewRootCommand()
	root.AddCommand(run.NewRunCommand())
	if err := root.Execute(); err != nil {
		os.Exit(1)
	}
}
