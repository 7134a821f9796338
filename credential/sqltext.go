package credential

import (
	"strconv"
	"strings"
)

// conditions gathers the WHERE of a list, and its parameters.
type conditions struct {
	parts []string
	args  []any
}

// add adds a condition, whose every ? is one of the values, in their order.
func (c *conditions) add(text string, values ...any) {
	for _, v := range values {
		text = strings.Replace(text, "?", c.param(v), 1)
	}
	c.parts = append(c.parts, text)
}

// param adds a value and gives its name.
func (c *conditions) param(value any) string {
	c.args = append(c.args, value)
	return "$" + strconv.Itoa(len(c.args))
}

func (c *conditions) where() string { return strings.Join(c.parts, " AND ") }

// likeEscaped takes the meaning from what LIKE ... ESCAPE '!' gives one.
var likeEscaped = strings.NewReplacer("!", "!!", "%", "!%", "_", "!_")

// containing is the pattern of LIKE for a text that has s in it.
func containing(s string) string { return "%" + likeEscaped.Replace(s) + "%" }
