package main

import (
	"slices"
	"strings"

	"github.com/kedge/kedge/config"
	"github.com/kedge/kedge/drivers"
)

// loadConfig reads a configuration whose warnings are logged as they are found.
func (a *app) loadConfig(path string) (*config.File, error) {
	f, err := config.Load(path)
	if err == nil {
		f.OnWarning = func(w config.Warning) { a.warn(w.String()) }
	}
	return f, err
}

// warn logs a warning about what was given, each once.
func (a *app) warn(text string) {
	if slices.Contains(a.warned, text) {
		return
	}
	a.warned = append(a.warned, text)
	a.log.Warn(text)
}

// warnings are what a file has been warned of so far, as findings.
func warnings(f *config.File) (list []drivers.Finding) {
	for _, w := range f.Warnings() {
		list = append(list, drivers.Finding{Name: "warning", Value: w.String()})
	}
	return list
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
