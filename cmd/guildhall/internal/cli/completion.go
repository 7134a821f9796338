package cli

import (
	"fmt"
	"strings"
)

// completion prints a script that completes nouns, verbs and flags. It is made from the table, so a shell asks nobody
// while somebody types.
func (a *app) completion(args []string) int {
	scripts := map[string]func() string{"bash": a.bash, "zsh": a.zsh, "fish": a.fish, "powershell": a.powershell}
	if len(args) != 1 || scripts[args[0]] == nil {
		return a.misuse("say which shell: guildhall completion %s", strings.ReplaceAll(shells, " ", "|"))
	}
	fmt.Fprint(a.Stdout, scripts[args[0]]())
	return exitOK
}

// shells are those that there is a script for.
const shells = "bash zsh fish powershell"

// words is everything that may come first.
func (a *app) words() string { return strings.Join(a.firstWords(), " ") }

// flagWords are the flags of a command, with those of every command.
func (c *command) flagWords() string { return "--" + strings.Join(c.flagNames(), " --") }

// each visits every command.
func (a *app) each(visit func(c *command)) {
	for _, noun := range a.nouns {
		for _, c := range a.commands[noun] {
			visit(c)
		}
	}
}

// cases are the words after "noun" and after "noun verb", as branches of a case of sh.
func (a *app) cases() string {
	var b strings.Builder
	for _, noun := range a.nouns {
		fmt.Fprintf(&b, "    %q) words=%q ;;\n", noun+" ", strings.Join(verbNames(a.commands[noun]), " "))
	}
	a.each(func(c *command) { fmt.Fprintf(&b, "    %q) words=%q ;;\n", c.noun+" "+c.verb, c.flagWords()) })
	fmt.Fprintf(&b, "    %q) words=%q ;;\n", "completion ", shells)
	return b.String()
}

func (a *app) bash() string {
	return `# bash completion for guildhall: eval "$(guildhall completion bash)"
_guildhall() {
  local words="" line="${COMP_WORDS[1]} ${COMP_WORDS[2]}"
  if [ "$COMP_CWORD" -eq 1 ]; then words="` + a.words() + `"
  else
    if [ "$COMP_CWORD" -eq 2 ]; then line="${COMP_WORDS[1]} "; fi
    case "$line" in
` + a.cases() + `    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _guildhall guildhall
`
}

func (a *app) zsh() string {
	return `#compdef guildhall
# zsh completion for guildhall: eval "$(guildhall completion zsh)"
_guildhall() {
  local words_="" line="${words[2]} ${words[3]}"
  if (( CURRENT == 2 )); then words_="` + a.words() + `"
  else
    if (( CURRENT == 3 )); then line="${words[2]} "; fi
    case "$line" in
` + strings.ReplaceAll(a.cases(), ") words=", ") words_=") + `    esac
  fi
  compadd -- ${=words_}
}
compdef _guildhall guildhall
`
}

func (a *app) fish() string {
	var b strings.Builder
	b.WriteString("# fish completion for guildhall: guildhall completion fish | source\ncomplete -c guildhall -f\n")
	fmt.Fprintf(&b, "complete -c guildhall -n __fish_use_subcommand -a '%s'\n", a.words())
	for _, noun := range a.nouns {
		verbs := strings.Join(verbNames(a.commands[noun]), " ")
		fmt.Fprintf(&b, "complete -c guildhall -n '__fish_seen_subcommand_from %s; and not __fish_seen_subcommand_from %s' -a '%s'\n", noun, verbs, verbs)
	}
	a.each(func(c *command) {
		for _, f := range c.flags {
			fmt.Fprintf(&b, "complete -c guildhall -n '__fish_seen_subcommand_from %s; and __fish_seen_subcommand_from %s' -l %s -d %s\n",
				c.noun, c.verb, f.flag, quoted(f.doc))
		}
	})
	for _, g := range globalFlags {
		fmt.Fprintf(&b, "complete -c guildhall -l %s -d %s\n", g.name, quoted(g.doc))
	}
	return b.String()
}

// powershell keeps the words in a table, by what stands before the one that is typed.
func (a *app) powershell() string {
	var b strings.Builder
	b.WriteString("# PowerShell completion for guildhall: guildhall completion powershell | Out-String | Invoke-Expression\n")
	b.WriteString("Register-ArgumentCompleter -Native -CommandName guildhall -ScriptBlock {\n  param($word, $ast, $cursor)\n  $table = @{\n")
	row := func(before, words string) { fmt.Fprintf(&b, "    '%s' = '%s'\n", before, words) }
	row("", a.words())
	row("completion", shells)
	for _, noun := range a.nouns {
		row(noun, strings.Join(verbNames(a.commands[noun]), " "))
	}
	a.each(func(c *command) { row(c.noun+" "+c.verb, c.flagWords()) })
	b.WriteString(`  }
  $typed = @($ast.CommandElements | Select-Object -Skip 1 | ForEach-Object { $_.ToString() })
  if ($word) { $typed = @($typed | Select-Object -SkipLast 1) }
  $before = @($typed | Select-Object -First 2) -join ' '
  "$($table[$before])".Split(' ') | Where-Object { $_ -and $_ -like "$word*" } | ForEach-Object {
    [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
  }
}
`)
	return b.String()
}

// quoted is text for fish: in single quotes, with what ends them escaped.
func quoted(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}
