package drivers_test

import (
	"strings"
	"testing"

	"github.com/kedge/kedge/drivers"
)

// TestCheckCredential: what no credential holds is named with its place, and
// nothing of the credential is told.
func TestCheckCredential(t *testing.T) {
	tests := []struct {
		credential string
		may        drivers.Spaces
		want       string // what the error says, "" for none
	}{
		{"", drivers.NoSpaces, ""},
		{"AKIAhush+/=", drivers.NoSpaces, ""},
		{"hush\n", drivers.NoSpaces, "ends with a line break"},
		{"hush\r\n", drivers.InnerSpaces, "ends with a line break"},
		{"hush\n", drivers.SpacesAnyhow, "ends with a line break"},
		{"\nhush", drivers.InnerSpaces, "begins with a line break"},
		{"hu\nsh", drivers.InnerSpaces, "holds a line break"},
		{"hu\nsh", drivers.SpacesAnyhow, "holds a line break"},
		{"hush ", drivers.NoSpaces, "ends with a space"},
		{"hush ", drivers.InnerSpaces, "ends with a space"},
		{"hush ", drivers.SpacesAnyhow, ""},
		{" hush", drivers.InnerSpaces, "begins with a space"},
		{"hu sh", drivers.NoSpaces, "holds a space"},
		{"hu sh", drivers.InnerSpaces, ""},
		{"hush\t", drivers.SpacesAnyhow, "ends with a tab"},
		{"hu\x00sh", drivers.SpacesAnyhow, "holds a NUL"},
		{"hu\x1bsh", drivers.InnerSpaces, "holds a control character (U+001B)"},
		{"hush\u00a0", drivers.InnerSpaces, "ends with white space (U+00A0)"},
		{"\ufeffhush", drivers.InnerSpaces, "begins with a control character (U+FEFF)"},
		{"hüsh", drivers.InnerSpaces, ""},
	}
	for _, tt := range tests {
		err := drivers.CheckCredential(tt.credential, tt.may)
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%q: %v", tt.credential, err)
		case tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.want+",") || strings.Contains(err.Error(), "hu")):
			t.Errorf("%q: %v, want %q", tt.credential, err, tt.want)
		}
	}
}
