package op

// Parts are what rooms keep beside the database and what the assembly hands from one room to another: at most one value
// of each type.
type Parts []any

// Part gives the value of a type; the zero value where there is none.
func Part[T any](p Parts) T {
	for _, one := range p {
		if part, ok := one.(T); ok {
			return part
		}
	}
	var none T
	return none
}
