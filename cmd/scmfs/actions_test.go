package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/writeback"
)

func (g *rig) target(name string) writeback.Target {
	return writeback.Target{Workspace: "ws", Dir: client.RootDir, Name: name}
}

func (g *rig) partial(name string) writeback.Target {
	return writeback.Target{Workspace: "ws", Partial: true, Name: name}
}

func (g *rig) partials() []partialFile {
	g.t.Helper()
	a := g.ask(http.MethodGet, "/api/partials", nil)
	require.Equal(g.t, http.StatusOK, a.status, a.body)
	var all []partialList
	require.NoError(g.t, json.Unmarshal([]byte(a.body), &all))
	for _, l := range all {
		if l.Workspace == "ws" {
			require.Empty(g.t, l.Error)
			return l.Files
		}
	}
	g.t.Fatal("no workspace ws")
	return nil
}

func TestRetryPublishes(t *testing.T) {
	g := newRig(t)
	id := g.draft("a.txt", "the content", true)
	require.Equal(t, http.StatusOK, g.act("/api/pending/retry", url.Values{"id": {id}}).status)
	require.NoError(t, g.r.queue.Drain(t.Context()))
	require.Equal(t, "the content", g.content("a.txt"))
	require.Equal(t, http.StatusNotFound, g.act("/api/pending/retry", url.Values{"id": {"nosuch"}}).status)
	require.Equal(t, "page-retry", g.audited[0].Op)
	require.Zero(t, g.audited[0].Errno)
	require.NotZero(t, g.audited[1].Errno)
}

// A browser saves the content through a form, so the token may be a field of it.
func TestExportIsADownload(t *testing.T) {
	g := newRig(t)
	id := g.draft("ä b.txt", "the content", true)
	form := url.Values{"id": {id}, "token": {"the-token"}}
	a := g.ask(http.MethodPost, "/api/pending/export", strings.NewReader(form.Encode()), "Content-Type: application/x-www-form-urlencoded")
	require.Equal(t, http.StatusOK, a.status)
	require.Equal(t, "the content", a.body)
	require.Contains(t, a.header.Get("Content-Disposition"), "attachment")
	require.Contains(t, a.header.Get("Content-Disposition"), "%C3%A4%20b.txt")
	require.Len(t, g.r.queue.Pending(), 1, "an export keeps it")
	require.Equal(t, http.StatusNotFound, g.act("/api/pending/export", url.Values{"id": {"nosuch"}}).status)
}

func TestConvertMakesAFileOrAVersion(t *testing.T) {
	g := newRig(t)
	g.breakpoint("one", "first", true)
	g.breakpoint("two", "second", true)
	g.breakpoint("half", "unfinished", false)
	form := func(name, to string) url.Values {
		return url.Values{"workspace": {"ws"}, "name": {name}, "to": {to}}
	}
	require.Len(t, g.partials(), 3)
	a := g.act("/api/partial/convert", form("one", "no/such/dir.txt"))
	require.Equal(t, http.StatusNotFound, a.status)
	require.Contains(t, a.body, `no directory "no"`)
	require.Equal(t, http.StatusBadRequest, g.act("/api/partial/convert", form("one", "")).status)
	require.Equal(t, http.StatusBadRequest, g.act("/api/partial/convert", form("one", "..")).status)
	require.Equal(t, http.StatusOK, g.act("/api/partial/convert", form("one", "/file.txt")).status)
	require.Equal(t, "first", g.content("file.txt"))
	require.Equal(t, http.StatusOK, g.act("/api/partial/convert", form("two", "file.txt")).status)
	require.Equal(t, "second", g.content("file.txt"))
	f, err := g.r.client.Workspace("ws").LookupFile(t.Context(), client.RootDir, "file.txt")
	require.NoError(t, err)
	require.Equal(t, client.Version{Major: 2}, f.Version)
	a = g.act("/api/partial/convert", form("half", "half.txt"))
	require.Equal(t, http.StatusConflict, a.status, a.body)
	require.Equal(t, []string{"half"}, names(g.partials()))
}

func names(all []partialFile) (out []string) {
	for _, f := range all {
		out = append(out, f.Name)
	}
	return out
}

func TestDeleteBreakpointFile(t *testing.T) {
	g := newRig(t)
	g.breakpoint("one", "first", true)
	form := url.Values{"workspace": {"ws"}, "name": {"one"}}
	require.Equal(t, http.StatusOK, g.act("/api/partial/delete", form).status)
	require.Empty(t, g.partials())
	require.Equal(t, http.StatusOK, g.act("/api/partial/delete", form).status, "gone is gone")
	d, err := g.r.queue.Create(t.Context(), g.partial("open"), nil)
	require.NoError(t, err)
	_, err = d.WriteAt(t.Context(), []byte("x"), 0)
	require.NoError(t, err)
	require.Equal(t, http.StatusConflict, g.act("/api/partial/delete", url.Values{"workspace": {"ws"}, "name": {"open"}}).status)
	require.NoError(t, d.Discard())
	require.NoError(t, d.Release(t.Context()))
}

func (g *rig) resume(name, content string) answerOf {
	g.t.Helper()
	return g.ask(http.MethodPost, "/api/partial/resume?"+url.Values{"workspace": {"ws"}, "name": {name}}.Encode(), strings.NewReader(content), bearer, "Content-Type: application/octet-stream")
}

// Resuming sends what is missing, and a wrong source must not cost what is there.
func TestResumeFromTheSameSource(t *testing.T) {
	g := newRig(t)
	whole := strings.Repeat("0123456789abcdef", 1<<17) // 2 MiB
	g.breakpoint("half", whole[:1<<20], false)
	a := g.resume("half", "something else"+whole)
	require.Equal(t, http.StatusConflict, a.status, a.body)
	require.Contains(t, a.body, "does not begin with")
	a = g.resume("half", whole[:1000])
	require.Equal(t, http.StatusConflict, a.status, a.body)
	require.NoError(t, g.r.queue.Drain(t.Context()))
	all := g.partials()
	require.Equal(t, int64(1<<20), all[0].Size, "it is as it was")
	require.False(t, all[0].Completed)

	before := g.r.meter.sent.Load()
	a = g.resume("half", whole)
	require.Equal(t, http.StatusOK, a.status, a.body)
	sent := g.r.meter.sent.Load() - before
	require.Less(t, sent, int64(1<<20+4096), "only what was missing is sent")
	all = g.partials()
	require.Equal(t, int64(len(whole)), all[0].Size)
	require.True(t, all[0].Completed)
	require.Equal(t, http.StatusConflict, g.resume("half", whole).status, "complete already")
	require.Equal(t, http.StatusNotFound, g.resume("nosuch", whole).status)
	require.Equal(t, http.StatusOK, g.act("/api/partial/convert", url.Values{"workspace": {"ws"}, "name": {"half"}, "to": {"whole"}}).status)
	require.Equal(t, whole, g.content("whole"))
	require.Empty(t, g.r.queue.Pending())
}

// How a file of the tree is on its way is not a breakpoint file to people.
func TestOwnUploadsAreNotListed(t *testing.T) {
	g := newRig(t)
	d, err := g.r.queue.Create(t.Context(), g.target("big"), nil)
	require.NoError(t, err)
	_, err = d.WriteAt(t.Context(), make([]byte, 11<<20), 0)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return d.Info().Acked > 0 }, patienceForQueue, pollQueue, "it streams")
	require.Empty(t, g.partials())
	_, err = d.Publish(t.Context())
	require.NoError(t, err)
	require.NoError(t, d.Release(t.Context()))
}
