package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/alecthomas/kong"

	"github.com/kedge/kedge/cmd/kedge/internal/completion"
	"github.com/kedge/kedge/cmd/kedge/internal/manual"
)

// completionCommand prints a shell's completion script.
type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"Shell: ${enum}."`
}

// Help tells how to use what is printed.
func (c *completionCommand) Help() string {
	return `bash: kedge completion bash > /etc/bash_completion.d/kedge, or source <(kedge completion bash) in ~/.bashrc.
zsh: kedge completion zsh > DIRECTORY/_kedge, where DIRECTORY is in $fpath.
fish: kedge completion fish > ~/.config/fish/completions/kedge.fish.`
}

// Run prints the script.
func (c *completionCommand) Run(a *app, parsed *kong.Context) error {
	_, err := io.WriteString(a.stdout, completion.Scripts[c.Shell](completion.Places(parsed.Model.Node)))
	return err
}

// manCommand writes the manual. It is hidden: packages use it.
type manCommand struct {
	Directory string `placeholder:"DIR" help:"Write a page for the program and one for each command here, instead of the program's to the standard output."`
}

// Run writes the pages.
func (c *manCommand) Run(a *app, parsed *kong.Context) error {
	b := thisBuild()
	pages := manual.Pages(parsed.Model, manual.Build{Version: b.Version, Date: b.Date})
	if c.Directory == "" {
		_, err := io.WriteString(a.stdout, pages[0].Text)
		return err
	}
	if err := os.MkdirAll(c.Directory, 0o755); err != nil {
		return fmt.Errorf("write the manual: %w", err)
	}
	for _, p := range pages {
		if err := os.WriteFile(filepath.Join(c.Directory, p.Name+".1"), []byte(p.Text), 0o644); err != nil {
			return fmt.Errorf("write the manual: %w", err)
		}
	}
	return nil
}
