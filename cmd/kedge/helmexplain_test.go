package main

import (
	"os"
	"path/filepath"
	"testing"
)

// The configuration that the chart renders, and that of the release, are read by
// the program with the variables that the Job's containers have.
func TestHelmChartsConfigurationIsRead(t *testing.T) {
	t.Parallel()
	objects := rendered(t, helmBasics+"mode: migrate")
	folder := t.TempDir()
	destination := filepath.Join(folder, "dest-config.yaml")
	write(t, destination, objects["ConfigMap"].Data["dest-config.yaml"])
	environment := os.Environ()
	for _, e := range objects["Job"].Spec.Template.Spec.Containers[0].Env {
		value := "value"
		if e.Name == "ANCHORE_DB_PORT" {
			value = "5432"
		}
		environment = append(environment, e.Name+"="+value)
	}
	environment = append(environment, "ANCHORE_DB_TIMEOUT=120") // of the release's ConfigMap
	for _, path := range []string{destination, "../../testdata/enterprise/config.yaml"} {
		cmd := command(t, "config", "explain", path)
		cmd.Env = append(cmd.Env, environment...)
		if err := cmd.Run(); err != nil {
			t.Errorf("config explain %s: %v\n%s", path, err, cmd.Stderr)
		}
	}
}
