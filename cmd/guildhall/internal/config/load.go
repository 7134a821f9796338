package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/guildhall/guildhall/charter"
)

// Loaded is a configuration and where each of its values came from.
type Loaded struct {
	Config
	File   string            // the configuration file; empty: none
	origin map[string]string // by setting: "default", "flag --addr", ...
}

// otherVariables are variables with the prefix that other parts of the program read.
var otherVariables = []string{"GUILDHALL_CONFIG", "GUILDHALL_SERVER", "GUILDHALL_TOKEN", "GUILDHALL_DATA", "GUILDHALL_ORG", "GUILDHALL_KEY"}

// Load reads the configuration: defaults, then the file (--config, else GUILDHALL_CONFIG), then the environment ("NAME=value"
// each), then the arguments. Errors name the setting and where it stands; unknown names come with the nearest right one.
func Load(args, environ []string) (*Loaded, error) {
	l := &Loaded{origin: map[string]string{}}
	flags, err := parseFlags(args)
	if err != nil {
		return nil, err
	}
	env := variables(environ)
	if l.File = env["GUILDHALL_CONFIG"]; flags["config"] != nil {
		l.File = *flags["config"]
	}
	err = errors.Join(l.takeDefaults(), l.takeFile(), l.takeEnvironment(env), l.takeFlags(flags))
	if err == nil {
		err = l.finish()
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (l *Loaded) take(s Setting, text, origin string) error {
	if err := s.set(&l.Config, text); err != nil {
		return fmt.Errorf("%s: %w", origin, err)
	}
	l.origin[s.Name] = origin
	return nil
}

func (l *Loaded) takeDefaults() error {
	var errs []error
	for _, s := range Settings() {
		l.origin[s.Name] = "default"
		if s.Default != "" {
			errs = append(errs, l.take(s, s.Default, "default"))
		}
	}
	return errors.Join(errs...)
}

// takeFile reads the YAML file: one mapping of names to values. A list may be written as one.
func (l *Loaded) takeFile() error {
	if l.File == "" {
		return nil
	}
	src, err := os.ReadFile(l.File)
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	var document yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(src))
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil
	} else if err != nil {
		return fmt.Errorf("configuration %s: %w", l.File, err)
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		return fmt.Errorf("%s: want lines of name: value", l.at(root))
	}
	var errs []error
	seen := map[string]bool{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		errs = append(errs, l.takeEntry(root.Content[i], root.Content[i+1], seen))
	}
	return errors.Join(errs...)
}

func (l *Loaded) takeEntry(key, value *yaml.Node, seen map[string]bool) error {
	s, ok := find(func(s Setting) bool { return s.Name == key.Value })
	switch {
	case !ok:
		return fmt.Errorf("%s: unknown setting %q%s", l.at(key), key.Value, didYouMean(key.Value, names(func(s Setting) string { return s.Name })))
	case seen[s.Name]:
		return fmt.Errorf("%s: %s stands here twice", l.at(key), s.Name)
	}
	seen[s.Name] = true
	text, err := textOf(value)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", l.at(value), s.Name, err)
	}
	return l.take(s, text, l.at(key))
}

func (l *Loaded) at(n *yaml.Node) string { return fmt.Sprintf("%s:%d:%d", l.File, n.Line, n.Column) }

func textOf(value *yaml.Node) (string, error) {
	if value.Kind == yaml.SequenceNode {
		var items []string
		for _, item := range value.Content {
			if item.Kind != yaml.ScalarNode {
				return "", errors.New("want a list of words")
			}
			items = append(items, item.Value)
		}
		return strings.Join(items, ","), nil
	}
	if value.Kind != yaml.ScalarNode {
		return "", errors.New("want one value, or a list of words")
	}
	if value.Tag == "!!null" {
		return "", errors.New("has no value: leave it out, or write \"\"")
	}
	return value.Value, nil
}

// variables are those of the environment that begin with the prefix.
func variables(environ []string) map[string]string {
	found := map[string]string{}
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok && strings.HasPrefix(name, envPrefix) {
			found[name] = value
		}
	}
	return found
}

// takeEnvironment refuses a variable that looks like a mistyped one, and leaves alone what looks like none: orchestrators
// put names of their own there.
func (l *Loaded) takeEnvironment(env map[string]string) error {
	var errs []error
	for _, s := range Settings() {
		if value, ok := env[s.Env()]; ok {
			errs = append(errs, l.take(s, value, "environment "+s.Env()))
			delete(env, s.Env())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if slices.Contains(otherVariables, name) {
			continue
		}
		near := charter.Nearest(strings.TrimPrefix(name, envPrefix), names(func(s Setting) string { return strings.TrimPrefix(s.Env(), envPrefix) }))
		if near != "" {
			errs = append(errs, fmt.Errorf("environment: unknown variable %s; did you mean %s?", name, envPrefix+near))
		}
	}
	return errors.Join(errs...)
}

// parseFlags reads "--name value" and "--name=value". Every flag has a value.
func parseFlags(args []string) (map[string]*string, error) {
	flags := map[string]*string{}
	for i := 0; i < len(args); i++ {
		name, value, hasValue := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		if !strings.HasPrefix(args[i], "-") || name == "" {
			return nil, fmt.Errorf("%q is not a flag: want --name value", args[i])
		}
		s, ok := find(func(s Setting) bool { return s.Flag() == name })
		if name != "config" && (!ok || s.Secret) {
			return nil, unknownFlag(name, ok)
		}
		if !hasValue {
			if i++; i == len(args) {
				return nil, fmt.Errorf("--%s needs a value", name)
			}
			value = args[i]
		}
		flags[name] = &value
	}
	return flags, nil
}

func unknownFlag(name string, secret bool) error {
	if secret {
		return fmt.Errorf("--%s: a secret is not given by a flag, which everybody on the machine can read: use the file or the environment", name)
	}
	return fmt.Errorf("unknown flag --%s%s", name, didYouMean(name, append(names(Setting.Flag), "config")))
}

func (l *Loaded) takeFlags(flags map[string]*string) error {
	var errs []error
	for _, s := range Settings() {
		if value := flags[s.Flag()]; value != nil {
			errs = append(errs, l.take(s, *value, "flag --"+s.Flag()))
		}
	}
	return errors.Join(errs...)
}

func find(matches func(Setting) bool) (Setting, bool) {
	all := Settings()
	i := slices.IndexFunc(all, matches)
	if i < 0 {
		return Setting{}, false
	}
	return all[i], true
}

func names(name func(Setting) string) []string {
	var all []string
	for _, s := range Settings() {
		all = append(all, name(s))
	}
	return all
}

func didYouMean(word string, among []string) string {
	if near := charter.Nearest(word, among); near != "" {
		return fmt.Sprintf("; did you mean %s?", near)
	}
	return ""
}
