// Package manual writes the pages of kedge's manual, in the macros of man(7),
// from the definitions of its commands.
package manual

import (
	"fmt"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/kedge/kedge/cmd/kedge/internal/completion"
)

// Page is one page of section 1: kedge, kedge-migrate, …
type Page struct{ Name, Text string }

// Build is what the pages say of the program that they are about.
type Build struct {
	Version string
	Date    time.Time // of the commit that was built; zero if it is not known
}

// Pages makes the manual from the command definitions, the program's page
// first. The commands below objectstorage are the same ones as those above and
// have no pages.
func Pages(model *kong.Application, b Build) []Page {
	pages := []Page{{Name: "kedge"}}
	var seen []*kong.Node
	for _, n := range model.Leaves(true) {
		if !strings.HasPrefix(n.Path(), "objectstorage ") {
			seen = append(seen, n)
			pages = append(pages, Page{Name: pageName(n), Text: commandPage(n, b)})
		}
	}
	pages[0].Text = programPage(model, seen, b)
	return pages
}

func pageName(n *kong.Node) string {
	return "kedge-" + strings.ReplaceAll(n.Path(), " ", "-")
}

func programPage(model *kong.Application, commands []*kong.Node, b Build) string {
	var w writer
	summary, rest, _ := strings.Cut(model.Help, "\n\n")
	w.head("kedge", "moves an Anchore installation's archive between storage backends", b)
	w.line(".B kedge")
	w.line("[\\fIflags\\fR] \\fIcommand\\fR [\\fIargument\\fR ...]")
	w.section("DESCRIPTION")
	w.text(summary)
	w.section("COMMANDS")
	for _, n := range commands {
		w.item("\\fB"+roff(n.Path())+"\\fR", n.Help)
		w.line("See \\fB" + roff(pageName(n)) + "\\fR(1).")
	}
	for _, n := range model.Children {
		if !n.Hidden && n.Name == "objectstorage" {
			w.item("\\fBobjectstorage\\fR \\fIcommand\\fR", n.Help)
		}
	}
	w.flags("OPTIONS OF EVERY COMMAND", model.Node)
	w.statuses(rest)
	return w.String()
}

func commandPage(n *kong.Node, b Build) string {
	var w writer
	w.head(pageName(n), n.Help, b)
	w.line(".B kedge " + roff(n.Path()))
	synopsis := "[\\fIflags\\fR]"
	for _, p := range n.Positional {
		synopsis += " " + roff(p.Summary())
	}
	w.line(synopsis)
	w.section("DESCRIPTION")
	w.text(n.Help)
	for _, paragraph := range strings.Split(n.Detail, "\n") {
		if paragraph != "" {
			w.line(".PP")
			w.text(paragraph)
		}
	}
	if len(n.Positional) > 0 {
		w.section("ARGUMENTS")
		for _, p := range n.Positional {
			w.item("\\fI"+roff(p.Name)+"\\fR", p.Help)
		}
	}
	w.flags("OPTIONS", n)
	w.section("SEE ALSO")
	w.line(".BR kedge (1),")
	w.line("for the options of every command and the exit statuses")
	return w.String()
}

// writer writes a page in the macros of man(7).
type writer struct{ strings.Builder }

func (w *writer) line(s string) { w.WriteString(s + "\n") }

// text writes a paragraph's text.
func (w *writer) text(s string) { w.line(roff(strings.Join(strings.Fields(s), " "))) }

func (w *writer) section(name string) { w.line(".SH " + name) }

func (w *writer) item(what, help string) {
	w.line(".TP\n" + what)
	w.text(help)
}

// head writes title, name and the beginning of the synopsis. The date is that of
// what was built, so that the page is the same whenever it is made.
func (w *writer) head(name, help string, b Build) {
	date := ""
	if !b.Date.IsZero() {
		date = b.Date.Format(time.DateOnly)
	}
	w.line(fmt.Sprintf(`.TH "%s" "1" "%s" "kedge %s" "kedge"`, roff(strings.ToUpper(name)), date, roff(b.Version)))
	w.section("NAME")
	w.line(roff(name) + " \\- " + roff(completion.FirstSentence(help)))
	w.section("SYNOPSIS")
}

// flags lists the flags of a node itself.
func (w *writer) flags(title string, n *kong.Node) {
	begun := false
	for _, f := range n.Flags {
		if f.Hidden {
			continue
		}
		if !begun {
			w.section(title)
			begun = true
		}
		name := "\\fB\\-\\-" + roff(f.Name) + "\\fR"
		if !f.IsBool() && !f.IsCounter() {
			name += "=\\fI" + roff(placeholder(f)) + "\\fR"
		}
		if f.Short != 0 {
			name = "\\fB\\-" + string(f.Short) + "\\fR, " + name
		}
		switch negated := f.Tag.Negatable; negated {
		case "":
		case "_":
			name += ", \\fB\\-\\-no\\-" + roff(f.Name) + "\\fR"
		default:
			name += ", \\fB\\-\\-" + roff(negated) + "\\fR"
		}
		w.item(name, f.Help)
	}
}

// placeholder stands for a flag's value: the words it may be, or what it is.
func placeholder(f *kong.Flag) string {
	switch {
	case f.Enum != "":
		return strings.Join(f.EnumSlice(), "|")
	case f.PlaceHolder != "":
		return f.PlaceHolder
	}
	return strings.ToUpper(f.Name)
}

// statuses writes the exit statuses, which the program's description lists
// behind "Exit status:", separated by ";".
func (w *writer) statuses(description string) {
	list, found := strings.CutPrefix(strings.TrimSpace(description), "Exit status: ")
	if !found {
		return
	}
	w.section("EXIT STATUS")
	for _, status := range strings.Split(strings.TrimSuffix(list, "."), "; ") {
		number, what, _ := strings.Cut(status, " ")
		w.item(number, what)
	}
}

// roff is text as troff takes it.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "“", `\(lq`, "”", `\(rq`, "…", "...").Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}
