package billing

import (
	"context"

	"github.com/guildhall/guildhall/internal/period"
	"github.com/guildhall/guildhall/op"
)

// usageLines are what was used in a period beyond what the plan includes.
func usageLines(context.Context, *op.Reader, string, period.Period) ([]InvoiceLine, error) {
	return nil, nil
}

// usedNow is how much there was of each meter in a period.
func usedNow(context.Context, *op.Reader, string, period.Period) (map[string]int64, error) {
	return nil, nil
}
