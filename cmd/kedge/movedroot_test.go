package main

import "testing"

// An archive that was moved to a larger disk, with a link left at its old path: what
// Anchore reads is read, also where the rows and the configuration name it by
// different paths.
func TestArchiveMovedAndLinked(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		// moves moves the archive, which is at data/archive below the folder, and
		// gives the archive_data_dir that is configured then.
		moves func(t *testing.T, folder string) string
	}{
		{"the root is a link", func(t *testing.T, folder string) string {
			rename(t, folder+"/data/archive", folder+"/big")
			link(t, folder+"/big", folder+"/data/archive")
			return folder + "/data/archive"
		}},
		{"a folder above it is a link", func(t *testing.T, folder string) string {
			rename(t, folder+"/data", folder+"/big")
			link(t, folder+"/big", folder+"/data")
			return folder + "/data/archive"
		}},
		{"a link of a link, relative", func(t *testing.T, folder string) string {
			rename(t, folder+"/data", folder+"/big")
			link(t, "big", folder+"/between")
			link(t, "between", folder+"/data")
			return folder + "/data/archive"
		}},
		{"the configuration names where it is now", func(t *testing.T, folder string) string {
			rename(t, folder+"/data", folder+"/big")
			link(t, folder+"/big", folder+"/data")
			return folder + "/big/archive"
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			folder, url := t.TempDir(), emptyInstallation(t)
			docs := []hostile{twins()[0], twins()[4], twins()[5]}
			seedHostile(t, url, docs)
			from, to := localfsPlace(folder+"/data/archive"), dbPlace(url)
			kedge(t, "migrate", "--dontask", to.config(t, url, compression{}), from.config(t, url, compression{})).want(t, 0)
			now := localfsPlace(test.moves(t, folder))
			a := now.config(t, url, compression{})
			if o := kedge(t, "verify", a); o.exit != 0 {
				t.Errorf("verify: %s%s", o.stdout, o.stderr)
			}
			args := []string{"migrate", "--dontask", a, to.config(t, url, compression{})}
			o := kedge(t, args...)
			t.Logf("%d %s %s", o.exit, o.stdout, o.stderr)
			for _, h := range docs {
				checkHostile(t, catalogRows(t, url), h, from, to)
			}
		})
	}
}

// A link below the root that leads out of it is not followed, and is named with what
// to do instead.
func TestArchiveLinkedBelowItsRoot(t *testing.T) {
	t.Parallel()
	folder, url := t.TempDir(), emptyInstallation(t)
	docs := twins()[:1]
	seedHostile(t, url, docs)
	from, to := localfsPlace(folder+"/archive"), dbPlace(url)
	a, b := from.config(t, url, compression{}), to.config(t, url, compression{})
	kedge(t, "migrate", "--dontask", b, a).want(t, 0)
	user := folder + "/archive/" + md5Of("admin")
	rename(t, user, folder+"/big")
	link(t, folder+"/big", user)
	said := user + " is a symbolic link, to " + folder + "/big"
	kedge(t, "verify", a).want(t, 2).tells(t, said, "mount --bind "+folder+"/big "+user)
	kedge(t, "migrate", "--dontask", a, b).want(t, 2).tells(t, "fetch-failed", said)
	checkHostile(t, catalogRows(t, url), docs[0], from, to)
}
