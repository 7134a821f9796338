package credential

import (
	"strings"
	"unicode"
)

// known are the names that a user agent is searched for, the telling ones first: most browsers also name those that
// they want to be taken for.
var (
	browsers = [][2]string{{"Edg", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"},
		{"CriOS/", "Chrome"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}, {"curl/", "curl"}, {"guildhall", "guildhall command line"}}
	systems = [][2]string{{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"CrOS", "ChromeOS"},
		{"Windows", "Windows"}, {"Mac OS X", "macOS"}, {"Linux", "Linux"}}
)

// Device says in a few words what a user agent runs on: "Firefox on Linux". It is a hint for people, and never longer
// than 40 characters.
func Device(agent string) string {
	browser, system := named(agent, browsers), named(agent, systems)
	switch {
	case browser != "" && system != "":
		return browser + " on " + system
	case browser+system != "":
		return browser + system
	}
	first, _, _ := strings.Cut(strings.TrimSpace(agent), "/")
	if first = printable(first, 40); first == "" {
		return "unknown device"
	}
	return first
}

func named(agent string, names [][2]string) string {
	for _, n := range names {
		if strings.Contains(agent, n[0]) {
			return n[1]
		}
	}
	return ""
}

// printable keeps at most n characters, and only those that stand still.
func printable(s string, n int) string {
	var kept []rune
	for _, c := range s {
		if unicode.IsPrint(c) && len(kept) < n {
			kept = append(kept, c)
		}
	}
	return strings.TrimSpace(string(kept))
}
