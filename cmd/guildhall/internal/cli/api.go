package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/guildhall/guildhall/client"
	"github.com/guildhall/guildhall/op"
)

const apiUsage = "guildhall api METHOD PATH [--input FILE|-]"

const apiHelp = `Send any request to the server, and print its answer: the way out for what no command does.

usage: ` + apiUsage + `

  --input FILE  the body, JSON; - is standard input

guildhall api GET '/v1/me'
guildhall api POST /v1/organizations --input acme.json

The credential, --if-match and --idempotency-key are as of every command. It asks nothing before it acts.
`

// rawCaller is a backend that is a server.
type rawCaller interface {
	Raw(ctx context.Context, r client.Raw) ([]byte, error)
}

// api sends a request in HTTP's own words.
func (a *app) api(ctx context.Context, args []string) int {
	request, err := a.parseAPI(args)
	if a.globals.Help {
		fmt.Fprint(a.Stdout, apiHelp)
		return exitOK
	}
	if err != nil {
		a.misuse("%v", err)
		fmt.Fprintf(a.Stderr, "usage: %s\n", apiUsage)
		return exitUsage
	}
	backend, _, closeIt, err := a.connect(ctx)
	if err != nil {
		return a.misuse("%v", err)
	}
	defer func() { _ = closeIt() }() // it only asked
	server, ok := backend.(rawCaller)
	if !ok {
		return a.misuse("api needs a server that runs: --server URL, or its data folder")
	}
	answer, err := server.Raw(ctx, request)
	if err != nil {
		return a.failed(ctx, op.Request{}, err)
	}
	if jsontext.Value(answer).IsValid() {
		err = showJSON(a.Stdout, answer)
	} else {
		_, err = a.Stdout.Write(answer)
	}
	if err != nil {
		fmt.Fprintf(a.Stderr, "guildhall: %v\n", err)
		return exitError
	}
	return exitOK
}

// parseAPI reads method, path and body.
func (a *app) parseAPI(args []string) (client.Raw, error) {
	var r client.Raw
	var words []string
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if !strings.HasPrefix(arg, "-") {
			words = append(words, arg)
			continue
		}
		var err error
		if args, err = a.apiFlag(arg, args); err != nil {
			return r, err
		}
	}
	if a.globals.Help {
		return r, nil
	}
	if len(words) != 2 {
		return r, fmt.Errorf("say a method and a path, such as GET /v1/me")
	}
	r = client.Raw{Method: strings.ToUpper(words[0]), Path: words[1], IfMatch: a.globals.IfMatch, IdempotencyKey: a.globals.IdempotencyKey}
	var err error
	r.Body, err = a.body()
	return r, err
}

// apiFlag reads one flag of api, or one of every command.
func (a *app) apiFlag(arg string, rest []string) ([]string, error) {
	name, value, said := strings.Cut(arg, "=")
	if name != "--input" {
		return a.flag(&command{}, values{}, arg, rest)
	}
	if !said {
		if len(rest) == 0 {
			return nil, fmt.Errorf("--input needs a value")
		}
		value, rest = rest[0], rest[1:]
	}
	a.globals.Input = value
	return rest, nil
}

// body reads what is to be sent; nothing without --input.
func (a *app) body() ([]byte, error) {
	switch name := a.globals.Input; name {
	case "":
		return nil, nil
	case "-":
		if a.Stdin == nil {
			return nil, fmt.Errorf("--input: nothing on standard input")
		}
		return io.ReadAll(io.LimitReader(a.Stdin, op.MaxBody+1)) // the server says that it is too large
	default:
		body, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("--input: %w", err)
		}
		return body, nil
	}
}
