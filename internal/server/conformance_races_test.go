package server

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// at once runs calls together and returns what each was answered.
func atOnce(t *testing.T, calls ...func() *answer) []*answer {
	t.Helper()
	out := make([]*answer, len(calls))
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i, call := range calls {
		wg.Go(func() {
			<-start
			out[i] = call()
		})
	}
	close(start)
	wg.Wait()
	return out
}

// tally counts the answers: 0 for success, else the SCM code.
func tally(t *testing.T, answers []*answer) map[int]int {
	t.Helper()
	out := map[int]int{}
	for _, a := range answers {
		code := 0
		if a.status != 200 {
			n := parseRecord(t, string(a.body)).num("status")
			code = int(n)
		}
		out[code]++
	}
	return out
}

func repeat(n int, call func() *answer) []func() *answer {
	calls := make([]func() *answer, n)
	for i := range calls {
		calls[i] = call
	}
	return calls
}

// Part 2 sections 9.3 and 7.3: what may come of two at the same time. Each is
// run several times; only outcomes of the table are allowed.
func TestConformanceRaces(t *testing.T) {
	const rounds = 10
	shared := newGateway(t)
	run := func(name string, fn func(t *testing.T, g *gateway)) {
		t.Run(name, func(t *testing.T) {
			for range rounds {
				fn(t, shared.with(t))
			}
		})
	}
	data := pattern(300_000)
	run("C48 several upload one breakpoint file", func(t *testing.T, g *gateway) {
		g.bpCreate("c48", "CRC32").ok()
		got := tally(t, atOnce(t, repeat(4, func() *answer { return g.bpPut("c48", 0, true, data) })...))
		assert.Equal(t, map[int]int{0: 1, -101: 3}, got)
		f := g.convert("c48", "c48", "", "").created()
		assert.True(t, string(data) == g.read(f.str("id"), ""))
		g.remove(f.str("id")).ok()
	})
	run("C49 create against delete", func(t *testing.T, g *gateway) {
		got := atOnce(t, func() *answer { return g.bpCreate("c49", "NONE") }, func() *answer { return g.bpDelete("c49") })
		got[0].ok()
		if got[1].status == 200 {
			g.bpHead("c49").fails(404, -262)
		} else {
			got[1].fails(404, -262)
			g.bpDelete("c49").ok()
		}
	})
	run("C50 convert against a create of the same name", func(t *testing.T, g *gateway) {
		g.bpUpload("c50", "NONE", data)
		got := atOnce(t, func() *answer { return g.convert("c50", "c50", "", "") }, func() *answer { return g.create("ws1", "c50", "", "", "x") })
		assert.Equal(t, map[int]int{0: 1, -261: 1}, tally(t, got))
		if got[0].status != 200 {
			assert.Equal(t, true, g.bp("c50")["completed"], "kept")
			g.bpDelete("c50").ok()
		}
		g.remove(g.head("/files/path/c50?workspace_name=ws1").inHeader("file").str("id")).ok()
	})
	run("C51 C52 C53 create and delete of one name, different names", func(t *testing.T, g *gateway) {
		assert.Equal(t, map[int]int{0: 1, -261: 2}, tally(t, atOnce(t, repeat(3, func() *answer { return g.bpCreate("c51", "NONE") })...)))
		assert.Equal(t, map[int]int{0: 1, -262: 2}, tally(t, atOnce(t, repeat(3, func() *answer { return g.bpDelete("c51") })...)))
		names := []string{"c52.a", "c52.b", "c52.c"}
		var calls []func() *answer
		for _, n := range names {
			calls = append(calls, func() *answer { return g.bpPut(n, 0, true, data) })
			g.bpCreate(n, "ADLER32").ok()
		}
		assert.Equal(t, map[int]int{0: 3}, tally(t, atOnce(t, calls...)))
		for _, n := range names {
			assert.EqualValues(t, len(data), g.bp(n).num("upload_size"))
			g.bpDelete(n).ok()
		}
	})
	run("C54 resume against delete", func(t *testing.T, g *gateway) {
		g.bpCreate("c54", "NONE").ok()
		got := atOnce(t, func() *answer { return g.bpPut("c54", 0, true, data) }, func() *answer { return g.bpDelete("c54") })
		got[1].ok()
		if got[0].status != 200 {
			got[0].fails(404, -262)
		}
		g.bpHead("c54").fails(404, -262)
	})
	run("C55 one breakpoint file, a new file against a new version", func(t *testing.T, g *gateway) {
		id := g.put("c55", "", "v1").str("id")
		g.bpUpload("c55", "NONE", data)
		got := atOnce(t, func() *answer { return g.convert("c55", "c55.new", "", "") }, func() *answer { return g.updateFrom(id, "c55") },
			func() *answer { return g.convert("c55", "c55.other", "", "") })
		assert.Equal(t, map[int]int{0: 1, -101: 2}, tally(t, got))
		for _, a := range []*answer{got[0], got[2]} {
			if a.status == 200 {
				g.remove(a.created().str("id")).ok()
			}
		}
		g.remove(id).ok()
	})
	run("C80 C85 create and overwrite of one name", func(t *testing.T, g *gateway) {
		assert.Equal(t, map[int]int{0: 1, -261: 3}, tally(t, atOnce(t, repeat(4, func() *answer { return g.create("ws1", "c85", "", "", "x") })...)))
		got := tally(t, atOnce(t, repeat(4, func() *answer { return g.create("ws1", "c85", "", overwrite, "y") })...))
		assert.Equal(t, 4, got[0]+got[-261])
		rows := g.get("/files/" + query("workspace_name", "ws1", "scope", "1", "filter", `{"name":"c85"}`)).list()
		require.Len(t, rows, 1)
		g.remove(rows[0].str("id")).ok()
	})
	run("a rename against a create of that name", func(t *testing.T, g *gateway) {
		id := g.put("rename.from", "", "x").str("id")
		got := atOnce(t, func() *answer { return g.change(id, `{"name":"rename.to"}`) }, func() *answer { return g.create("ws1", "rename.to", "", "", "y") })
		assert.Equal(t, map[int]int{0: 1, -261: 1}, tally(t, got))
		g.remove(id).ok()
		if got[1].status == 200 {
			g.remove(got[1].created().str("id")).ok()
		}
	})
	run("C86 different attributes at once", func(t *testing.T, g *gateway) {
		id := g.put("c86.race", "", "x").str("id")
		atOnce(t, func() *answer { return g.change(id, `{"title":"t"}`).ok() }, func() *answer { return g.change(id, `{"author":"a"}`).ok() })
		f := g.file(id)
		assert.Equal(t, "t", f["title"])
		assert.Equal(t, "a", f["author"])
		g.remove(id).ok()
	})
	run("C106 C107 two updates that expect the same version", func(t *testing.T, g *gateway) {
		id := g.put("c106", "", "1").str("id")
		got := tally(t, atOnce(t, repeat(2, func() *answer { return g.update(id, "1.0", "new") })...))
		assert.Contains(t, []map[int]int{{0: 2}, {0: 1, -264: 1}}, got)
		assert.EqualValues(t, 1+got[0], g.file(id).num("major_version"))
		for _, bp := range []string{"c107.a", "c107.b"} {
			g.bpUpload(bp, "NONE", data)
		}
		now := g.file(id).num("major_version")
		got = tally(t, atOnce(t, func() *answer { return g.updateFrom(id, "c107.a") }, func() *answer { return g.updateFrom(id, "c107.b") }))
		assert.Equal(t, map[int]int{0: 2}, got)
		assert.EqualValues(t, now+2, g.file(id).num("major_version"))
		g.remove(id).ok()
	})
	run("C108 C110 update against delete, two deletes", func(t *testing.T, g *gateway) {
		id := g.put("c108", "", "1").str("id")
		got := atOnce(t, func() *answer { return g.update(id, "", "2") }, func() *answer { return g.remove(id) }, func() *answer { return g.remove(id) })
		if got[0].status != 200 {
			got[0].fails(404, -262)
		}
		assert.Equal(t, map[int]int{0: 1, -262: 1}, tally(t, got[1:]))
		g.stat(id, "1.0").fails(404, -262)
		g.stat(id, "2.0").fails(404, -262)
	})
}

// An upload that is held in the middle of its body: what others see meanwhile.
func TestConformanceHeldUpload(t *testing.T) {
	g := newGateway(t)
	// held starts a request and returns when the server has read the first part;
	// the returned function sends the rest and gives the answer.
	held := func(t *testing.T, method, path, desc, first, rest string) func() *answer {
		t.Helper()
		w := &watch{want: int64(len(first)), done: make(chan struct{})}
		g.watch.Store(w)
		pr, pw := io.Pipe()
		done := make(chan *answer, 1)
		go func() {
			a, err := g.raw(method, zuul+path, streamHeader(desc), pr)
			if assert.NoError(t, err) {
				a.t = t
			}
			done <- a
		}()
		_, err := pw.Write([]byte(first))
		require.NoError(t, err)
		<-w.done
		g.watch.Store(nil)
		return func() *answer {
			_, err := io.Copy(pw, strings.NewReader(rest))
			require.NoError(t, err)
			require.NoError(t, pw.Close())
			return <-done
		}
	}
	t.Run("C109 version 1 while version 2 is uploaded", func(t *testing.T) {
		g := g.with(t)
		id := g.put("c109", "", "v1").str("id")
		finish := held(t, "PUT", "/files/"+id+"?workspace_name=ws1", "", "sec", "ond")
		assert.Equal(t, "v1", g.read(id, ""))
		g.change(id, `{"name":"c109.renamed"}`).ok()
		n := finish().inHeader("file_info")
		assert.Equal(t, "c109.renamed", n["name"], "the new version has the new name")
		assert.Equal(t, "second", g.read(id, ""))
		assert.Equal(t, "v1", g.read(id, "1.0"))
	})
	t.Run("C106 the expected version is checked before the body, not after", func(t *testing.T) {
		g := g.with(t)
		id := g.put("c106", "", "1").str("id")
		finish := held(t, "PUT", "/files/"+id+"?workspace_name=ws1&major_version=1&minor_version=0", "", "a", "b")
		g.update(id, "1.0", "2").ok()
		assert.EqualValues(t, 3, finish().inHeader("file_info").num("major_version"))
	})
	t.Run("C108 the file goes while its new version is uploaded", func(t *testing.T) {
		g := g.with(t)
		id := g.put("c108", "", "1").str("id")
		finish := held(t, "PUT", "/files/"+id+"?workspace_name=ws1", "", "a", "b")
		g.remove(id).ok()
		finish().fails(404, -262)
	})
	t.Run("a conflict and a missing parent are told after the body", func(t *testing.T) {
		g := g.with(t)
		finish := held(t, "POST", "/files/?workspace_name=ws1", `{"name":"late"}`, "a", "b")
		g.head("/files/path/late?workspace_name=ws1").fails(404, -262)
		g.put("late", "", "first")
		finish().fails(500, -261)
		dir := g.mkdir("/late dir")
		finish = held(t, "POST", "/files/?workspace_name=ws1", `{"name":"x","directory_id":"`+dir+`"}`, "a", "b")
		g.del("/directories/id/" + dir + "?workspace_name=ws1").ok()
		finish().fails(404, -241)
		held(t, "POST", "/files/?workspace_name=ws1", `{"name":"x","directory_id":"6553f064510003001a2b3b99"}`, "a", "b")().fails(404, -241)
	})
	t.Run("HEAD of a breakpoint file waits for the running increment, the list does not", func(t *testing.T) {
		g := g.with(t)
		g.bpCreate("wait", "NONE").ok()
		finish := held(t, "PUT", "/breakpointfiles/wait?workspace_name=ws1&offset=0&is_last_content=true", "", "hel", "lo")
		rows := g.get("/breakpointfiles" + query("workspace_name", "ws1", "filter", `{"file_name":"wait"}`)).list()
		assert.EqualValues(t, 0, rows[0].num("upload_size"))
		head := make(chan *answer, 1)
		arrived := &watch{method: "HEAD", done: make(chan struct{})}
		g.watch.Store(arrived)
		go func() {
			a, err := g.raw("HEAD", api+"/breakpointfiles/wait?workspace_name=ws1", nil, nil)
			assert.NoError(t, err)
			head <- a
		}()
		<-arrived.done
		g.watch.Store(nil)
		finish().ok()
		a := <-head
		a.t = t
		assert.Equal(t, true, a.inHeader("X-SCM-BREAKPOINTFILE")["completed"])
	})
	t.Run("a file that is deleted while it is read", func(t *testing.T) {
		g := g.with(t)
		data := pattern(4 << 20)
		id := g.put("reading", "", string(data)).str("id")
		r, err := http.NewRequestWithContext(t.Context(), "GET", g.http.URL+api+"/files/"+id+"?workspace_name=ws1", nil)
		require.NoError(t, err)
		r.Header.Set("x-auth-token", g.token)
		resp, err := g.http.Client().Do(r)
		require.NoError(t, err)
		defer resp.Body.Close()
		g.remove(id).ok()
		got, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.True(t, bytes.Equal(data, got), "never mixed, and here not even short")
	})
}
