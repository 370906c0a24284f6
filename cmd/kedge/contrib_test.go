package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// manifest is what is looked at of a Kubernetes object.
type manifest struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string
	Spec     struct {
		Template struct{ Spec pod }
	}
	StringData map[string]string `yaml:"stringData"`
}

type pod struct {
	RestartPolicy   string `yaml:"restartPolicy"`
	SecurityContext struct {
		RunAsNonRoot   bool                  `yaml:"runAsNonRoot"`
		SeccompProfile struct{ Type string } `yaml:"seccompProfile"`
	} `yaml:"securityContext"`
	Containers []container
	Volumes    []struct {
		Name                  string
		PersistentVolumeClaim struct {
			ClaimName string `yaml:"claimName"`
		} `yaml:"persistentVolumeClaim"`
		ConfigMap struct{ Name string } `yaml:"configMap"`
	}
}

type container struct {
	Command, Args []string
	Env           []struct {
		Name      string
		ValueFrom struct {
			SecretKeyRef struct{ Name, Key string } `yaml:"secretKeyRef"`
		} `yaml:"valueFrom"`
	}
	Resources       struct{ Requests, Limits struct{ Memory string } }
	SecurityContext struct {
		AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
		ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
		Capabilities             struct{ Drop []string }
	} `yaml:"securityContext"`
	VolumeMounts []struct {
		Name      string
		MountPath string `yaml:"mountPath"`
	} `yaml:"volumeMounts"`
}

// manifests reads the objects of a file by kind and name.
func manifests(t *testing.T, path string) map[string]manifest {
	t.Helper()
	decoder := yaml.NewDecoder(bytes.NewReader([]byte(readText(t, path))))
	objects := make(map[string]manifest)
	for {
		var m manifest
		err := decoder.Decode(&m)
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		objects[m.Kind+"/"+m.Metadata.Name] = m
	}
}

// The Job's command is one that kedge takes, its configurations can be read, and
// what it refers to is in the file.
func TestTheKubernetesJob(t *testing.T) {
	t.Parallel()
	objects := manifests(t, "../../contrib/kubernetes/job.yaml")
	pod := objects["Job/kedge-migrate"].Spec.Template.Spec
	if len(pod.Containers) != 1 || pod.RestartPolicy != "Never" {
		t.Fatalf("%+v", pod)
	}
	c := pod.Containers[0]
	if !slices.Equal(c.Command, []string{"kedge"}) {
		t.Errorf("the command is %v", c.Command)
	}
	parseCommand(t, c.Args)
	var names []string
	for _, e := range c.Env {
		names = append(names, e.Name)
		ref := e.ValueFrom.SecretKeyRef
		if objects["Secret/"+ref.Name].StringData[ref.Key] == "" {
			t.Errorf("%s: there is no key %s of secret %s", e.Name, ref.Key, ref.Name)
		}
	}
	for _, v := range pod.Volumes {
		_, claimed := objects["PersistentVolumeClaim/"+v.PersistentVolumeClaim.ClaimName]
		_, configured := objects["ConfigMap/"+v.ConfigMap.Name]
		if !claimed && !configured {
			t.Errorf("volume %s is nowhere", v.Name)
		}
	}
	data := objects["ConfigMap/kedge-migrate"].Data
	if len(data) != 2 {
		t.Errorf("%d configurations", len(data))
	}
	for name, text := range data {
		reads(t, name, text)
		if !slices.Contains(c.Args, "/config/"+name) {
			t.Errorf("%s is not used", name)
		}
		for _, m := range regexp.MustCompile(`\$\{(\w+)\}`).FindAllStringSubmatch(text, -1) {
			if !slices.Contains(names, m[1]) {
				t.Errorf("%s: no variable %s", name, m[1])
			}
		}
	}
}

// The Job that copies beforehand differs from that of the migration in what it runs:
// the same secrets, configurations and volume, and the same checkpoint, beside which
// the record of copies is.
func TestTheKubernetesCopyJob(t *testing.T) {
	t.Parallel()
	copying := manifests(t, "../../contrib/kubernetes/copy.yaml")["Job/kedge-copy"].Spec.Template.Spec
	migrating := manifests(t, "../../contrib/kubernetes/job.yaml")["Job/kedge-migrate"].Spec.Template.Spec
	if len(copying.Containers) != 1 {
		t.Fatalf("%+v", copying)
	}
	given, cutover := parseCommand(t, copying.Containers[0].Args).Copy, parseCommand(t, migrating.Containers[0].Args).Migrate
	if !given.Follow || given.Checkpoint != cutover.Checkpoint || given.Source != cutover.Source || given.Destination != cutover.Destination {
		t.Errorf("%q does not go with %q", copying.Containers[0].Args, migrating.Containers[0].Args)
	}
	copying.Containers[0].Args, migrating.Containers[0].Args = nil, nil
	if !reflect.DeepEqual(copying, migrating) {
		t.Errorf("the pods differ:\n%+v\n%+v", copying, migrating)
	}
}

// The Job's pod may do no more than it must, has the memory that a run takes, and
// keeps its checkpoint when it is gone.
func TestTheKubernetesJobsPod(t *testing.T) {
	t.Parallel()
	pod := manifests(t, "../../contrib/kubernetes/job.yaml")["Job/kedge-migrate"].Spec.Template.Spec
	if len(pod.Containers) != 1 {
		t.Fatalf("%+v", pod)
	}
	c := pod.Containers[0]
	may := c.SecurityContext
	if !pod.SecurityContext.RunAsNonRoot || pod.SecurityContext.SeccompProfile.Type != "RuntimeDefault" || !may.ReadOnlyRootFilesystem ||
		may.AllowPrivilegeEscalation == nil || *may.AllowPrivilegeEscalation || !slices.Equal(may.Capabilities.Drop, []string{"ALL"}) {
		t.Errorf("%+v, %+v", pod.SecurityContext, may)
	}
	budget := parseCommand(t, c.Args).Migrate.Memory << 20
	for _, memory := range []string{c.Resources.Requests.Memory, c.Resources.Limits.Memory} {
		if megabytes, err := strconv.Atoi(strings.TrimSuffix(memory, "Mi")); err != nil || int64(megabytes)<<20 < budget+besidesPayloads {
			t.Errorf("memory %q: a run takes %d bytes", memory, budget+besidesPayloads)
		}
	}
	var claimed string
	for _, v := range pod.Volumes {
		if v.PersistentVolumeClaim.ClaimName != "" {
			claimed = v.Name
		}
	}
	for _, m := range c.VolumeMounts {
		if m.Name == claimed && slices.ContainsFunc(c.Args, func(arg string) bool { return strings.HasPrefix(arg, "--checkpoint="+m.MountPath+"/") }) {
			return
		}
	}
	t.Errorf("the checkpoint is not on the volume that is claimed: %q, %+v", c.Args, c.VolumeMounts)
}

var systemdUnits = []string{"../../contrib/systemd/kedge-migrate.service", "../../contrib/systemd/kedge-copy.service"}

// The units' commands are ones that kedge takes, and belong together.
func TestTheSystemdUnits(t *testing.T) {
	t.Parallel()
	var given []cli
	for _, unit := range systemdUnits {
		m := regexp.MustCompile(`(?m)^ExecStart=/usr/bin/kedge (.+)$`).FindStringSubmatch(readText(t, unit))
		if m == nil {
			t.Fatal("no ExecStart")
		}
		given = append(given, parseCommand(t, strings.Fields(m[1])))
	}
	if m, c := given[0].Migrate, given[1].Copy; !c.Follow || m.Checkpoint != c.Checkpoint || m.Source != c.Source || m.Destination != c.Destination {
		t.Errorf("%+v does not go with %+v", c, m)
	}
}

// systemd finds nothing wrong with the units, and little that they need not be
// allowed.
func TestSystemdTakesTheUnits(t *testing.T) {
	t.Parallel()
	for _, path := range systemdUnits {
		unit := filepath.Join(t.TempDir(), filepath.Base(path))
		write(t, unit, strings.Replace(readText(t, path), "=/usr/bin/kedge ", "="+binary+" ", 1)) // which is installed
		systemdTakes(t, unit)
	}
}

func systemdTakes(t *testing.T, unit string) {
	t.Helper()
	if out, err := exec.Command("systemd-analyze", "verify", "--man=no", unit).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=20", unit).CombinedOutput(); err != nil {
		t.Errorf("it may do more than a program that reads, writes and connects must: %v\n%s", err, out)
	}
}

// The command that shows how the image is run is one that kedge takes.
func TestTheDockerfilesCommand(t *testing.T) {
	t.Parallel()
	m := regexp.MustCompile(`(?m)^# +docker run .* kedge:\S+ (.+)$`).FindStringSubmatch(readText(t, "../../contrib/docker/Dockerfile"))
	if m == nil {
		t.Fatal("no docker run")
	}
	parseCommand(t, strings.Fields(m[1]))
}

// What the folder holds is told of in its README.
func TestContribIsDescribed(t *testing.T) {
	t.Parallel()
	text := readText(t, "../../contrib/README.md")
	folders, err := os.ReadDir("../../contrib")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join("../../contrib", folder.Name(), "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if name := folder.Name() + "/" + filepath.Base(file); !strings.Contains(text, "]("+name+")") {
				t.Errorf("contrib/README.md does not tell of %s", name)
			}
		}
	}
}
