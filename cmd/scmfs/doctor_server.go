package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/wire"
)

// checkSeed looks at the way to a gateway, as far as it goes without a login. The
// last finding tells whether the site answers.
func checkSeed(ctx context.Context, seed string) []finding {
	scheme, rest := "http", strings.TrimSpace(seed)
	if s, r, ok := strings.Cut(rest, "://"); ok {
		scheme, rest = s, r
	}
	addr, site, _ := strings.Cut(strings.TrimSuffix(rest, "/"), "/")
	host, _, err := net.SplitHostPort(addr)
	if err != nil || site == "" {
		return []finding{broken("seed", "give HOST:PORT/SITE, such as gateway:8080/rootsite; or the mount point of a running mount", "%q is neither a seed nor a mount point", seed)}
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	out := []finding{}
	if net.ParseIP(host) == nil {
		began := time.Now()
		ips, err := net.DefaultResolver.LookupHost(ctx, host)
		if err != nil {
			return append(out, broken("dns", "look at /etc/resolv.conf and the name, or give an address", "%s: %v", host, client.Plain(err)))
		}
		out = append(out, good("dns", "%s is %s, in %s", host, strings.Join(ips, ", "), time.Since(began).Round(time.Millisecond)))
	}
	conn, f := dial(ctx, scheme, addr)
	out = append(out, f)
	if conn == nil {
		return out
	}
	_ = conn.Close()
	web := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	base := scheme + "://" + addr + "/" + strings.ToLower(site) + wire.PathHealth
	began := time.Now()
	status, date, err := get(ctx, web, base)
	took := time.Since(began)
	out = append(out, clockFinding(date, began.Add(took/2)))
	out = append(out, headerFinding(ctx, web, base))
	switch {
	case err != nil:
		out = append(out, broken("site", "is an SCM gateway listening there?", "%s does not speak HTTP: %v", addr, client.Plain(err)))
	case status == http.StatusOK:
		out = append(out, good("site", "%s is up, answers in %s", site, took.Round(100*time.Microsecond)))
	case status == http.StatusForbidden:
		out = append(out, warn("site", "", "the gateway answers, but does not let the health address of %s through", site))
	case status == http.StatusNotFound:
		out = append(out, broken("site", "look at the name of the site behind the '/'", "the gateway knows no site %q, or it is an old release without a health address", site))
	default:
		out = append(out, broken("site", "look at the site's log", "%s answers HTTP %d", site, status))
	}
	return out
}

func dial(ctx context.Context, scheme, addr string) (net.Conn, finding) {
	began := time.Now()
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, broken("gateway", "is the gateway running, the port right, and the firewall open?", "%v", client.Plain(err))
	}
	took := time.Since(began).Round(10 * time.Microsecond)
	if scheme != "https" {
		return conn, good("gateway", "%s accepts connections, in %s; not encrypted", addr, took)
	}
	host, _, _ := net.SplitHostPort(addr)
	t := tls.Client(conn, &tls.Config{ServerName: host})
	if err := t.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, broken("tls", "install the authority's certificate on this machine, or correct the name; with --ca-file scmfs mount may trust it nevertheless", "%v", client.Plain(err))
	}
	end := t.ConnectionState().PeerCertificates[0].NotAfter
	if left := time.Until(end); left < 14*24*time.Hour {
		return t, warn("tls", "renew the gateway's certificate", "%s accepts connections, its certificate ends in %s", addr, about(left))
	}
	return t, good("tls", "%s accepts connections, in %s, certificate valid until %s", addr, took, end.Format(time.DateOnly))
}

func get(ctx context.Context, web *http.Client, url string) (status int, date time.Time, err error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, date, err
	}
	res, err := web.Do(q)
	if err != nil {
		return 0, date, err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
	date, _ = http.ParseTime(res.Header.Get("Date"))
	return res.StatusCode, date, nil
}

func clockFinding(server, here time.Time) finding {
	skew := server.Sub(here)
	switch {
	case server.IsZero():
		return warn("server clock", "", "the server does not tell its time")
	case skew.Abs() > 5*time.Minute:
		return broken("server clock", "synchronise both clocks", "differs from ours by %s: logins may be refused", about(skew))
	case skew.Abs() > 5*time.Second:
		return warn("server clock", "synchronise both clocks", "differs from ours by %s", about(skew))
	}
	return good("server clock", "agrees with ours")
}

// headerFinding sends a request as long as the longest that a mount sends: names
// and attributes travel in the request line and in headers.
func headerFinding(ctx context.Context, web *http.Client, base string) finding {
	const longest = 7 << 10
	status, _, err := get(ctx, web, base+"?x="+strings.Repeat("a", longest))
	switch {
	case err != nil || status == http.StatusRequestHeaderFieldsTooLarge || status == http.StatusRequestURITooLong || status == http.StatusBadRequest:
		what := "it breaks the connection"
		if err == nil {
			what = http.StatusText(status)
		}
		return warn("headers", "raise the header limit of the gateway, or of the proxy before it, to 8 KiB", "requests of %d bytes are not taken (%s): files with long names and many attributes will fail", longest, what)
	}
	return good("headers", "requests of %d bytes are taken", longest)
}

// checkStore looks at what a user finds and may do.
func checkStore(ctx context.Context, c *client.Client, probe bool) []finding {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	user := c.Session().User
	if err := c.Login(ctx); err != nil {
		fix := "look at the user, the password, and whether the account is enabled"
		if client.KindOf(err) != client.Auth {
			fix = "look at the authentication server's log"
		}
		return []finding{broken("login", fix, "%s: %s", user, reason(err))}
	}
	out := []finding{good("login", "as %s", user)}
	n := 0
	for w, err := range c.Workspaces(ctx) {
		if err != nil {
			return append(out, broken("workspaces", "look at the server's log; scmfs workspace list asks the same", "cannot be listed: %s", reason(err)))
		}
		n++
		if n <= 50 {
			out = append(out, checkWorkspace(ctx, c.Workspace(w.Name), w, probe))
		}
	}
	if n == 0 {
		out = append(out, broken("workspaces", "make one: scmfs workspace create NAME", "there are none"))
	}
	return out
}

// checkWorkspace reads, and finds out whether breakpoint files are taken.
func checkWorkspace(ctx context.Context, s *client.Store, w client.Workspace, probe bool) finding {
	check := "workspace"
	files := s.Files(ctx, client.RootDir, "")
	if !w.Directories {
		files = s.FlatFiles(ctx, "")
	}
	for _, err := range files {
		if err != nil {
			return warn(check, "grant READ to a role of the user", "%s: cannot be read: %s", w.Name, reason(err))
		}
		break
	}
	for _, err := range s.BreakpointFiles(ctx, ".scmfs-doctor-") {
		switch {
		case client.KindOf(err) == client.Permission:
			return warn(check, "grant READ on the workspace, not only on directories", "%s: breakpoint files cannot be listed: .partial does not work, and large files are sent in one request that cannot be resumed", w.Name)
		case err != nil:
			return warn(check, "", "%s: breakpoint files: %s", w.Name, reason(err))
		}
	}
	if !probe {
		return good(check, "%s: can be read; breakpoint files not tried", w.Name)
	}
	name := ".scmfs-doctor-" + rand.Text()
	_, err := s.CreateBreakpointFile(ctx, name, client.BreakpointOptions{ChecksumType: client.ChecksumCRC32})
	if err == nil || client.KindOf(err) == client.Uncertain {
		err = errors.Join(err, s.DeleteBreakpointFile(context.WithoutCancel(ctx), name))
	}
	switch client.KindOf(err) {
	case client.Unsupported:
		return warn(check, "use a storage that has breakpoint files, if large files are common", "%s: its storage has no breakpoint files: large files are sent in one request that cannot be resumed", w.Name)
	case client.Permission:
		return warn(check, "grant CREATE, UPDATE and DELETE on the workspace, if the user is to write", "%s: can be read, not written", w.Name)
	}
	if err != nil {
		return warn(check, "", "%s: a breakpoint file was refused: %s", w.Name, reason(err))
	}
	return good(check, "%s: can be read, takes breakpoint files", w.Name)
}
