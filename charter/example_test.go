package charter_test

import (
	"fmt"

	"github.com/guildhall/guildhall/charter"
)

func ExampleCharter_Explain() {
	c, err := charter.Ready("gateway")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, role := range c.Roles() {
		why, err := c.Explain(role.ID, "prompts.promote")
		fmt.Println(why, err)
	}
	// Output:
	// reader lacks prompts.promote: held by developer, admin, owner <nil>
	// developer holds prompts.promote: granted to developer <nil>
	// admin holds prompts.promote: granted to developer, which admin extends <nil>
	// owner holds prompts.promote: owner has grants: all <nil>
}
