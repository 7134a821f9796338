package charter_test

import (
	"testing"

	"github.com/guildhall/guildhall/charter"
)

func TestReady(t *testing.T) {
	for _, name := range charter.Names() {
		if _, err := charter.Ready(name); err != nil {
			t.Error(err)
		}
	}
}
