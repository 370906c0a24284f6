package tools

import (
	"fmt"
	"os"
)

// Debian's Python, which its packages are for, and where they put Swift, its
// client and Keystone.
const (
	python         = "/usr/bin/python3"
	swiftPackage   = "/usr/lib/python3/dist-packages/swift/__init__.py"
	keystoneManage = "/usr/bin/keystone-manage"
	clientPackage  = "/usr/lib/python3/dist-packages/swiftclient/service.py"
)

// Swift returns the interpreter that has OpenStack Swift; its error says how to
// install what is missing.
func Swift() (interpreter string, err error) { return openStack("Swift", swiftPackage) }

// Keystone returns the interpreter that has OpenStack Keystone; its error says
// how to install what is missing.
func Keystone() (interpreter string, err error) { return openStack("Keystone", keystoneManage) }

// SwiftClient returns the interpreter that has python-swiftclient, by which Anchore
// uses Swift; its error says how to install what is missing.
func SwiftClient() (interpreter string, err error) { return openStack("Swift's client", clientPackage) }

func openStack(name, file string) (string, error) {
	for _, path := range []string{python, file} {
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("OpenStack %s is not installed: %w; %s", name, err, mend)
		}
	}
	return python, nil
}
