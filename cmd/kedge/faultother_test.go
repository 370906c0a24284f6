package main

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/kedge/kedge/internal/testenv"
	"github.com/kedge/kedge/internal/testenv/faults"
)

// only gives the cases of these names.
func only(t *testing.T, cases []wireCase, names ...string) (list []wireCase) {
	t.Helper()
	for _, name := range names {
		found := false
		for _, c := range cases {
			if c.name == name {
				list, found = append(list, c), true
			}
		}
		if !found {
			t.Fatalf("there is no case %q", name)
		}
	}
	return list
}

// A second S3 server, of another make, meets what is decided by what a server
// answers.
func TestFaultsOfAnotherS3Server(t *testing.T) {
	testenv.Alone(t, "it looks for goroutines that are left behind")
	versity := testenv.VersityGW(t)
	database := emptyInstallation(t)
	for _, c := range only(t, toStore(), "SlowDown for a while", "wrong ETags everywhere", "corrupted on the way there", "answers lost") {
		t.Run("destination/"+c.name, func(t *testing.T) {
			w := seedWired(t, database, dbPlace(database), s3Place(versity, versity.Bucket(t), ""))
			w.meet(c, versity.URL, false)
		})
	}
	for _, c := range only(t, fromStore(), "truncated", "corrupted") {
		t.Run("source/"+c.name, func(t *testing.T) {
			w := seedWired(t, database, s3Place(versity, versity.Bucket(t), ""), localfsPlace(archiveRoot(t)))
			w.meet(c, versity.URL, true)
		})
	}
}

func TestFaultsOfASwiftDestination(t *testing.T) {
	testenv.Alone(t, "it looks for goroutines that are left behind")
	cases := append(only(t, toStore(), "connections reset in mid-body", "black holes", "SlowDown with Retry-After", "503 from now on", "wrong ETags",
		"corrupted on the way there", "corrupted when read back", "answers lost", "answers never come"),
		wireCase{name: "manifest's answer lost", faults: fault(faults.Rule{Most: 1}, about(http.MethodPut, isManifest), faults.Lost)},
		wireCase{name: "429 for a while", faults: fault(faults.Rule{Most: 20}, wirePut, faults.Answer(429, "", "1"))},
	)
	swift := testenv.Swift(t)
	database := emptyInstallation(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := seedWired(t, database, dbPlace(database), swiftPlace(swift, swift.Container(t), ""))
			w.meet(c, origin(t, swift.AuthURL), false)
		})
	}
}

func TestFaultsOfASwiftSource(t *testing.T) {
	testenv.Alone(t, "it looks for goroutines that are left behind")
	cases := append(only(t, fromStore(), "connections reset in mid-body", "black holes", "truncated", "answers reset in mid-body",
		"wrong ETags", "corrupted", "corrupted, and rows without digest"),
		wireCase{name: "deletion's answer lost", faults: fault(faults.Rule{Most: 1}, deletesMany, faults.Lost)},
	)
	swift := testenv.Swift(t)
	database := emptyInstallation(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := seedWired(t, database, swiftPlace(swift, swift.Container(t), ""), localfsPlace(archiveRoot(t)))
			w.meet(c, origin(t, swift.AuthURL), true)
		})
	}
}

func isManifest(r *http.Request) bool { return r.URL.Query().Get("multipart-manifest") == "put" }

// origin is scheme and host of a URL.
func origin(t *testing.T, text string) string {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u.Scheme + "://" + u.Host
}
