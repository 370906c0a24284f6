package observe

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // for the page's parts
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"

	"github.com/kedge/kedge/internal/plot"
)

var (
	//go:embed page.html
	pageTemplate string
	//go:embed report.html
	reportTemplate string
	//go:embed style.css
	pageStyle string
	//go:embed live.js
	pageScript string
)

// pagePolicy lets browsers apply the page's own style and run its own script,
// ask this server, and nothing else.
var pagePolicy = fmt.Sprintf("default-src 'none'; style-src '%s'; script-src '%s'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	hash(style()), hash(pageScript))

// reportPolicy is the same for a page that has no script and no server.
var reportPolicy = fmt.Sprintf("default-src 'none'; style-src '%s'; img-src data:; base-uri 'none'; form-action 'none'", hash(style()))

// style is the whole style sheet.
func style() string { return pageStyle + plot.Style() }

// hash names an inline text for a Content-Security-Policy.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// templates are "page", the live page; "live", what changes of it; "report".
var templates = template.Must(template.Must(template.New("").Funcs(template.FuncMap{
	"count": groupDigits, "bytes": ByteCount, "byteRate": byteRate, "rate": rate, "percent": percent,
	"duration": duration, "seconds": seconds, "clock": clock, "title": title, "mean": meanLatency,
	"style":  func() template.CSS { return template.CSS(style()) },
	"script": func() template.JS { return template.JS(pageScript) },
	"policy": func() string { return reportPolicy },
}).Parse(pageTemplate)).Parse(reportTemplate))

func meanLatency(h Histogram) string {
	if mean, ok := h.Mean(); ok {
		return seconds(mean)
	}
	return "–"
}

// shown is what the live page shows.
type shown struct {
	Progress
	Plots []template.HTML
}

func (r *Recorder) shown() shown {
	p := r.Progress()
	plots := course(p, r.Series())
	if len(p.Stages) > 0 {
		plots = append(plots, trusted(compression(p.Buckets).SVG())...)
	}
	return shown{p, plots}
}

func (s *Server) writeHTML(w http.ResponseWriter, name string) {
	var page bytes.Buffer
	if err := templates.ExecuteTemplate(&page, name, s.recorder.shown()); err != nil {
		s.log.Error("the live page cannot be made", "reason", err.Error())
		http.Error(w, "the page cannot be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if _, err := w.Write(page.Bytes()); err != nil {
		s.log.Debug("a client went away", "reason", err.Error())
	}
}
