package sqldb

import (
	"strconv"
	"strings"
)

// Placeholders writes "$3, $4" for values that begin at parameter first, for the list of an IN, and gives the values as
// arguments.
func Placeholders(first int, values []string) (list string, args []any) {
	names, args := make([]string, len(values)), make([]any, len(values))
	for i, v := range values {
		names[i], args[i] = "$"+strconv.Itoa(first+i), v
	}
	return strings.Join(names, ", "), args
}
