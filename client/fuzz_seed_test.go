package client

import (
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzSeed is for what an administrator writes: a seed that is taken is a URL of
// one host, without a user's name, and its site is one segment of a path.
func FuzzSeed(f *testing.F) {
	for _, s := range []string{"gw:8080/site", "https://gw/site", "HTTP://[::1]:80/Site/", "u:p@gw:1/s", "gw:1/../s", "gw:1/a%2fb", "://", "gw:1/s#", "gw:1/s?x", "gw\n:1/s", "[fe80::1%25eth0]:1/s", "//gw:1/s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseSeed(text)
		if err != nil {
			if strings.Contains(err.Error(), "@") {
				t.Fatalf("%q: a password may show: %v", text, err)
			}
			return
		}
		u, err := url.Parse(s.base + "/" + s.site + "/x")
		if err != nil || u.User != nil || u.Host == "" || u.Path != "/"+s.site+"/x" || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "http" && u.Scheme != "https" {
			t.Fatalf("%q gives %+v, %v", text, s, err)
		}
	})
}

// FuzzPlain is for a server's words.
func FuzzPlain(f *testing.F) {
	f.Add("sessionId="+fuzzToken+",a\x1b[2J\n", fuzzToken)
	f.Add(strings.Repeat("é", 2000), "")
	f.Fuzz(func(t *testing.T, text, token string) {
		got := plain(scrubText(text, token))
		if strings.ContainsAny(got, "\x00\x07\x1b\n\r\u202e") || len(got) > 3*maxText+3 || utf8.ValidString(text) && !utf8.ValidString(got) {
			t.Fatalf("%q becomes %q", text, got)
		}
	})
}
