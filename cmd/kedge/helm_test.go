package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/kedge/kedge/internal/testenv/tools"
)

const (
	helmChart = "../../contrib/helm/kedge"
	helmPort  = "9187"
)

// helmBasics are the values that the chart cannot do without.
const helmBasics = `
image: {repository: registry.example.com/kedge}
enterprise: {release: anchore}
destination:
  object_store:
    compression: {enabled: true, min_size_kbytes: 100}
    storage_driver:
      name: s3
      config:
        access_key: ${DESTINATION_ACCESS_KEY}
        secret_key: ${DESTINATION_SECRET_KEY}
        url: https://minio.example.com:9000
        bucket: anchorearchive
  credentials:
    - {name: DESTINATION_ACCESS_KEY, secret: minio-secret, key: accessKey}
    - {name: DESTINATION_SECRET_KEY, secret: minio-secret, key: secretKey}
`

// helm runs Helm's own program on the chart with values.
func helm(t *testing.T, values string, args ...string) (string, error) {
	t.Helper()
	program, err := tools.Helm.Find("../..")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	folder := t.TempDir()
	file := filepath.Join(folder, "values.yaml")
	write(t, file, values)
	cmd := exec.Command(program, append(args, "--values", file, "--kube-version", "1.31")...)
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+folder, "HELM_CONFIG_HOME="+folder, "HELM_DATA_HOME="+folder)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// rendered gives the objects that Helm makes of the chart, by kind.
func rendered(t *testing.T, values string, args ...string) map[string]helmObject {
	t.Helper()
	if out, err := helm(t, values, "lint", "--strict", helmChart); err != nil {
		t.Fatalf("helm lint: %v\n%s", err, out)
	}
	out, err := helm(t, values, append([]string{"template", "move", helmChart}, args...)...)
	if err != nil {
		t.Fatalf("helm template: %v\n%s", err, out)
	}
	objects := make(map[string]helmObject)
	for decoder := yaml.NewDecoder(bytes.NewReader([]byte(out))); ; {
		var o helmObject
		err := decoder.Decode(&o)
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		objects[o.Kind] = o
	}
}

// helmObject is what is looked at of an object that the chart makes.
type helmObject struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string
	Spec     struct {
		Ports    []struct{ Port int }
		Template struct {
			Spec struct {
				InitContainers []container `yaml:"initContainers"`
				Containers     []container
			}
		}
	}
}

func TestHelmChartCommands(t *testing.T) {
	t.Parallel()
	sets := map[string]struct {
		values string
		want   []string // the command lines, one for each container
	}{
		"plan":   {"mode: plan", []string{"plan --nodelete --checkpoint=/state/migrate.checkpoint --log-format=json /config/config.yaml /config/dest-config.yaml"}},
		"check":  {"mode: check\nanalysisArchive: to", []string{"check --log-format=json /config/config.yaml", "check --analysis-archive --log-format=json /config/dest-config.yaml"}},
		"verify": {"mode: verify", []string{"verify --checkpoint=/state/verify.checkpoint --log-format=json /config/dest-config.yaml"}},
		"migrate": {"mode: migrate", []string{"migrate --nodelete --dontask --wait --checkpoint=/state/migrate.checkpoint --report=/state/migrate.html --listen=9187 " +
			"--log-format=json /config/config.yaml /config/dest-config.yaml"}},
		"copy": {"mode: copy", []string{"copy --follow --wait --checkpoint=/state/migrate.checkpoint --report=/state/copy.html --listen=9187 " +
			"--log-format=json /config/config.yaml /config/dest-config.yaml"}},
		"copy once": {"mode: copy\nfollow: false\nbucket: b\nanalysisArchive: to", []string{"copy --to-analysis-archive --bucket=b --wait --checkpoint=/state/migrate-to-analysis-archive-b.checkpoint " +
			"--report=/state/copy-to-analysis-archive-b.html --listen=9187 --log-format=json /config/config.yaml /config/dest-config.yaml"}},
		"rollback": {"mode: rollback\nbucket: b\nanalysisArchive: to", []string{"rollback --from-analysis-archive --bucket=b --dontask --wait --checkpoint=/state/migrate-to-analysis-archive-b.checkpoint " +
			"--report=/state/rollback-to-analysis-archive-b.html --listen=9187 --log-format=json /config/dest-config.yaml /config/config.yaml"}},
		"back": {"mode: migrate\ndirection: back", []string{"migrate --nodelete --dontask --wait --checkpoint=/state/migrate-back.checkpoint --report=/state/migrate-back.html " +
			"--listen=9187 --log-format=json /config/dest-config.yaml /config/config.yaml"}},
		"everything": {"mode: purge\ndryRun: true\nanalysisArchive: to\nbucket: analysis_archive\nextraArgs: [--max-ops=200]\nimagePullSecrets: [{name: pull}]\n" +
			"nodeSelector: {disk: fast}\ntolerations: [{operator: Exists}]\naffinity: {nodeAffinity: {}}\npodAnnotations: {a: b}\npodLabels: {c: d}\nserviceAccount: {create: true}\n" +
			"listen: {service: {enabled: true}, serviceMonitor: {enabled: true, labels: {release: prometheus}}}\nextraEnv: [{name: A, value: b}]",
			[]string{"purge --to-analysis-archive --bucket=analysis_archive --dry-run --dontask --wait --checkpoint=/state/purge-to-analysis-archive-analysis_archive-dry-run.checkpoint " +
				"--report=/state/purge-to-analysis-archive-analysis_archive-dry-run.html --listen=0.0.0.0:9187 --log-format=json --max-ops=200 /config/config.yaml /config/dest-config.yaml"}},
	}
	for name, set := range sets {
		t.Run(name, func(t *testing.T) {
			objects := rendered(t, helmBasics+set.values)
			pod := objects["Job"].Spec.Template.Spec
			containers := append(pod.InitContainers, pod.Containers...)
			if len(containers) != len(set.want) {
				t.Fatalf("%d containers", len(containers))
			}
			for i, c := range containers {
				parseCommand(t, c.Args)
				if got := strings.Join(c.Args, " "); got != set.want[i] {
					t.Errorf("got  %s\nwant %s", got, set.want[i])
				}
				if !slices.Equal(c.Command, []string{"kedge"}) || !c.SecurityContext.ReadOnlyRootFilesystem {
					t.Errorf("%+v", c)
				}
			}
			_, service := objects["Service"]
			_, monitor := objects["ServiceMonitor"]
			if (name == "everything") != (service && monitor) {
				t.Errorf("Service %v, ServiceMonitor %v", service, monitor)
			}
			reads(t, "dest-config.yaml", objects["ConfigMap"].Data["dest-config.yaml"])
		})
	}
}

// What cannot be meant is refused by name.
func TestHelmChartRefuses(t *testing.T) {
	t.Parallel()
	for values, want := range map[string]string{
		"":                               "where is kedge's image?",
		helmBasics + "mode: migrat":      "/mode",
		helmBasics + "nodelet: true":     "nodelet",
		helmBasics + "listen: {port: x}": "/listen/port",
		strings.Replace(helmBasics, "${DESTINATION_SECRET_KEY}", "topsecret", 1): "secret_key",
	} {
		if out, err := helm(t, values, "template", "move", helmChart); err == nil || !strings.Contains(out, want) {
			t.Errorf("%q is not in the answer (%v):\n%s", want, err, out)
		}
	}
}

// The Job of contrib/kubernetes, the chart and the documentation have one port and
// one place for the report.
func TestHelmChartAgreesWithTheJob(t *testing.T) {
	t.Parallel()
	chart := rendered(t, helmBasics+"mode: migrate")["Job"].Spec.Template.Spec.Containers[0].Args
	job := manifests(t, "../../contrib/kubernetes/job.yaml")["Job/kedge-migrate"].Spec.Template.Spec.Containers[0].Args
	slices.Sort(chart)
	slices.Sort(job)
	if !slices.Equal(chart, job) {
		t.Errorf("chart %q\njob   %q", chart, job)
	}
	if !regexp.MustCompile(`kubectl port-forward job/kedge-migrate ` + helmPort).MatchString(readText(t, "../../docs/observing.md")) {
		t.Error("docs/observing.md has another port")
	}
}
