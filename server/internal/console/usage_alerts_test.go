package console_test

import (
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/usage"
)

const alertsPath = usagePath + "/alerts"

func TestABudgetIsMadeChangedAndDeleted(t *testing.T) {
	s := newSite(t, "automation")
	b := s.as(s.Organization("acme").Owner())
	s.records(usage.Event{Meter: "executions", Value: 90, At: s.Clock.Now().AddDate(0, 0, -20)}, usage.Event{Meter: "executions", Value: 60})
	b.get(alertsPath).says(alertsPath, 200, "There is no budget yet", "No member and no key has a limit", "1,000 executions", "Nothing was reached so far")
	path := alertsPath + "/new"
	bound(t, s, b.get(path), path, "budgets.create")
	b.submit(b.get(path), path, "name", "Runs", "amount", "many").says(path, 422, "as a number such as 1000")
	looked := b.submit(b.get(path), path, "name", "Runs", "amount", "100", "step", "look").says(path, 200, "In the last three periods", "90 of 100: would have fired at 50, 80 percent")
	if held := looked.form(path).Get("name"); held != "Runs" {
		t.Errorf("the field holds %q", held)
	}
	b.submit(looked, path, "step", "save").says(alertsPath, 200, "The budget Runs is in force.", "60 executions of 100 executions", "60 %", "50 %, 80 %, 100 %")
	b.submit(b.get(path), path, "name", "runs", "amount", "1", "step", "save").says(path, 409, "is called")

	one := ""
	for _, link := range b.get(alertsPath).links() {
		if strings.HasPrefix(link, alertsPath+"/bud_") && !strings.HasSuffix(link, "/delete") {
			one = link
		}
	}
	bound(t, s, b.get(one), one, "budgets.update")
	// A budget that stops work is shown with what it would have done before it is made, and asks for a fresh proof.
	asked := b.submit(b.get(one), one, "action", "stop", "step", "save").says(one, 200, "Press the button once more", "would have fired")
	s.Clock.Advance(11 * time.Minute)
	if got := b.submit(asked, one, "step", "save"); !strings.HasPrefix(got.url, "/verify") {
		t.Errorf("no proof is asked for at %s", got.url)
	}
	s.Clock.Advance(-11 * time.Minute)
	b.submit(asked, one, "step", "save").says(alertsPath, 200, "The budget Runs is changed.", "Nothing more is reserved")
	money := b.submit(b.get(path), path, "name", "Bill", "meter", "-", "amount", "1,234.5", "step", "save").says(alertsPath, 200, "USD 0.00 of USD 1,234.50")
	if strings.Contains(money.text(), "USD 12") && !strings.Contains(money.text(), "1,234.50") {
		t.Error(money.text())
	}
	b.submit(b.get(one+"/delete"), one+"/delete").says(alertsPath, 200, "The budget Runs is deleted.")
	s.Sound()
}

func TestALimitIsSetAndRemoved(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	b := s.as(acme.Owner())
	path, who := usagePath+"/limits", acme.People["editor"]
	bound(t, s, b.get(path), path, "limits.set")
	b.submit(b.get(path), path).says(path, 422, "Say who", "as a whole number")
	b.submit(b.get(path), path, "subject", who.Member, "limit", "50").says(alertsPath+"#limits", 200, "The limit is in force.", who.Email, "50 executions")
	end := path + "/" + who.Member + "/executions/delete"
	b.submit(b.get(end), end).says(alertsPath+"#limits", 200, "The limit is gone.")
	b.get(end).says(end, 404)
}

func TestBudgetsFollowPermissions(t *testing.T) {
	for _, name := range charter.Names() {
		s := newSite(t, name)
		acme := s.Organization("acme")
		for role, person := range acme.People {
			holds := mustRole(t, s, role).Holds
			has := func(p charter.Permission) bool { info, _ := s.Charter().Info(p); return holds.Has(info.Bit) }
			b := s.as(person)
			page := b.get(alertsPath)
			if (page.Code == 200) != has("usage.view") || strings.Contains(page.text(), "Limits of members and keys") != (has("usage.view") && has("budgets.manage")) {
				t.Errorf("%s: %s gets %d: %s", name, role, page.Code, page.text())
			}
			for _, path := range []string{alertsPath + "/new", usagePath + "/limits"} {
				if got := b.get(path); (got.Code == 200) != has("budgets.manage") {
					t.Errorf("%s: %s gets %d at %s", name, role, got.Code, path)
				}
			}
		}
	}
}
