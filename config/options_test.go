package config

import (
	"strings"
	"testing"
)

type everything struct {
	Text     string  `config:"text"`
	Maybe    *string `config:"maybe"`
	Region   string  `config:"region" falsy:"empty"`
	RegionP  *string `config:"region_p" falsy:"empty"`
	URL      string  `config:"url,aliases=endpoint|regionendpoint"`
	Flag     bool    `config:"flag"`
	FlagP    *bool   `config:"flag_p"`
	Count    int     `config:"count"`
	Big      int64   `config:"big"`
	CountP   *int    `config:"count_p"`
	Secret   string  `config:"secret_key" secret:"true"`
	Untagged string
	embedded
}

type embedded struct {
	Inner string `config:"inner"`
}

// optionsText puts lines under storage_driver.config, the first on line 7; for
// no lines there is no config.
func optionsText(lines ...string) string {
	all := []string{"object_store:", "  storage_driver:", "    name: x"}
	for i, line := range lines {
		if i == 0 && line != "" {
			all = append(all, "    config:")
		}
		all = append(all, "      "+line)
	}
	return catalogSection(all...)
}

func parseOptions(t *testing.T, vars map[string]string, lines ...string) Options {
	t.Helper()
	s, err := parseStore(optionsText(lines...), vars)
	if err != nil {
		t.Fatal(err)
	}
	return s.Options
}

func TestDecode(t *testing.T) {
	vars := map[string]string{"A": "one", "B": "two", "YES": "yes", "NO": "False", "N": "12", "EMPTY": "", "YAML": "x\nflag: true", "NESTED": "${A}"}
	preset := everything{Text: "t", Region: "r", Flag: true, Count: 9, Big: 8, URL: "u"}
	for _, test := range []struct {
		line  string
		check func(e everything) bool
	}{
		{"", func(e everything) bool { return e == preset }},
		{"text: null", func(e everything) bool { return e == preset }},
		{"text: ~", func(e everything) bool { return e == preset }},
		{"flag: ", func(e everything) bool { return e == preset }},
		{"count_p: null", func(e everything) bool { return e.CountP == nil }},
		{"text: abc", func(e everything) bool { return e.Text == "abc" }},
		{"text: ''", func(e everything) bool { return e.Text == "" }},
		{"text: 012345", func(e everything) bool { return e.Text == "012345" }},
		{"text: 3", func(e everything) bool { return e.Text == "3" }},
		{"text: 3.0", func(e everything) bool { return e.Text == "3.0" }},
		{"text: 0x1F", func(e everything) bool { return e.Text == "0x1F" }},
		{"text: 1_000", func(e everything) bool { return e.Text == "1_000" }},
		{"text: 2020-01-01", func(e everything) bool { return e.Text == "2020-01-01" }},
		{"text: 'yes'", func(e everything) bool { return e.Text == "yes" }},
		{"text: !!str yes", func(e everything) bool { return e.Text == "yes" }},
		{"text: y", func(e everything) bool { return e.Text == "y" }},
		{"text: 'null'", func(e everything) bool { return e.Text == "null" }},
		{"text: ${A}", func(e everything) bool { return e.Text == "one" }},
		{"text: 'a-${A}-${B}${EMPTY}.'", func(e everything) bool { return e.Text == "a-one-two." }},
		{"text: ${YES}", func(e everything) bool { return e.Text == "yes" }},
		{"text: $A-$B", func(e everything) bool { return e.Text == "$A-$B" }},
		{"text: '$${A}'", func(e everything) bool { return e.Text == "$one" }},
		{"text: '${}${1}${A B}${A'", func(e everything) bool { return e.Text == "${}${1}${A B}${A" }},
		{"text: ${YAML}", func(e everything) bool { return e.Text == "x\nflag: true" }},
		{"text: ${NESTED}", func(e everything) bool { return e.Text == "${A}" }},
		{"maybe: ''", func(e everything) bool { return e.Maybe != nil && *e.Maybe == "" }},
		{"maybe: x", func(e everything) bool { return e.Maybe != nil && *e.Maybe == "x" }},
		{"maybe: null", func(e everything) bool { return e.Maybe == nil }},
		{"region: False", func(e everything) bool { return e.Region == "" }},
		{"region: no", func(e everything) bool { return e.Region == "" }},
		{"region: null", func(e everything) bool { return e.Region == "" }},
		{"region:", func(e everything) bool { return e.Region == "" }},
		{"region: ''", func(e everything) bool { return e.Region == "" }},
		{"region: 'False'", func(e everything) bool { return e.Region == "False" }},
		{"region: ${NO}", func(e everything) bool { return e.Region == "" }},
		{"region: eu-west-1", func(e everything) bool { return e.Region == "eu-west-1" }},
		{"region_p: False", func(e everything) bool { return e.RegionP != nil && *e.RegionP == "" }},
		{"text: x", func(e everything) bool { return e.RegionP == nil && e.Maybe == nil && e.FlagP == nil }},
		{"url: a", func(e everything) bool { return e.URL == "a" }},
		{"endpoint: b", func(e everything) bool { return e.URL == "b" }},
		{"regionendpoint: c", func(e everything) bool { return e.URL == "c" }},
		{"flag: ${NO}", func(e everything) bool { return !e.Flag }},
		{"flag: 'no'", func(e everything) bool { return !e.Flag }},
		{"flag: n", func(e everything) bool { return !e.Flag }},
		{"flag: OFF", func(e everything) bool { return !e.Flag }},
		{"flag_p: True", func(e everything) bool { return e.FlagP != nil && *e.FlagP }},
		{"flag_p: on", func(e everything) bool { return e.FlagP != nil && *e.FlagP }},
		{"flag_p: y", func(e everything) bool { return e.FlagP != nil && *e.FlagP }},
		{`flag_p: "TRUE"`, func(e everything) bool { return e.FlagP != nil && *e.FlagP }},
		{"flag_p: false", func(e everything) bool { return e.FlagP != nil && !*e.FlagP }},
		{"count: 0", func(e everything) bool { return e.Count == 0 }},
		{"count: '-12'", func(e everything) bool { return e.Count == -12 }},
		{"count: ${N}", func(e everything) bool { return e.Count == 12 }},
		{"big: 9223372036854775807", func(e everything) bool { return e.Big == 9223372036854775807 }},
		{"count_p: 5", func(e everything) bool { return e.CountP != nil && *e.CountP == 5 }},
		{"inner: i", func(e everything) bool { return e.Inner == "i" }},
	} {
		t.Run(test.line, func(t *testing.T) {
			got := preset
			if err := parseOptions(t, vars, test.line).Decode(&got); err != nil {
				t.Fatal(err)
			}
			if !test.check(got) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestDecodeRefused(t *testing.T) {
	const at = "c.yaml:7: services.catalog.object_store.storage_driver.config."
	for _, test := range []struct{ lines, want string }{
		{"tetx: hunter2", "tetx: unknown key, did you mean text? (known keys: text, maybe, region, region_p, url, endpoint, regionendpoint, flag, flag_p, count, big, count_p, secret_key, inner)"},
		{"secretkey: hunter2", "secretkey: unknown key, did you mean secret_key? "},
		{"SECRET_KEY: hunter2", "SECRET_KEY: unknown key, did you mean secret_key? "},
		{"text: yes", "text: is a boolean, wants text (put it in quotes if it is meant as it stands)"},
		{"secret_key: off", "secret_key: is a boolean, wants text"},
		{"text: !!bool 'hunter2'", ""},
		{"text: [hunter2]", "text: is a list, wants a single value"},
		{"secret_key: {hunter2: 1}", "secret_key: is a mapping, wants a single value"},
		{"secret_key: !!binary hunter2", "secret_key: has a YAML tag (!) that has no meaning here"},
		{"flag: hunter2", "flag: wants true or false"},
		{"flag: ''", "flag: wants true or false"},
		{"flag: 1", "flag: wants true or false"},
		{"flag: tRuE", "flag: wants true or false"},
		{"count: hunter2", "count: wants a whole number"},
		{"count: 1.5", "count: wants a whole number"},
		{"count: 010", "count: wants a whole number"},
		{"count: ${SECRET}", "count: wants a whole number"},
		{"big: 9223372036854775808", "big: wants a whole number"},
		{"text: a\ntext: b", "text: is given twice, first on line 7"},
		{"url: a\nendpoint: b", "endpoint: means the same as url, which is given too (line 7)"},
		{"text: ${UNSET} ${OTHER}", "text: the environment variable UNSET is not set"},
	} {
		t.Run(test.lines, func(t *testing.T) {
			var got everything
			err := parseOptions(t, map[string]string{"SECRET": "hunter2"}, strings.Split(test.lines, "\n")...).Decode(&got)
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			prefix := at
			if strings.Contains(test.lines, "\n") {
				prefix = strings.Replace(at, ":7:", ":8:", 1)
			}
			if err == nil || !strings.HasPrefix(err.Error(), prefix+test.want) {
				t.Errorf("got  %v\nwant %s%s", err, prefix, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("a value is in %q", err)
			}
		})
	}
}

func TestDecodeRequired(t *testing.T) {
	type required struct {
		Bucket string `config:"bucket" required:"true"`
		Other  string `config:"other"`
	}
	for _, test := range []struct{ line, want string }{
		{"bucket: b", ""},
		{"other: b", "c.yaml:6: services.catalog.object_store.storage_driver.config.bucket: must be given"},
		{"bucket: null", "c.yaml:7: services.catalog.object_store.storage_driver.config.bucket: must be given"},
		{"bucket: ''", "c.yaml:7: services.catalog.object_store.storage_driver.config.bucket: must not be empty"},
		{"bucket: ${E}", "c.yaml:7: services.catalog.object_store.storage_driver.config.bucket: must not be empty"},
		{"", "c.yaml:4: services.catalog.object_store.storage_driver.config.bucket: must be given"},
	} {
		err := parseOptions(t, map[string]string{"E": ""}, test.line).Decode(&required{})
		if got := message(err); got != test.want {
			t.Errorf("%q: got %q, want %q", test.line, got, test.want)
		}
	}
	if got := message(Options{}.Decode(&required{})); got != "bucket: must be given" {
		t.Errorf("got %q", got)
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestDecodeInto(t *testing.T) {
	o := parseOptions(t, nil, "a: 1")
	for _, into := range []any{nil, everything{}, (*everything)(nil), new(int), &struct {
		A []string `config:"a"`
	}{}} {
		if err := o.Decode(into); err == nil {
			t.Errorf("decoded into %T", into)
		}
	}
	if err := o.Decode(&struct{}{}); err != nil {
		t.Errorf("got %v", err)
	}
	const want = "c.yaml:7: services.catalog.object_store.storage_driver.config.a: unknown key: nothing can be set here; kedge leaves it out"
	if w := o.s.file.Warnings(); len(w) != 1 || w[0].String() != want {
		t.Errorf("warnings: %v", w)
	}
}

func TestOptions(t *testing.T) {
	o := parseOptions(t, nil, "url: ''", "region: null", "bucket: b")
	if !o.Has("url") || o.Has("region") || !o.Has("bucket") || o.Has("prefix") {
		t.Error("Has is wrong")
	}
	if o.s.lineOf("url") != 7 || o.s.lineOf("bucket") != 9 || o.s.lineOf("prefix") != 6 {
		t.Errorf("lines %d, %d, %d", o.s.lineOf("url"), o.s.lineOf("bucket"), o.s.lineOf("prefix"))
	}
	if got, want := message(o.Errorf("url", "is %s\nhere", "empty")), "c.yaml:7: services.catalog.object_store.storage_driver.config.url: is empty here"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if o.String() != "c.yaml:6: services.catalog.object_store.storage_driver.config" {
		t.Errorf("String is %s", o)
	}
	var none Options
	if none.Has("a") || none.Keys() != nil || message(none.Errorf("a", "b")) != "a: b" || none.String() != "no options" {
		t.Error("the zero value is wrong")
	}
	if err := none.Decode(&struct{}{}); err != nil {
		t.Error(err)
	}
}

func TestDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"abc", "abc", 0}, {"acb", "abc", 1}, {"kitten", "sitting", 3}, {"acces_key", "access_key", 1}} {
		if got := distance(test.a, test.b); got != test.want {
			t.Errorf("distance(%q, %q) = %d, want %d", test.a, test.b, got, test.want)
		}
	}
}
