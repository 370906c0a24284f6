package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/kedge/kedge/config"
	"github.com/kedge/kedge/drivers/all"
	"github.com/kedge/kedge/drivers/cloudfront"
)

// configCommand helps with configurations.
type configCommand struct {
	Explain configExplainCommand `cmd:"" help:"Show what a configuration comes to: every setting, and where it comes from. Secrets are masked."`
	Example configExampleCommand `cmd:"" help:"Print a configuration for a driver, with every option explained."`
}

// configExampleCommand prints an example.
type configExampleCommand struct {
	Driver string `arg:"" enum:"${drivers}" help:"Driver: ${enum}."`
}

// Run prints the example.
func (c *configExampleCommand) Run(a *app) error {
	text, err := all.Example(c.Driver)
	if err != nil {
		return err
	}
	_, err = io.WriteString(a.stdout, text)
	return err
}

// configExplainCommand shows effective settings.
type configExplainCommand struct {
	Config string `arg:"" name:"config.yaml" help:"Configuration of an Anchore installation, or a registry's config.yml."`
}

// explanation is what there is to say about one part of a configuration.
type explanation struct {
	Section  string           `json:"section"`
	Driver   string           `json:"driver,omitempty"`
	Settings []config.Setting `json:"-"`
	Shown    []settingJSON    `json:"settings"`
	Unset    []string         `json:"not_set"`
	Warnings []string         `json:"warnings,omitempty"`
}

type settingJSON struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Secret bool   `json:"secret"`
	From   string `json:"from"`
	// IgnoredBeside is the key beside which the setting has no effect.
	IgnoredBeside string `json:"ignored_beside,omitempty"`
}

// Run shows what the configuration comes to. One that migrate would refuse is
// refused here too, and with the same words.
func (c *configExplainCommand) Run(a *app) error {
	f, err := a.loadConfig(c.Config)
	if err != nil {
		return err
	}
	explain := explainInstallation
	if f.IsRegistry() {
		explain = explainRegistry
	}
	f.OnWarning = nil // they stand in the result
	list, err := explain(a, f)
	if err != nil {
		return err
	}
	distribute(f, list)
	for i, e := range list {
		list[i].Shown, list[i].Unset = []settingJSON{}, append([]string{}, e.Unset...)
		for _, s := range e.Settings {
			from := s.From(f.Path)
			if e.Section == s.Path {
				from = "command line"
			}
			list[i].Shown = append(list[i].Shown, settingJSON{Key: s.Path, Value: s.Value, Secret: s.Secret, From: from, IgnoredBeside: s.IgnoredBeside})
		}
	}
	if a.globals.Output == "json" {
		e := json.NewEncoder(a.stdout)
		e.SetIndent("", "  ")
		return e.Encode(list)
	}
	return writeExplanations(a.stdout, list)
}

func explainInstallation(a *app, f *config.File) ([]explanation, error) {
	list, err := explainDatabase(a, f)
	if err != nil {
		return nil, err
	}
	archives := []bool{false}
	if f.HasAnalysisArchive() {
		archives = append(archives, true)
	}
	for _, analysisArchive := range archives {
		s, err := section(f, analysisArchive)
		if err != nil {
			return nil, err
		}
		options, err := all.NewOptions(s)
		if err != nil {
			return nil, err
		}
		e := explanation{Section: s.Section, Driver: s.Driver}
		if e.Settings, e.Unset, err = s.Settings(options); err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, nil
}

// explainDatabase explains the configuration's database, or that of --db-connect,
// beside which it does not count.
func explainDatabase(a *app, f *config.File) ([]explanation, error) {
	e := explanation{Section: "credentials.database"}
	var err error
	if a.globals.DBConnect != "" {
		var d *config.Database
		if d, err = config.ParseDatabaseURL(a.globals.DBConnect); err == nil {
			e.Section = "--db-connect"
			e.Settings, e.Warnings = []config.Setting{{Path: "--db-connect", Value: d.Redacted()}}, d.Warnings()
		}
	} else {
		e.Settings, err = f.DatabaseSettings()
	}
	if errors.Is(err, config.ErrNoDatabase) {
		return nil, nil
	}
	return []explanation{e}, err
}

func explainRegistry(_ *app, f *config.File) ([]explanation, error) {
	r, err := loadRegistry(f)
	if err != nil {
		return nil, err
	}
	options, err := all.NewRegistryOptions(r)
	if err != nil {
		return nil, err
	}
	e := explanation{Section: "storage", Driver: r.Driver}
	e.Settings, e.Unset, err = r.Settings(options, &cloudfront.Options{})
	return []explanation{e}, err
}

func writeExplanations(w io.Writer, list []explanation) error {
	for i, e := range list {
		if i > 0 {
			fmt.Fprintln(w)
		}
		title := e.Section
		if e.Driver != "" {
			title += ": driver " + e.Driver
		}
		fmt.Fprintln(w, title)
		t := tabwriter.NewWriter(w, 0, 8, 3, ' ', 0)
		for _, s := range e.Shown {
			fmt.Fprintf(t, "  %s\t%s\t%s\n", strings.TrimPrefix(s.Key, e.Section+"."), s.Value, s.From)
		}
		if err := t.Flush(); err != nil {
			return err
		}
		if len(e.Unset) > 0 {
			fmt.Fprintln(w, "  not set:", strings.Join(e.Unset, ", "))
		}
		for _, warning := range e.Warnings {
			fmt.Fprintln(w, "  warning:", warning)
		}
	}
	return nil
}

// quoteLine is what is put behind a message about a configuration: the line that
// is at fault, where it can be shown and says more than the message's path. All
// stays one line.
func quoteLine(err error) string {
	var fault *config.Error
	if !errors.As(err, &fault) {
		return ""
	}
	line := strings.TrimSpace(fault.Excerpt())
	if line == "" || fault.Path != "" && strings.HasSuffix(line, ":") {
		return ""
	}
	return " (the line: " + line + ")"
}

// distribute gives each explanation the warnings about its section, and the first
// one those about none of them.
func distribute(f *config.File, list []explanation) {
	for _, w := range f.Warnings() {
		of := 0
		for i, e := range list {
			if e.Section != "" && (w.Path == e.Section || strings.HasPrefix(w.Path, e.Section+".")) {
				of = i
			}
		}
		if len(list) > 0 {
			list[of].Warnings = append(list[of].Warnings, w.String())
		}
	}
}
