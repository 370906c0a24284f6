package completion

import (
	"fmt"
	"strings"
)

// Bash is the script for bash.
func Bash(places []Place) string {
	var b strings.Builder
	b.WriteString(`# bash completion for kedge; made by "kedge completion bash".

_kedge() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
    local place='' commands='' flags='' words='' value=no i

    # bash takes "=" for a word of its own.
    if [[ $current == '=' ]]; then
        current=''
    elif [[ $previous == '=' ]]; then
        previous=${COMP_WORDS[COMP_CWORD-2]}
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        case "$place/${COMP_WORDS[i]}" in
`)
	b.WriteString(walkCase(places))
	b.WriteString("        esac\n    done\n    case \"$place\" in\n")
	for _, p := range places {
		var commands, flags []string
		for _, c := range p.commands {
			commands = append(commands, c.name())
		}
		for _, f := range p.Flags {
			flags = append(flags, "--"+f.Long)
			if f.short != "" {
				flags = append(flags, "-"+f.short)
			}
		}
		fmt.Fprintf(&b, "        %s)\n            commands=%s\n            words=%s\n            flags=%s\n            case \"$previous\" in\n",
			shellQuote(p.Path), shellQuote(strings.Join(commands, " ")), shellQuote(strings.Join(p.Words(), " ")), shellQuote(strings.Join(flags, " ")))
		for _, f := range p.Flags {
			if !f.takesValue {
				continue
			}
			pattern := "--" + f.Long
			if f.short != "" {
				pattern += "|-" + f.short
			}
			fmt.Fprintf(&b, "                %s) value=yes words=%s ;;\n", pattern, shellQuote(strings.Join(f.values, " ")))
		}
		b.WriteString("            esac\n            ;;\n")
	}
	b.WriteString(`    esac

    if [[ $value == no && $current == -* ]]; then
        words=$flags
    elif [[ $value == no && -n $commands ]]; then
        words=$commands
    fi
    # Where there is nothing to choose from, bash offers files.
    COMPREPLY=()
    if [[ -n $words ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    fi
}

complete -o default -F _kedge kedge
`)
	return b.String()
}
