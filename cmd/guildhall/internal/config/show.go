package config

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"go.yaml.in/yaml/v3"
)

// Show writes the configuration that holds, with where each value came from. It can be read as a configuration file,
// but for the secrets, which it hides.
func (l *Loaded) Show(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range Settings() {
		fmt.Fprintf(tw, "%s: %s\t# %s\n", s.Name, scalar(s.show(&l.Config)), l.origin[s.Name])
	}
	return tw.Flush()
}

// scalar writes a text as YAML, quoted where it has to be.
func scalar(text string) string {
	raw, err := yaml.Marshal(text)
	if err != nil {
		return "\"\""
	}
	return strings.TrimSpace(string(raw))
}

// Help writes what `guildhall help config` shows.
func Help(w io.Writer) error {
	fmt.Fprint(w, `The configuration of guildhall serve: defaults, then a YAML file (--config FILE or
GUILDHALL_CONFIG), then the environment, then flags; the later ones win.
guildhall config prints what holds, and where each value came from.

`)
	for _, s := range Settings() {
		fmt.Fprintf(w, "%s\n    %s\n", s.Name, s.Doc)
		fmt.Fprintf(w, "    %s%s\n", s.Env(), s.orFlag())
		if s.Default != "" {
			fmt.Fprintf(w, "    default: %s%s\n", s.Default, s.orChoices())
		}
	}
	return nil
}

func (s Setting) orFlag() string {
	if s.Secret {
		return ""
	}
	return ", --" + s.Flag()
}

func (s Setting) orChoices() string {
	if s.Choices == nil {
		return ""
	}
	return " (of " + strings.Join(s.Choices, ", ") + ")"
}

// Markdown writes the page of the documentation.
func Markdown(w io.Writer) error {
	fmt.Fprint(w, `# Configuration

`+"`guildhall serve`"+` reads its settings from four places, of which the later ones win: defaults, a YAML file
(`+"`--config FILE` or `GUILDHALL_CONFIG`"+`), the environment, and flags. An unknown name is refused, with the nearest right one.
`+"`guildhall config`"+` prints what holds and where each value came from, without the secrets.

| in the file | environment | flag | default |
| --- | --- | --- | --- |
`)
	for _, s := range Settings() {
		flag := "-"
		if !s.Secret {
			flag = "`--" + s.Flag() + "`"
		}
		fmt.Fprintf(w, "| [`%s`](#%s) | `%s` | %s | %s |\n", s.Name, s.Name, s.Env(), flag, code(s.Default))
	}
	for _, s := range Settings() {
		fmt.Fprintf(w, "\n## %s\n\n%s", s.Name, s.Doc)
		if s.Choices != nil {
			fmt.Fprintf(w, " One of `%s`.", strings.Join(s.Choices, "`, `"))
		}
		fmt.Fprintln(w)
	}
	return nil
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}
