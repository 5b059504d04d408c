package main

import (
	"crypto/sha256"
	_ "embed" // the page's three parts
	"encoding/base64"
	"net/http"
	"strings"
)

//go:embed page/page.html
var pageHTML string

//go:embed page/page.css
var pageCSS string

//go:embed page/page.js
var pageJS string

// page is the status page: one document, nothing loaded from anywhere. Its policy
// names its one script and its one style sheet by their digests, so that nothing
// that slips into it as text is ever run.
type page struct{ text, policy string }

func newPage() *page {
	css, js := "\n"+pageCSS, "\n"+pageJS
	return &page{
		text: strings.NewReplacer("/*css*/", css, "/*js*/", js).Replace(pageHTML),
		policy: "default-src 'none'; script-src " + digest(js) + "; style-src " + digest(css) +
			"; connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
	}
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func (p *page) serve(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", p.policy)
	w.Header().Set("X-Frame-Options", "DENY")
	_, _ = w.Write([]byte(p.text)) // a reader that went away
}
