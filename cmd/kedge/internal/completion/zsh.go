package completion

import (
	"fmt"
	"strings"
)

// Zsh is the script for zsh, to be found in its fpath as _kedge.
func Zsh(places []Place) string {
	var b strings.Builder
	b.WriteString(`#compdef kedge
# zsh completion for kedge; made by "kedge completion zsh".

_kedge() {
    local place=''
    local -a flags subcommands choices
    integer i
    for ((i = 2; i < CURRENT; i++)); do
        case "$place/${words[i]}" in
`)
	b.WriteString(walkCase(places))
	b.WriteString("        esac\n    done\n    case \"$place\" in\n")
	for _, p := range places {
		fmt.Fprintf(&b, "        %s)\n            flags=(\n", shellQuote(p.Path))
		for _, f := range p.Flags {
			fmt.Fprintf(&b, "                %s\n", shellQuote(zshSpec(f, "--"+f.Long)))
			if f.short != "" {
				fmt.Fprintf(&b, "                %s\n", shellQuote(zshSpec(f, "-"+f.short)))
			}
		}
		b.WriteString("            )\n            subcommands=(\n")
		for _, c := range p.commands {
			fmt.Fprintf(&b, "                %s\n", shellQuote(c.name()+":"+strings.ReplaceAll(c.help, ":", `\:`)))
		}
		fmt.Fprintf(&b, "            )\n            choices=(%s)\n            ;;\n", strings.Join(p.Words(), " "))
	}
	b.WriteString(`    esac
    if (( $#subcommands )); then
        _arguments -S : $flags '*: :{_describe -t commands command subcommands}'
    elif (( $#choices )); then
        _arguments -S : $flags "*:argument:($choices)"
    else
        _arguments -S : $flags '*:file:_files'
    fi
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _kedge "$@"
else
    compdef _kedge kedge
fi
`)
	return b.String()
}

// zshSpec is a flag as _arguments takes it.
func zshSpec(f Flag, name string) string {
	help := strings.NewReplacer(`\`, `\\`, "[", `\[`, "]", `\]`, ":", `\:`).Replace(f.help)
	spec := "*" + name
	if f.takesValue {
		if strings.HasPrefix(name, "--") {
			spec += "=" // "--flag value" and "--flag=value"
		} else {
			spec += "+"
		}
	}
	spec += "[" + help + "]"
	switch {
	case f.values != nil:
		spec += ":" + f.Long + ":(" + strings.Join(f.values, " ") + ")"
	case f.takesValue:
		spec += ":" + f.Long + ":_files"
	}
	return spec
}
