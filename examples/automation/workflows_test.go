package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/billing"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
)

const acme = "?organization=acme"

// TestRunsWhatWasDeployed: a draft changes nothing of what runs until it is deployed.
func TestRunsWhatWasDeployed(t *testing.T) {
	f := start(t)
	owner := f.acme.Owner().Token
	workflow := "/api/workflows/" + f.makes(owner, "POST", "/api/workflows"+acme, `{"name":"greet","steps":[{"do":"write","text":"one"}]}`).id(t)
	run := func() string {
		execution := f.makes(owner, "POST", workflow+"/run"+acme, "").id(t)
		var made string
		if err := f.db.QueryRow("SELECT content FROM artifacts WHERE execution = $1", execution).Scan(&made); err != nil {
			t.Fatal(err)
		}
		return made
	}
	if got := run(); got != "one\n" {
		t.Errorf("a workflow that was never deployed runs its draft: %q", got)
	}
	f.makes(owner, "POST", workflow+"/deploy"+acme, "")
	f.makes(owner, "PATCH", workflow+acme, `{"steps":[{"do":"write","text":"two"},{"do":"upper"}]}`)
	if got := run(); got != "one\n" {
		t.Errorf("before the second deployment: %q", got)
	}
	f.makes(owner, "POST", workflow+"/deploy"+acme, "")
	if got := run(); got != "TWO\n" {
		t.Errorf("after the second deployment: %q", got)
	}
}

// TestWorkRunsInTheOrganizationsRegion moves an organization to another region.
func TestWorkRunsInTheOrganizationsRegion(t *testing.T) {
	f := start(t)
	b, owner := f.belongingsOf(f.acme), f.acme.Owner()
	regions := f.hall.Charter().Regions
	for _, region := range []string{regions[0], regions[2]} {
		if _, err := directory.UpdateOrganization.Call(owner.Ctx(), f.hall.Service(), directory.UpdateOrganizationInput{
			InOrganization: f.acme.In(), Region: &region}); err != nil {
			t.Fatal(err)
		}
		got := f.makes(owner.Token, "POST", "/api/workflows/"+b.workflow+"/run"+acme, "")
		if field[string](t, got, "region") != region || field[string](t, got, "pool") != "workers."+region {
			t.Errorf("in %s: %s", region, got.body)
		}
	}
}

// TestWorkLeavesNoRegionOfTheOrganizations asks for regions that it has, and for others.
func TestWorkLeavesNoRegionOfTheOrganizations(t *testing.T) {
	f := start(t)
	b, owner := f.belongingsOf(f.acme), f.acme.Owner()
	run := "/api/workflows/" + b.workflow + "/run" + acme + "&region="
	if got := f.makes(owner.Token, "POST", run+"us-east-1", ""); field[string](t, got, "region") != "us-east-1" {
		t.Errorf("in its own region: %s", got.body)
	}
	for _, region := range []string{"eu-west-1", "mars"} {
		if got := f.sends(owner.Token, "POST", run+region, ""); got.status != 403 || field[string](t, got, "reason") != "region_not_allowed" {
			t.Errorf("in %s: %d %s", region, got.status, got.body)
		}
	}
	plan := billing.ChangeInput{WantedPlan: billing.WantedPlan{InOrganization: f.acme.In(), Plan: "business"}}
	if _, err := billing.ChangeSubscription.Call(owner.Ctx(), f.hall.Service(), plan); err != nil {
		t.Fatal(err)
	}
	if _, err := directory.UpdateOrganization.Call(owner.Ctx(), f.hall.Service(), directory.UpdateOrganizationInput{
		InOrganization: f.acme.In(), AllowedRegions: &[]string{"us-east-1", "eu-west-1"}}); err != nil {
		t.Fatal(err)
	}
	if got := f.makes(owner.Token, "POST", run+"eu-west-1", ""); field[string](t, got, "pool") != "workers.eu-west-1" {
		t.Errorf("in a region that is allowed: %s", got.body)
	}
}

// TestACredentialIsUsedAndNeverShown stores one, signs with it, and looks for its value everywhere.
func TestACredentialIsUsedAndNeverShown(t *testing.T) {
	f := start(t)
	owner, value := f.acme.Owner().Token, "correct-horse-battery"
	all := f.makes(owner, "POST", "/api/credentials"+acme, `{"name":"signing","value":"`+value+`"}`).body
	workflow := f.makes(owner, "POST", "/api/workflows"+acme, `{"name":"signed","steps":[{"do":"write","text":"x"},{"do":"sign","credential":"signing"}]}`).id(t)
	execution := f.makes(owner, "POST", "/api/workflows/"+workflow+"/run"+acme, "").id(t)
	if got := f.makes(owner, "GET", "/api/executions/"+execution+acme, ""); field[string](t, got, "status") != "succeeded" {
		t.Errorf("signed: %s", got.body)
	}
	for _, list := range []string{"credentials", "artifacts", "reports", "executions"} {
		all += f.makes(owner, "GET", "/api/"+list+acme, "").body
	}
	var sealed []byte
	if err := f.db.QueryRow("SELECT sealed FROM credentials").Scan(&sealed); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(all, value) || bytes.Contains(sealed, []byte(value)) {
		t.Error("the value is shown")
	}
	// Whoever can write the database moves the row to another organization.
	if _, err := f.db.Exec("UPDATE credentials SET organization = $1", f.globex().ID); err != nil {
		t.Fatal(err)
	}
	if _, err := f.credentialValue(t.Context(), f.globex().ID, "signing"); err == nil {
		t.Error("another organization's credential opens")
	}
}

func TestStepsThatAreNoneAreRefused(t *testing.T) {
	for says, steps := range map[string][]step{
		"none":                         nil,
		"an unknown one":               {{Do: "explode"}},
		"a signature without a key":    {{Do: "sign"}},
		"a key where nothing is to do": {{Do: "write", Credential: "x"}},
		"too many":                     slices.Repeat([]step{{Do: "upper"}}, maxSteps+1),
	} {
		if checkSteps(steps) == nil {
			t.Errorf("%s: taken", says)
		}
	}
	if err := checkSteps([]step{{Do: "write"}, {Do: "sign", Credential: "x"}}); err != nil {
		t.Errorf("steps that are some: %v", err)
	}
}

// TestTheAssistantsViewStandsInItsAddress searches, filters and sorts.
func TestTheAssistantsViewStandsInItsAddress(t *testing.T) {
	f := start(t)
	owner := f.acme.Owner().Token
	f.makes(owner, "POST", "/api/mcp_servers"+acme, `{"name":"GitHub","url":"https://mcp.github.test"}`)
	for query, want := range map[string]string{
		"":                           "Changelog writer, Incident scribe, Invoice reader, Issue sorter, Report builder, Support drafter",
		"&sort=-name&q=inc":          "Incident scribe",
		"&sort=-name&q=an":           "Support drafter, Issue sorter, Incident scribe, Changelog writer",
		"&status=ready":              "Changelog writer, Issue sorter",
		"&status=ready&q=DUPLICATES": "Issue sorter",
		"&sort=-status&q=re":         "Changelog writer, Invoice reader, Report builder",
		"&status=broken":             "",
		"&sort=age":                  "",
	} {
		got := f.sends(owner, "GET", "/api/assistants"+acme+query, "")
		if want == "" {
			if got.status != http.StatusUnprocessableEntity {
				t.Errorf("%s: %d", query, got.status)
			}
			continue
		}
		var names []string
		for _, one := range field[[]any](t, got, "data") {
			names = append(names, one.(map[string]any)["name"].(string))
		}
		if strings.Join(names, ", ") != want {
			t.Errorf("%s: %s, want %s", query, strings.Join(names, ", "), want)
		}
	}
}

// TestCI runs ci.sh with a scoped token for one workflow, as a CI job does.
func TestCI(t *testing.T) {
	f := start(t)
	owner := f.acme.Owner()
	make := func(steps string) string {
		return f.makes(owner.Token, "POST", "/api/workflows"+acme, `{"name":"build","steps":[`+steps+`]}`).id(t)
	}
	good, bad := make(`{"do":"write","text":"built"}`), make(`{"do":"fail","text":"2 tests failed"}`)
	secret := f.token(owner, credential.CreateTokenInput{Scoping: credential.Scoping{
		Permissions: []charter.Permission{"workflows.view", "workflows.run"}, Resources: []string{"workflow:" + good, "workflow:" + bad}}}).Secret
	for _, c := range []struct {
		name, workflow, token string
		code                  int
		says                  string
	}{
		{"a workflow that succeeds", good, secret, 0, "ci: succeeded"},
		{"a workflow that fails", bad, secret, 1, "ci: failed: 2 tests failed"},
		{"another workflow", make(`{"do":"write"}`), secret, 2, "other_resource"},
		{"a token that is none", good, "gld_tok_none", 2, "unauthenticated"},
	} {
		command := exec.CommandContext(t.Context(), "./ci.sh", c.workflow)
		command.Env = append(os.Environ(), "AUTOMATION_URL="+f.url, "AUTOMATION_TOKEN="+c.token, "CI_PAUSE=0.05")
		out, err := command.CombinedOutput()
		if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if command.ProcessState.ExitCode() != c.code || !strings.Contains(string(out), c.says) {
			t.Errorf("%s: exit %d, %s; want %d, %s", c.name, command.ProcessState.ExitCode(), out, c.code, c.says)
		}
	}
}

// TestAStoppedPlatformGivesUpWhatRan: whoever waits for an execution learns its end.
func TestAStoppedPlatformGivesUpWhatRan(t *testing.T) {
	dir := t.TempDir()
	p, err := open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.db.Exec(`INSERT INTO executions (id, organization, workflow, version, region, pool, status, error, started_by, started_at, finished_at)
		VALUES ('ex_1', 'org_1', 'wf_1', 1, 'r', 'p', 'running', '', 'mem_1', 1, 0)`); err != nil {
		t.Fatal(err)
	}
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
	if p, err = open(dir, nil); err != nil {
		t.Fatal(err)
	}
	defer p.close()
	var status string
	if err := p.db.QueryRow("SELECT status FROM executions").Scan(&status); err != nil || status != "failed" {
		t.Errorf("after a restart: %s, %v", status, err)
	}
}

// TestTheProgramServesBoth starts it as main does.
func TestTheProgramServesBoth(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"--addr", "127.0.0.1:0", "--data", filepath.Join(t.TempDir(), "data")}, in)
		in.Close()
	}()
	line := make([]byte, 200)
	n, err := out.Read(line)
	if err != nil {
		t.Fatalf("%v, %v", err, <-ended)
	}
	_, url, _ := strings.Cut(string(line[:n]), "automation: ")
	url, _, _ = strings.Cut(url, " ")
	for path, want := range map[string]int{"/api/workflows": http.StatusUnauthorized, "/api/nothing": http.StatusNotFound, "/healthz": http.StatusOK, "/login": http.StatusOK} {
		response, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, response.StatusCode, want)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
