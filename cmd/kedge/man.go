package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// manCommand writes the manual. It is hidden: packages use it.
type manCommand struct {
	Directory string `placeholder:"DIR" help:"Write a page for the program and one for each command here, instead of the program's to the standard output."`
}

// Run writes the pages.
func (c *manCommand) Run(a *app, parsed *kong.Context) error {
	pages := manPages(parsed.Model, thisBuild())
	if c.Directory == "" {
		_, err := io.WriteString(a.stdout, pages[0].text)
		return err
	}
	if err := os.MkdirAll(c.Directory, 0o755); err != nil {
		return fmt.Errorf("write the manual: %w", err)
	}
	for _, p := range pages {
		if err := os.WriteFile(filepath.Join(c.Directory, p.name+".1"), []byte(p.text), 0o644); err != nil {
			return fmt.Errorf("write the manual: %w", err)
		}
	}
	return nil
}

// manPage is one page of section 1: kedge, kedge-migrate, …
type manPage struct{ name, text string }

// manPages makes the manual from the command definitions, the program's page
// first. The commands below objectstorage are the same ones as those above and
// have no pages.
func manPages(model *kong.Application, b buildInfo) []manPage {
	pages := []manPage{{name: "kedge"}}
	var seen []*kong.Node
	for _, n := range model.Leaves(true) {
		if !strings.HasPrefix(pathOf(n), "objectstorage ") {
			seen = append(seen, n)
			pages = append(pages, manPage{name: manName(n), text: commandPage(n, b)})
		}
	}
	pages[0].text = programPage(model, seen, b)
	return pages
}

func manName(n *kong.Node) string {
	return "kedge-" + strings.ReplaceAll(pathOf(n), " ", "-")
}

func programPage(model *kong.Application, commands []*kong.Node, b buildInfo) string {
	var w manWriter
	summary, rest, _ := strings.Cut(model.Help, "\n\n")
	w.head("kedge", "moves an Anchore installation's archive between storage backends", b)
	w.line(".B kedge")
	w.line("[\\fIflags\\fR] \\fIcommand\\fR [\\fIargument\\fR ...]")
	w.section("DESCRIPTION")
	w.text(summary)
	w.section("COMMANDS")
	for _, n := range commands {
		w.item("\\fB"+roff(pathOf(n))+"\\fR", n.Help)
		w.line("See \\fB" + roff(manName(n)) + "\\fR(1).")
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

func commandPage(n *kong.Node, b buildInfo) string {
	var w manWriter
	w.head(manName(n), n.Help, b)
	w.line(".B kedge " + roff(pathOf(n)))
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

// manWriter writes a page in the macros of man(7).
type manWriter struct{ strings.Builder }

func (w *manWriter) line(s string) { w.WriteString(s + "\n") }

// text writes a paragraph's text.
func (w *manWriter) text(s string) { w.line(roff(strings.Join(strings.Fields(s), " "))) }

func (w *manWriter) section(name string) { w.line(".SH " + name) }

func (w *manWriter) item(what, help string) {
	w.line(".TP\n" + what)
	w.text(help)
}

// head writes title, name and the beginning of the synopsis. The date is that of
// what was built, so that the page is the same whenever it is made.
func (w *manWriter) head(name, help string, b buildInfo) {
	date := ""
	if !b.Date.IsZero() {
		date = b.Date.Format(time.DateOnly)
	}
	w.line(fmt.Sprintf(`.TH "%s" "1" "%s" "kedge %s" "kedge"`, roff(strings.ToUpper(name)), date, roff(b.Version)))
	w.section("NAME")
	w.line(roff(name) + " \\- " + roff(firstSentence(help)))
	w.section("SYNOPSIS")
}

// flags lists the flags of a node itself.
func (w *manWriter) flags(title string, n *kong.Node) {
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
func (w *manWriter) statuses(description string) {
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
