package completion

import (
	"fmt"
	"strings"
)

// Fish is the script for fish.
func Fish(places []Place) string {
	var b strings.Builder
	b.WriteString(`# fish completion for kedge; made by "kedge completion fish".

function __kedge_place
    set -l place ''
    for word in (commandline -opc)[2..-1]
        switch "$place/$word"
`)
	for _, p := range places {
		for _, c := range p.commands {
			fmt.Fprintf(&b, "            case %s\n                set place %s\n", fishQuote(p.Path+"/"+c.name()), fishQuote(c.Path))
		}
	}
	b.WriteString(`        end
    end
    echo $place
end

function __kedge_at
    test (__kedge_place) = "$argv"
end

`)
	for _, p := range places {
		at := fishQuote("__kedge_at " + fishQuote(p.Path))
		for _, c := range p.commands {
			fmt.Fprintf(&b, "complete -c kedge -n %s -f -a %s -d %s\n", at, fishQuote(c.name()), fishQuote(c.help))
		}
		if words := p.Words(); len(words) > 0 {
			fmt.Fprintf(&b, "complete -c kedge -n %s -f -a %s\n", at, fishQuote(strings.Join(words, " ")))
		}
		for _, f := range p.Flags {
			fmt.Fprintf(&b, "complete -c kedge -n %s -l %s", at, f.Long)
			if f.short != "" {
				b.WriteString(" -s " + f.short)
			}
			switch {
			case f.values != nil:
				fmt.Fprintf(&b, " -x -a %s", fishQuote(strings.Join(f.values, " ")))
			case f.takesValue:
				b.WriteString(" -r")
			}
			fmt.Fprintf(&b, " -d %s\n", fishQuote(f.help))
		}
	}
	return b.String()
}

// fishQuote is a word in single quotes, in which fish knows \\ and \'.
func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}
