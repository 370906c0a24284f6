package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// The example with a container's shell: check, migrate, list, and the way back.
func TestTheReferencesMigrationExample(t *testing.T) {
	t.Parallel()
	r := newPageRig(t)
	r.config("config.yaml", pageDB)
	r.config("dest-config.yaml", pageS3)
	dest := filepath.Join(r.folder, "dest-config.yaml")
	s3Options := []string{"name: s3", "bucket: " + r.s3.raw.(objectStore).bucket, "create_bucket: true", "prefix: internaltest", "region: false", "access_key:", "secret_key:", "url:"}

	r.typed(checkLine, "").want(t, exitDone).saysOfCheck(t, dest)
	payloads(t, r.s3, 0)
	r.typed(checkOldLine, "").want(t, exitDone).saysOfCheck(t, filepath.Join(r.folder, "config.yaml"))
	r.are(everything(r.db))

	for _, answer := range []string{"n\n", "\n", "\x04"} { // no, the default, end of input
		if o := r.typed(migrateLine, answer).want(t, exitRefused); !strings.Contains(o.stderr, "not confirmed") {
			t.Errorf("%q: %s", answer, o.stderr)
		}
		r.are(everything(r.db))
	}
	r.typed(migrateLine, "y\n").want(t, exitDone).saysOfMigration(t, s3Options...)
	r.are(everything(r.s3))
	r.typed(listLine, "").want(t, exitDone).saysMigrations(t, "complete db s3 7 7")

	r.typed(reverseLine, "y\n").want(t, exitDone).saysOfMigration(t, "name: db")
	r.are(everything(r.db))
	payloads(t, r.s3, 0)

	// A dash that the page's printing made of two is no option, and nothing is done.
	r.typed(strings.Replace(keepLine, "--nodelete", "–nodelete", 1), "y\n").want(t, exitFailed)
	r.are(everything(r.db))
	r.typed(keepLine, "y\n").want(t, exitDone).saysOfMigration(t, s3Options...)
	r.are(everything(r.s3), r.db)
	r.typed(listLine, "").want(t, exitDone).saysMigrations(t, "complete db s3 7 7", "complete s3 db 7 7", "complete db s3 7 7")
}

// The examples with Docker Compose, which have the database's URL in the line.
func TestTheReferencesComposeExamples(t *testing.T) {
	t.Parallel()
	for _, page := range []struct{ name, check, migrate string }{
		{"current", composeCheckLine, composeMigrateLine},
		{"all drivers", composeCheckLine1, composeMigrateLine1},
	} {
		t.Run(page.name, func(t *testing.T) {
			r := newPageRig(t)
			r.config("config.yaml", pageDB)
			r.config("config.yaml.new", pageS3)
			r.typed(page.check, "").want(t, exitDone).saysOfCheck(t, filepath.Join(r.folder, "config.yaml.new"))
			r.typed(page.migrate, "y\n").want(t, exitDone).saysOfMigration(t, "name: s3")
			r.are(everything(r.s3))
		})
	}
}

// The two patterns for the analysis archive, of which the lines have left out the
// value of --db-connect: the database is that of the source's configuration.
func TestTheReferencesAnalysisArchivePatterns(t *testing.T) {
	t.Parallel()
	r := newPageRig(t,
		pageDocument{bucket: "analysis_archive", archiveID: "sha256:0873c923e00e0fd2ba78041bfb64a105e1ecb7678916d1f7776311e45bf5634b"},
		pageDocument{bucket: "analysis_archive", archiveID: "sha256:a0cd2c88c5cc65499e959ac33c8ebab45f24e6348b48d8c34fd2308fcb0cc138"})
	r.config("source-config.yaml", pageDB)
	r.config("dest-config.yaml", pageDB, pageArchive)
	r.typed(splitLine, "y\n").want(t, exitDone).saysOfMigration(t, "name: s3")
	r.are(archived(r.archive, r.db))

	r.config("source-config.yaml", pageDB, pageArchive)
	r.config("dest-config.yaml", pageUnited)
	r.typed(uniteLine, "y\n").want(t, exitDone).saysOfMigration(t, "name: s3")
	r.are(archived(r.archive, r.united))
	r.typed(uniteArchivesLine, "y\n").want(t, exitDone).saysOfMigration(t, "name: s3")
	r.are(everything(r.united))
	r.typed(listLine, "").want(t, exitDone).saysMigrations(t, "complete db s3 2 2", "complete db s3 7 7", "complete s3 s3 2 2")
}

// A value of --db-connect that was left out is told from one that was given.
func TestADatabaseThatWasLeftOut(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"check", "migrate", "list-migrations", "verify", "purge"} {
		args := []string{"--db-connect", name}
		if name == "migrate" || name == "purge" {
			args = append(args, "nowhere.yaml")
		}
		o := kedge(t, append(args, "nowhere.yaml")...).want(t, exitFailed)
		if !strings.Contains(o.stderr, "nowhere.yaml: no such file") {
			t.Errorf("%s: %s", name, o.stderr)
		}
	}
	if o := kedge(t, "--db-connect", "sqlite:////nowhere/anchore.db", "list-migrations").want(t, exitFailed); !strings.Contains(o.stderr, "/nowhere/anchore.db") {
		t.Errorf("a database that was given: %s", o.stderr)
	}
}
