package main

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/server"
)

// The page needs nothing from elsewhere, and its policy allows nothing else.
func TestPageIsSelfContained(t *testing.T) {
	g := newRig(t)
	a := g.ask(http.MethodGet, "/", nil)
	require.Equal(t, http.StatusOK, a.status)
	policy := a.header.Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'")
	require.Contains(t, policy, "frame-ancestors 'none'")
	require.NotContains(t, policy, "unsafe")
	for _, tag := range []string{"script", "style"} {
		part := regexp.MustCompile(`(?s)<`+tag+`>(.*?)</`+tag+`>`).FindAllStringSubmatch(a.body, -1)
		require.Len(t, part, 1, tag)
		require.Contains(t, policy, tag+"-src "+digest(part[0][1]), "the policy does not allow the page's own "+tag)
	}
	require.NotRegexp(t, `\s(src|href|action)="(https?:)?//`, a.body)
	require.NotRegexp(t, `url\((?:"|')?(https?:)?//|@import`, a.body)
	require.NotRegexp(t, `(?i)<[^>]*\s(style|on[a-z]+)=`, a.body, "the policy would refuse it")
	require.NotContains(t, a.body, "innerHTML", "names of files are not markup")
	require.NotContains(t, a.body, "the-token")
}

// Every control of the page has a name for those who do not see it, and every
// region a heading.
func TestPageIsLabelled(t *testing.T) {
	for _, id := range regexp.MustCompile(`aria-(?:labelledby|describedby)="([^"]*)"`).FindAllStringSubmatch(pageHTML, -1) {
		require.Contains(t, pageHTML, `id="`+id[1]+`"`)
	}
	for _, id := range regexp.MustCompile(`<input id="([^"]*)"`).FindAllStringSubmatch(pageHTML, -1) {
		require.Contains(t, pageHTML, `<label for="`+id[1]+`"`)
	}
	require.Regexp(t, `<html lang="en">`, pageHTML)
	require.Contains(t, pageCSS, "prefers-color-scheme: dark")
	require.Contains(t, pageCSS, ":focus-visible")
	// What the script looks up exists.
	for _, id := range regexp.MustCompile(`\$\("([a-z-]+)"\)`).FindAllStringSubmatch(pageJS, -1) {
		require.Contains(t, pageHTML, `id="`+id[1]+`"`)
	}
	require.Equal(t, 1, strings.Count(pageHTML, `role="status"`), "one voice is enough")
}

func TestForeignPagesAreRefused(t *testing.T) {
	g := newRig(t)
	id := g.draft("stuck.txt", "content", true)
	form := url.Values{"id": {id}}
	for _, name := range []string{"evil.example", "evil.example:9100", "localhost.evil.example"} {
		require.Equal(t, http.StatusMisdirectedRequest, g.ask(http.MethodGet, "/api/status", nil, "Host: "+name).status, name)
	}
	for _, name := range []string{"localhost:9100", "127.0.0.1", "[::1]:9100"} {
		require.Equal(t, http.StatusOK, g.ask(http.MethodGet, "/healthz", nil, "Host: "+name).status, name)
	}
	// With the token, but sent by another site's page.
	require.Equal(t, http.StatusForbidden, g.act("/api/pending/discard", form, "Origin: http://evil.example").status)
	require.Equal(t, http.StatusForbidden, g.act("/api/pending/discard", form, "Sec-Fetch-Site: cross-site").status)
	require.Equal(t, http.StatusForbidden, g.act("/api/pending/discard", form, "Sec-Fetch-Site: same-site").status)
	require.Len(t, g.r.queue.Pending(), 1)
	require.Equal(t, http.StatusOK, g.act("/api/pending/discard", form, "Origin: "+g.web.URL).status)
	require.Empty(t, g.r.queue.Pending())
}

func TestActionsNeedTheToken(t *testing.T) {
	g := newRig(t)
	id := g.draft("stuck.txt", "content", true)
	for _, path := range []string{"/api/pending/retry", "/api/pending/discard", "/api/pending/export", "/api/partial/convert", "/api/partial/delete", "/api/partial/resume?workspace=ws&name=x"} {
		for _, auth := range []string{"X-None: x", "Authorization: Bearer wrong", "Authorization: Bearer ", "Authorization: the-token"} {
			a := g.ask(http.MethodPost, path, strings.NewReader(url.Values{"id": {id}}.Encode()), "Content-Type: application/x-www-form-urlencoded", auth)
			require.Equal(t, http.StatusUnauthorized, a.status, "%s %s", path, auth)
			require.Contains(t, a.body, "scmfs status")
		}
		require.Equal(t, http.StatusMethodNotAllowed, g.ask(http.MethodGet, path, nil, bearer).status, path)
	}
	require.Len(t, g.r.queue.Pending(), 1)
	require.NotContains(t, g.ask(http.MethodGet, "/api/status", nil).body, "the-token")
}

func TestReadOnlyMountHasNoActions(t *testing.T) {
	g := newRig(t, func(m *mountFlags) { m.readOnly = true })
	require.Equal(t, http.StatusForbidden, g.act("/api/partial/delete", url.Values{"workspace": {"ws"}, "name": {"x"}}).status)
}

func TestHealthAndReadiness(t *testing.T) {
	g := newRig(t)
	require.Equal(t, http.StatusOK, g.ask(http.MethodGet, "/healthz", nil).status)
	a := g.ask(http.MethodGet, "/readyz", nil)
	require.Equal(t, http.StatusOK, a.status, a.body)

	rule, err := server.ParseFault("error=503")
	require.NoError(t, err)
	g.store.Faults.Add(rule)
	g.r.facts.asked = g.r.facts.asked.Add(-factsAge)
	a = g.ask(http.MethodGet, "/readyz", nil)
	require.Equal(t, http.StatusServiceUnavailable, a.status)
	require.Contains(t, a.body, "server: ")
	require.Equal(t, http.StatusOK, g.ask(http.MethodGet, "/healthz", nil).status, "restarting would not bring the server back")

	close(g.gone)
	require.Equal(t, http.StatusServiceUnavailable, g.ask(http.MethodGet, "/healthz", nil).status)
}

func TestNotReadyWithoutSpace(t *testing.T) {
	g := newRig(t, func(m *mountFlags) { m.spoolFree = 1 << 60 })
	a := g.ask(http.MethodGet, "/readyz", nil)
	require.Equal(t, http.StatusServiceUnavailable, a.status)
	require.Contains(t, a.body, "space: ")
}

func TestPprofIsOptIn(t *testing.T) {
	require.Equal(t, http.StatusNotFound, newRig(t).ask(http.MethodGet, "/debug/pprof/goroutine?debug=1", nil).status)
	g := newRig(t, func(m *mountFlags) { m.ops.pprof = true })
	require.Contains(t, g.ask(http.MethodGet, "/debug/pprof/goroutine?debug=1", nil).body, "goroutine profile")
}

// event reads the next server-sent event.
func event(t *testing.T, in *bufio.Reader) (name, data string) {
	t.Helper()
	for {
		line, err := in.ReadString('\n')
		require.NoError(t, err)
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "event: "):
			name = line[7:]
		case strings.HasPrefix(line, "data: "):
			data = line[6:]
		case line == "" && name != "":
			return name, data
		}
	}
}

func TestEventsFollowTheQueue(t *testing.T) {
	g := newRig(t)
	id := g.draft("stuck.txt", "content", true)
	g.r.log.WithField("file", "ws/x").WithError(http.ErrBodyNotAllowed).Error("not done")
	g.r.sampler.sample(g.r.started)
	res, err := g.web.Client().Get(g.web.URL + "/events")
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, "text/event-stream", res.Header.Get("Content-Type"))
	in := bufio.NewReader(res.Body)
	name, data := event(t, in)
	require.Equal(t, "history", name)
	var points []point
	require.NoError(t, json.Unmarshal([]byte(data), &points))
	require.Len(t, points, 1)
	require.Positive(t, points[0].Sent)

	name, data = event(t, in)
	require.Equal(t, "status", name)
	var s status
	require.NoError(t, json.Unmarshal([]byte(data), &s))
	require.Len(t, s.Pending, 1)
	require.Equal(t, id, s.Pending[0].ID)
	require.Contains(t, s.Pending[0].Error, "-109")
	require.Equal(t, "not done", s.Errors[0].Message)
	require.Equal(t, "ws/x", s.Errors[0].File)
	require.Empty(t, s.Token)
	require.Len(t, s.Workspaces, 2)
	require.Empty(t, s.Server.Error)

	require.NoError(t, g.r.queue.Discard(id))
	for len(s.Pending) > 0 { // the next second shows it; the test's deadline ends a wait in vain
		_, data = event(t, in)
		s = status{}
		require.NoError(t, json.Unmarshal([]byte(data), &s))
	}
}

func TestPathsOfPendingFiles(t *testing.T) {
	g := newRig(t)
	st := g.r.client.Workspace("ws")
	a, err := st.CreateDirectory(t.Context(), client.RootDir, "a")
	require.NoError(t, err)
	b, err := st.CreateDirectory(t.Context(), a.ID, "b")
	require.NoError(t, err)
	tgt := g.target("in b")
	tgt.Dir = b.ID
	d, err := g.r.queue.Create(t.Context(), tgt, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, d.Discard()); require.NoError(t, d.Release(t.Context())) }()
	_, err = d.WriteAt(t.Context(), []byte("x"), 0)
	require.NoError(t, err)
	s := g.r.status()
	require.Equal(t, "ws/…/in b", s.pathOf(d.Target()), "nothing was asked yet")
	s = g.r.refreshed(t.Context())
	require.Equal(t, "ws/a/b/in b", s.pathOf(d.Target()))
	require.Equal(t, "ws/.partial/x", s.pathOf(g.partial("x")))
	require.Equal(t, "ws/in root", s.pathOf(g.target("in root")))
}

func TestErrorsInARowAreOne(t *testing.T) {
	r := &recentErrors{}
	log := logrus.New()
	log.SetOutput(&strings.Builder{})
	log.AddHook(r)
	for range 3 {
		log.WithField("file", "a").Warn("again")
	}
	log.Info("not kept")
	log.WithField("file", "b").Error("other")
	all := r.all()
	require.Len(t, all, 2)
	require.Equal(t, []any{"other", 1, "again", 3}, []any{all[0].Message, all[0].Count, all[1].Message, all[1].Count})
	for i := range 2 * keptErrors {
		log.WithField("file", i).Error("many")
	}
	require.Len(t, r.all(), keptErrors)
}
