package cmdline

import "testing"

// A password in a place where nobody looks for it is not shown.
func TestNoPasswordIsSuggested(t *testing.T) {
	for url, want := range map[string]string{
		"postgresql://u:p@w@h/n?sslmode=require": "postgresql://u:********@h/n?sslmode=require",
		"postgresql://u@h/n?password=p%40w":      "URL",
		"sqlite:////some/where.db":               "sqlite:////some/where.db",
	} {
		if got := withoutPassword(url); got != want {
			t.Errorf("%s is shown as %s, want %s", url, got, want)
		}
	}
}
