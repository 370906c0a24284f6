//go:build compare

package compare

import (
	"fmt"
	"os"
	"testing"

	"github.com/kedge/kedge/internal/testenv"
	"github.com/kedge/kedge/internal/testenv/tools"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

func TestCompare(t *testing.T) {
	root, err := tools.Root()
	if err != nil {
		t.Fatal(err)
	}
	o, err := FromEnvironment(root)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Print("\n", Run(t, o).Markdown())
}
