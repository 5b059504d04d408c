package client

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// seed is one "host:port/site".
type seed struct{ base, site, text string }

// parseSeed splits at the first '/' and lower-cases the site (part 1 section
// 1.2). With a scheme the port may be left out.
func parseSeed(s string) (seed, error) {
	scheme, rest := "http", strings.TrimSpace(s)
	before, after, explicit := strings.Cut(rest, "://")
	if explicit {
		scheme, rest = strings.ToLower(before), after
	}
	host, site, ok := strings.Cut(strings.TrimSuffix(rest, "/"), "/")
	site = strings.ToLower(site)
	switch {
	case scheme != "http" && scheme != "https":
		return seed{}, fmt.Errorf("seed: the scheme must be http or https")
	case strings.Contains(rest, "@"):
		// In the host it would become an Authorization header, which a gateway takes for S3
		// (part 1 section 1.3); and anywhere there may be a password before it, so it is not shown.
		return seed{}, fmt.Errorf("seed: a user name does not belong here")
	case !ok || site == "":
		return seed{}, fmt.Errorf("seed %q: want HOST:PORT/SITE", s)
	case strings.ContainsAny(site, `/\%;?# `) || strings.ContainsFunc(site, func(r rune) bool { return r < 0x20 || r > 0x7e }):
		return seed{}, fmt.Errorf("seed %q: the site name has a character that is not allowed", s)
	}
	if _, _, err := net.SplitHostPort(host); err != nil && !explicit {
		return seed{}, fmt.Errorf("seed %q: want HOST:PORT/SITE: %w", s, err)
	}
	if u, err := url.Parse(scheme + "://" + host); err != nil || u.Host != host || u.Hostname() == "" {
		return seed{}, fmt.Errorf("seed %q: malformed host", s)
	}
	return seed{base: scheme + "://" + host, site: site, text: host + "/" + site}, nil
}
