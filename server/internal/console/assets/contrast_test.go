package assets_test

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"testing"
)

// palette is the colour of every token in one mode, as "#rrggbb".
type palette map[string]string

// palettes reads the tokens from the style sheet as it is served.
func palettes(t *testing.T) (light, dark palette) {
	t.Helper()
	token := regexp.MustCompile(`--([a-z0-9-]+):[^;]*?light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)`)
	light, dark = palette{}, palette{}
	for _, m := range token.FindAllStringSubmatch(string(body(t, "app.css")), -1) {
		if light[m[1]] != "" {
			t.Fatalf("--%s is set twice", m[1])
		}
		light[m[1]], dark[m[1]] = m[2], m[3]
	}
	return light, dark
}

func TestTokensAreThoseOfTheDesign(t *testing.T) {
	light, dark := palettes(t)
	design := map[string][2]string{
		"bg": {"#f9fafb", "#0c1015"}, "surface": {"#ffffff", "#13171e"}, "raised": {"#ffffff", "#1c2128"},
		"sunken": {"#f2f4f6", "#080a0e"}, "text": {"#171d26", "#e9ebef"}, "muted": {"#575e69", "#a5abb5"},
		"border": {"#dadee3", "#2e333b"}, "control": {"#7f8793", "#737b87"}, "brand": {"#2858cd", "#77a2fc"},
		"on-brand": {"#fcfcfc", "#090f1c"}, "link": {"#2251c6", "#8ab0fe"}, "focus": {"#2b62ef", "#89b5ff"},
		"ok": {"#0f6a31", "#75d78d"}, "ok-bg": {"#e0f7e4", "#15301b"}, "warn": {"#814d00", "#eec05b"},
		"warn-bg": {"#fff2ce", "#3a270b"}, "bad": {"#b71824", "#ff8482"}, "bad-bg": {"#ffeeee", "#481b1c"},
		"on-bad": {"#fcfcfc", "#180808"}, "info": {"#005f9e", "#7cc2fd"}, "info-bg": {"#e7f4ff", "#142a41"},
	}
	for name, want := range design {
		if got := [2]string{light[name], dark[name]}; got != want {
			t.Errorf("--%s: got %v, want %v", name, got, want)
		}
	}
}

func TestContrast(t *testing.T) {
	light, dark := palettes(t)
	grounds := []string{"bg", "surface", "raised", "sunken"}
	states := []string{"ok-bg", "warn-bg", "bad-bg", "info-bg"}
	for _, c := range []struct {
		front string
		backs []string
		least float64
	}{
		{"text", append(states, grounds...), 4.5},
		{"muted", grounds, 4.5},
		{"link", append(states, grounds...), 4.5},
		{"on-brand", []string{"brand"}, 4.5},
		{"on-bad", []string{"bad"}, 4.5},
		{"ok", []string{"ok-bg"}, 4.5},
		{"warn", []string{"warn-bg"}, 4.5},
		{"bad", []string{"bad-bg"}, 4.5},
		{"info", []string{"info-bg"}, 4.5},
		{"bad", grounds, 4.5},
		{"control", grounds, 3},
		{"focus", grounds, 3},
		{"series-1", grounds[:2], 3}, {"series-2", grounds[:2], 3}, {"series-3", grounds[:2], 3}, {"series-4", grounds[:2], 3},
		{"series-5", grounds[:2], 3}, {"series-6", grounds[:2], 3}, {"series-7", grounds[:2], 3}, {"series-8", grounds[:2], 3},
	} {
		for _, back := range c.backs {
			for mode, p := range map[string]palette{"light": light, "dark": dark} {
				if got := contrast(t, p[c.front], p[back]); got < c.least {
					t.Errorf("%s: --%s on --%s is %.2f, want %.1f", mode, c.front, back, got, c.least)
				}
			}
		}
	}
}

func TestContrastOfKnownPairs(t *testing.T) {
	for _, c := range []struct{ front, back, want string }{
		{"#000000", "#ffffff", "21.00"},
		{"#777777", "#ffffff", "4.48"},
		{"#7f8793", "#f2f4f6", "3.29"},
	} {
		if got := fmt.Sprintf("%.2f", contrast(t, c.front, c.back)); got != c.want {
			t.Errorf("%s on %s: got %s, want %s", c.front, c.back, got, c.want)
		}
	}
}

// contrast is the ratio of WCAG 2.2, section 1.4.3.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	la, lb := luminance(t, a), luminance(t, b)
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

func luminance(t *testing.T, colour string) (sum float64) {
	t.Helper()
	if len(colour) != 7 {
		t.Fatalf("%q is not a colour", colour)
	}
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		part, err := strconv.ParseUint(colour[1+2*i:3+2*i], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		s := float64(part) / 255
		if s <= 0.04045 {
			sum += weight * s / 12.92
			continue
		}
		sum += weight * math.Pow((s+0.055)/1.055, 2.4)
	}
	return sum
}
