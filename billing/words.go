package billing

import (
	"strconv"
	"strings"
)

// decimals are the digits behind the point of the currencies that do not have two (ISO 4217).
var decimals = map[string]int{"BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0, "RWF": 0, "UGX": 0,
	"VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0, "BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3}

// Money writes an amount of minor units with its currency: "USD 1,234.50".
func Money(minor int64, currency string) string {
	places, special := decimals[currency]
	if !special {
		places = 2
	}
	sign, digits := "", strconv.FormatInt(minor, 10)
	if minor < 0 {
		sign, digits = "-", digits[1:]
	}
	if missing := places + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	whole, rest := digits[:len(digits)-places], digits[len(digits)-places:]
	whole = thousands(whole)
	if places > 0 {
		whole += "." + rest
	}
	return currency + " " + sign + whole
}

// thousands puts a comma before each three digits.
func thousands(digits string) string {
	for n := len(digits) - 3; n > 0; n -= 3 {
		digits = digits[:n] + "," + digits[n:]
	}
	return digits
}
