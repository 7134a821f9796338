package guildhalltest_test

import (
	"testing"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/internal/testdb"
)

func TestAHallHasItsPeople(t *testing.T) {
	for _, name := range charter.Names() {
		for _, d := range testdb.Dialects {
			t.Run(name+"/"+d.String(), func(t *testing.T) {
				h := guildhalltest.New(t, name, guildhalltest.OnDatabase(testdb.DSN(t, d)))
				acme := h.Organization("acme")
				for role, person := range acme.People {
					me, err := directory.GetMe.Call(person.Ctx(), h.Service(), directory.GetMeInput{})
					if err != nil || len(me.Organizations) != 1 || me.Organizations[0].Role != string(role) {
						t.Errorf("%s: %+v, %v", role, me, err)
					}
				}
				h.Sound()
			})
		}
	}
}
