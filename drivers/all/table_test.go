package all

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/kedge/kedge/drivers"
)

// Rows with a URI that begins with none of drivers.Schemes count as being at places of
// no known kind.
func TestTheSchemesOfAllDriversAreKnown(t *testing.T) {
	for _, d := range Descriptions() {
		if !slices.Contains(drivers.Schemes, d.Scheme) {
			t.Errorf("driver %s: drivers.Schemes does not name %s", d.Name, d.Scheme)
		}
	}
}

// The Helm chart refuses a configuration whose driver its schema does not name.
func TestTheChartTakesAllDrivers(t *testing.T) {
	path := filepath.Join("..", "..", "contrib", "helm", "kedge", "values.schema.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var schema any
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	names := driverLists(schema)
	if len(names) == 0 {
		t.Errorf("%s names no drivers", path)
	}
	for _, list := range names {
		if !slices.Equal(list, Names()) {
			t.Errorf("%s names the drivers %q, they are %q", path, list, Names())
		}
	}
}

// driverLists gives what a schema allows as the name of each storage_driver.
func driverLists(schema any) (lists [][]string) {
	switch s := schema.(type) {
	case []any:
		for _, part := range s {
			lists = append(lists, driverLists(part)...)
		}
	case map[string]any:
		for key, part := range s {
			if key == "storage_driver" {
				if list := namesIn(part); list != nil {
					lists = append(lists, list)
				}
			}
			lists = append(lists, driverLists(part)...)
		}
	}
	return lists
}

func namesIn(storageDriver any) (names []string) {
	at := storageDriver
	for _, key := range []string{"properties", "name", "enum"} {
		m, _ := at.(map[string]any)
		at = m[key]
	}
	list, _ := at.([]any)
	for _, name := range list {
		names = append(names, name.(string))
	}
	return names
}
