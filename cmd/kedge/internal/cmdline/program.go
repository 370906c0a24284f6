package cmdline

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Kedge is kedge's own name.
const Kedge = "kedge"

// managers are the names of Anchore's own programs. Called by one of them, through
// a link, kedge stands in for it.
var managers = []string{"anchore-manager", "anchore-enterprise-manager"}

// Program is the name that messages and suggested commands have.
func Program() string {
	if len(os.Args) > 0 {
		if name := filepath.Base(os.Args[0]); slices.Contains(managers, name) {
			return name
		}
	}
	return Kedge
}

// AsManager makes kedge's arguments of those of Anchore's manager: its options
// before the command are taken in kedge's spelling. It refuses the commands that
// are not about the archive.
func AsManager(name string, args []string) ([]string, error) {
	var kept []string
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case arg == "--debug":
			kept = append(kept, "--log-level=debug")
		case arg == "--json":
			kept = append(kept, "--output=json")
		case arg == "--configdir": // names a configuration that no command here reads
			i++
		case strings.HasPrefix(arg, "--configdir="):
		case slices.Contains([]string{"service", "analyzers", "system", "account", "user", "image"}, arg):
			return nil, fmt.Errorf("this is kedge, which stands in for %s where the archive is moved (objectstorage); it has no command %s: use Anchore's own program", name, arg)
		default:
			return append(kept, args[i:]...), nil
		}
	}
	return kept, nil
}
