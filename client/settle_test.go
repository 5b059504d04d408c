package client_test

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/server"
	"github.com/sequoiacm/scmfs/internal/storetest"
)

// lost is one call whose answer gets lost, on a fresh store.
type lost struct {
	name    string
	pattern string // of the request whose answer is lost
	// act makes the call; what it returns must be the same as without the fault.
	act func(w *world) (any, error)
	// sent is how many requests of the pattern a call makes that was executed.
	// When the request is lost before it is executed, unsure says that only the
	// caller can decide to send it again.
	unsure bool
}

type world struct {
	*testing.T
	name string // of the workspace, prefix of others
	c    *client.Client
	s    *client.Store
	dir  client.Directory
	file client.File
	bp   client.BreakpointFile // completed, content "breakpoint"
	open client.BreakpointFile // with "abc" in it
}

func body(s string) client.Body { return client.BytesBody([]byte(s)) }

var lostCalls = []lost{
	{"create file by id", "POST /files", func(w *world) (any, error) {
		f, err := w.s.CreateFile(w.Context(), client.NewFile{ID: "6553f100510003001a2b3c01", Name: "new"}, body("x"))
		return f.ID, err
	}, true},
	{"create file by name", "POST /files", func(w *world) (any, error) {
		f, err := w.s.CreateFile(w.Context(), client.NewFile{Name: "new"}, body("x"))
		return f.Name, err
	}, true},
	{"create file by name and time", "POST /files", func(w *world) (any, error) {
		f, err := w.s.CreateFile(w.Context(), client.NewFile{Name: "new", CreateTime: time.UnixMilli(1234567890123)}, body("x"))
		return f.CreateTime.UnixMilli(), err
	}, true},
	{"create empty file", "POST /files", func(w *world) (any, error) {
		f, err := w.s.CreateFile(w.Context(), client.NewFile{Name: "new"}, client.Body{})
		return f.Name, err
	}, true},
	{"overwrite file", "POST /files", func(w *world) (any, error) {
		f, err := w.s.CreateFile(w.Context(), client.NewFile{Name: "file", Overwrite: true}, body("other"))
		return f.Size, err
	}, true},
	{"update content", "PUT /files/*", func(w *world) (any, error) {
		f, err := w.s.UpdateContent(w.Context(), w.file.ID, w.file.Version, body("second"))
		return f.Version, err
	}, true},
	{"update with nothing", "PUT /files/*", func(w *world) (any, error) {
		f, err := w.s.UpdateContent(w.Context(), w.file.ID, w.file.Version, client.Body{})
		return f.Version, err
	}, true},
	{"convert to file by handle", "POST /files", func(w *world) (any, error) {
		f, err := w.bp.CreateFile(w.Context(), client.NewFile{Name: "new"})
		return []any{f.Name, f.Data == w.bp.Data}, err
	}, false},
	{"convert to file by id", "POST /files", func(w *world) (any, error) {
		f, err := w.s.CreateFileFromBreakpoint(w.Context(), client.NewFile{Name: "new", ID: "6553f100510003001a2b3c01"}, w.bp.Name)
		return f.ID, err
	}, false},
	{"convert to version", "PUT /files/*", func(w *world) (any, error) {
		f, err := w.bp.UpdateContent(w.Context(), w.file.ID, w.file.Version)
		return []any{f.Version, f.Data == w.bp.Data}, err
	}, false},
	{"create breakpoint file", "POST /breakpointfiles/*", func(w *world) (any, error) {
		b, err := w.s.CreateBreakpointFile(w.Context(), "b2", client.BreakpointOptions{ChecksumType: client.ChecksumAdler32})
		return b.ChecksumType, err
	}, false},
	{"append", "PUT /breakpointfiles/*", func(w *world) (any, error) {
		b, err := w.s.AppendBreakpointFile(w.Context(), w.open.Name, 3, body("def"), false)
		return []any{b.Size, b.Completed, b.Checksum}, err
	}, false},
	{"append the last", "PUT /breakpointfiles/*", func(w *world) (any, error) {
		b, err := w.s.AppendBreakpointFile(w.Context(), w.open.Name, 3, body("def"), true)
		return []any{b.Size, b.Completed, b.Checksum}, err
	}, false},
	{"complete", "PUT /breakpointfiles/*", func(w *world) (any, error) {
		b, err := w.s.AppendBreakpointFile(w.Context(), w.open.Name, 3, client.Body{}, true)
		return []any{b.Size, b.Completed, b.Checksum}, err
	}, false},
	{"delete breakpoint file", "DELETE /breakpointfiles/*", func(w *world) (any, error) {
		return nil, w.s.DeleteBreakpointFile(w.Context(), w.open.Name)
	}, true},
	{"create directory", "POST /directories", func(w *world) (any, error) {
		d, err := w.s.CreateDirectory(w.Context(), w.dir.ID, "new")
		return []any{d.Name, d.Parent == w.dir.ID}, err
	}, false},
	{"rename directory", "PUT /directories/id/*/rename", func(w *world) (any, error) {
		d, err := w.s.RenameDirectory(w.Context(), w.dir.ID, "new")
		return d.Name, err
	}, false},
	{"move directory", "PUT /directories/id/*/move", func(w *world) (any, error) {
		d, err := w.s.MoveDirectory(w.Context(), w.dir.ID, client.RootDir)
		return d.Parent, err
	}, false},
	{"delete directory", "DELETE /directories/id/*", func(w *world) (any, error) {
		return nil, w.s.DeleteDirectory(w.Context(), w.dir.ID)
	}, false},
	{"rename file", "PUT /files/*", func(w *world) (any, error) {
		f, err := w.s.RenameFile(w.Context(), w.file.ID, "new")
		return f.Name, err
	}, false},
	{"move file", "PUT /files/*", func(w *world) (any, error) {
		f, err := w.s.MoveFile(w.Context(), w.file.ID, w.dir.ID)
		return f.Dir == w.dir.ID, err
	}, false},
	{"set metadata", "PUT /files/*", func(w *world) (any, error) {
		f, err := w.s.SetMetadata(w.Context(), w.file.ID, map[string]string{"b": "2", "a": "1"})
		return f.Metadata, err
	}, false},
	{"add tag", "PUT /files/*", func(w *world) (any, error) {
		f, err := w.s.SetProperty(w.Context(), w.file.ID, "add_tag", "t")
		return f.Tags, err
	}, false},
	{"delete file", "DELETE /files/*", func(w *world) (any, error) { return nil, w.s.DeleteFile(w.Context(), w.file.ID) }, false},
	{"delete version", "DELETE /files/*", func(w *world) (any, error) {
		return nil, w.s.DeleteVersion(w.Context(), w.file.ID, w.file.Version)
	}, true},
	{"create workspace", "POST /workspaces/*", func(w *world) (any, error) {
		ws, err := w.c.CreateWorkspace(w.Context(), w.name+"new", true)
		return ws.Directories, err
	}, false},
	{"delete workspace", "DELETE /workspaces/*", func(w *world) (any, error) { return nil, w.c.DeleteWorkspace(w.Context(), w.name+"old", true) }, true},
	{"create role", "POST /auth/api/v1/roles", func(w *world) (any, error) { return nil, w.c.CreateRole(w.Context(), w.name+"r", "d") }, false},
}

// requests counts what a client sends.
type requests struct {
	mu sync.Mutex
	n  map[string]int
}

func (r *requests) note(endpoint string, _ int, _ time.Duration, _, _ int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n[endpoint]++
}

// changing is how many of them were to change something.
func (r *requests) changing() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for e, k := range r.n {
		if m, _, _ := strings.Cut(e, " "); m != "GET" && m != "HEAD" && !strings.Contains(e, "ogin") && !strings.Contains(e, "salt") {
			n += k
		}
	}
	return n
}

// universe is one server and one client for many worlds: a login is slow on
// purpose, most of all under the race detector.
type universe struct {
	srv  *storetest.Server
	c    *client.Client
	seen *requests
	n    int
}

func newUniverse(t *testing.T) *universe {
	u := &universe{srv: storetest.Serve(t, storetest.Options{}), seen: &requests{n: map[string]int{}}}
	u.c = u.srv.Client(t, func(o *client.Options) { o.Observe = u.seen.note })
	return u
}

// world is a new workspace with something in it.
func (u *universe) world(t *testing.T) *world {
	u.n++
	w := &world{T: t, c: u.c, name: fmt.Sprintf("w%d-", u.n)}
	storetest.Prepare(t, u.srv.Repo, w.name, true)
	storetest.Prepare(t, u.srv.Repo, w.name+"old", false)
	w.s = u.c.Workspace(w.name)
	ctx := t.Context()
	parent, err := w.s.CreateDirectory(ctx, client.RootDir, "parent")
	require.NoError(t, err)
	w.dir, err = w.s.CreateDirectory(ctx, parent.ID, "dir")
	require.NoError(t, err)
	w.file, err = w.s.CreateFile(ctx, client.NewFile{Name: "file"}, body("first"))
	require.NoError(t, err)
	w.bp, err = w.s.CreateBreakpointFile(ctx, "b", client.BreakpointOptions{})
	require.NoError(t, err)
	require.NoError(t, w.bp.Upload(ctx, strings.NewReader("breakpoint"), client.UploadOptions{}))
	_, err = w.s.CreateBreakpointFile(ctx, "open", client.BreakpointOptions{ChecksumType: client.ChecksumCRC32})
	require.NoError(t, err)
	w.open, err = w.s.AppendBreakpointFile(ctx, "open", 0, body("abc"), false)
	require.NoError(t, err)
	u.seen.n = map[string]int{}
	return w
}

// state describes a store, ids and times left out.
func (w *world) state() string {
	var b strings.Builder
	ctx := w.Context()
	var walk func(client.DirID, string)
	walk = func(id client.DirID, path string) {
		for f, err := range w.s.Files(ctx, id, "") {
			require.NoError(w, err)
			vs, err := w.s.Versions(ctx, f.ID)
			require.NoError(w, err)
			fmt.Fprintf(&b, "%s/%s %v", path, f.Name, f.Metadata)
			for _, v := range vs {
				r, err := w.s.Open(ctx, v.Content(), 0)
				require.NoError(w, err)
				content, err := io.ReadAll(r)
				require.NoError(w, err)
				require.NoError(w, r.Close())
				fmt.Fprintf(&b, " %s=%s", v.Version, content)
			}
			b.WriteByte('\n')
		}
		for d, err := range w.s.Directories(ctx, id, "") {
			require.NoError(w, err)
			fmt.Fprintf(&b, "%s/%s/\n", path, d.Name)
			walk(d.ID, path+"/"+d.Name)
		}
	}
	walk(client.RootDir, "")
	for bp, err := range w.s.BreakpointFiles(ctx, "") {
		require.NoError(w, err)
		fmt.Fprintf(&b, "bp %s %d %t %s\n", bp.Name, bp.Size, bp.Completed, bp.ChecksumType)
	}
	for ws, err := range w.c.Workspaces(ctx) {
		require.NoError(w, err)
		if rest, ok := strings.CutPrefix(ws.Name, w.name); ok {
			fmt.Fprintf(&b, "ws %s\n", rest)
		}
	}
	return b.String()
}

// Part 2 section 7.4: whatever becomes of the answer, the call reports what
// happened, and it happens once.
func TestLostAnswers(t *testing.T) {
	u := newUniverse(t)
	for _, c := range lostCalls {
		t.Run(c.name, func(t *testing.T) {
			w, seen := u.world(t), u.seen
			want, err := c.act(w)
			require.NoError(t, err)
			once := seen.changing()
			require.Equal(t, 1, once)
			state := w.state()

			faults := map[string]server.Fault{
				"answer lost":      {Kind: server.FaultLostReply, Pattern: c.pattern, Count: 1},
				"gateway timeout":  {Kind: server.FaultErrorAfter, Code: 504, Pattern: c.pattern, Count: 1},
				"system error":     {Kind: server.FaultErrorAfter, Code: -103, Pattern: c.pattern, Count: 1},
				"commit uncertain": {Kind: server.FaultErrorAfter, Code: -134, Pattern: c.pattern, Count: 1},
			}
			for name, fault := range faults {
				w := u.world(t)
				u.srv.Faults.Add(fault)
				got, err := c.act(w)
				require.NoError(t, err, name)
				assert.Equal(t, want, got, name)
				assert.Equal(t, once, seen.changing(), "%s: it was sent again: %v", name, seen.n)
				assert.Equal(t, state, w.state(), name)
			}

			// Lost on the way to the server: the store shows nothing of it.
			w = u.world(t)
			before := w.state()
			u.srv.Faults.Add(server.Fault{Kind: server.FaultError, Code: 503, Pattern: c.pattern, Count: 1})
			got, err := c.act(w)
			if c.unsure {
				assert.Equal(t, client.Uncertain, client.KindOf(err), err)
				assert.Equal(t, once, seen.changing(), "never sent again on a guess: %v", seen.n)
				assert.Equal(t, before, w.state())
				return
			}
			require.NoError(t, err)
			assert.Equal(t, want, got)
			assert.Equal(t, once+1, seen.changing())
			assert.Equal(t, state, w.state())
		})
	}
}

func TestCallsAfterARefusalInDoubt(t *testing.T) {
	u := newUniverse(t)
	srv, seen := u.srv, u.seen
	t.Run("made by somebody else", func(t *testing.T) {
		w := u.world(t)
		require.NoError(t, w.c.CreateUser(t.Context(), "bob", "bob"))
		require.NoError(t, w.c.CreateRole(t.Context(), "all", ""))
		require.NoError(t, w.c.Grant(t.Context(), "all", "workspace", w.name, "ALL"))
		require.NoError(t, w.c.AssignRole(t.Context(), "bob", "all"))
		bob := srv.Client(t, func(o *client.Options) {
			o.User, o.Password = "bob", func() (string, error) { return "bob", nil }
		}).Workspace(w.name)
		_, err := bob.CreateDirectory(t.Context(), w.dir.ID, "theirs")
		require.NoError(t, err)
		_, err = bob.CreateBreakpointFile(t.Context(), "theirs", client.BreakpointOptions{})
		require.NoError(t, err)
		_, err = bob.CreateFile(t.Context(), client.NewFile{Name: "theirs"}, body("x"))
		require.NoError(t, err)
		_, err = bob.UpdateContent(t.Context(), w.file.ID, w.file.Version, body("same"))
		require.NoError(t, err)
		for _, p := range []string{"POST /directories", "POST /breakpointfiles/*", "POST /files", "PUT /files/*"} {
			srv.Faults.Add(server.Fault{Kind: server.FaultError, Code: 504, Pattern: p, Count: 1})
		}
		_, err = w.s.CreateDirectory(t.Context(), w.dir.ID, "theirs")
		assert.Equal(t, client.Exist, client.KindOf(err), err)
		_, err = w.s.CreateBreakpointFile(t.Context(), "theirs", client.BreakpointOptions{})
		assert.Equal(t, client.Exist, client.KindOf(err), err)
		_, err = w.s.CreateFile(t.Context(), client.NewFile{Name: "theirs"}, body("x"))
		assert.Equal(t, client.Uncertain, client.KindOf(err), err)
		_, err = w.s.UpdateContent(t.Context(), w.file.ID, w.file.Version, body("same"))
		assert.Equal(t, client.Uncertain, client.KindOf(err), err)
	})
	t.Run("same name, other content", func(t *testing.T) {
		w := u.world(t)
		srv.Faults.Add(server.Fault{Kind: server.FaultError, Code: 504, Pattern: "POST /files", Count: 1})
		_, err := w.s.CreateFile(t.Context(), client.NewFile{Name: "file"}, body("f1rst"))
		assert.Equal(t, client.Uncertain, client.KindOf(err), err)
	})
	t.Run("somebody else's version", func(t *testing.T) {
		w := u.world(t)
		_, err := w.s.UpdateContent(t.Context(), w.file.ID, w.file.Version, body("theirs"))
		require.NoError(t, err)
		srv.Faults.Add(server.Fault{Kind: server.FaultError, Code: 504, Pattern: "PUT /files/*", Count: 1})
		_, err = w.s.UpdateContent(t.Context(), w.file.ID, w.file.Version, body("ours!!"))
		assert.Equal(t, client.Uncertain, client.KindOf(err), err)
	})
	t.Run("no expected version", func(t *testing.T) {
		w := u.world(t)
		srv.Faults.Add(server.Fault{Kind: server.FaultLostReply, Pattern: "PUT /files/*", Count: 1})
		_, err := w.s.UpdateContent(t.Context(), w.file.ID, client.Version{}, body("second"))
		assert.Equal(t, client.Uncertain, client.KindOf(err), err)
		assert.Equal(t, 1, seen.changing())
	})
	t.Run("breakpoint file of another", func(t *testing.T) {
		w := u.world(t)
		// Ours is gone and one of the same name is there: nothing proves success.
		require.NoError(t, w.s.DeleteBreakpointFile(t.Context(), "b"))
		_, err := w.s.CreateBreakpointFile(t.Context(), "b", client.BreakpointOptions{})
		require.NoError(t, err)
		srv.Faults.Add(server.Fault{Kind: server.FaultError, Code: 504, Pattern: "POST /files", Count: 1})
		_, err = w.bp.CreateFile(t.Context(), client.NewFile{Name: "new"})
		assert.Equal(t, client.Uncertain, client.KindOf(err), err)
	})
	t.Run("the store cannot be asked", func(t *testing.T) {
		w := u.world(t)
		defer srv.Faults.Clear()
		srv.Faults.Add(server.Fault{Kind: server.FaultLostReply, Pattern: "POST /directories", Count: 1},
			server.Fault{Kind: server.FaultError, Code: -109, Pattern: "GET /directories"})
		_, err := w.s.CreateDirectory(t.Context(), w.dir.ID, "new")
		assert.Equal(t, client.Uncertain, client.KindOf(err), err)
		assert.ErrorContains(t, err, "asking what became of it")
	})
}

// The first request may be executed after we looked: its echo is no refusal.
func TestEchoOfOurOwnSuccess(t *testing.T) {
	row := `{"id":"` + dirID + `","name":"q1","user":"alice","create_time":` + fmt.Sprint(time.Now().UnixMilli()) + `}`
	look := "GET /rootsite/api/v1/directories/?workspace_name=docs&filter=%7B%22parent_directory_id%22%3A%22" + rootID + "%22%2C%22name%22%3A%22q1%22%7D" + byName + "1"
	post := step{want: "POST /rootsite/api/v1/directories", body: "workspace_name=docs&name=q1&parent_directory_id=" + rootID}
	first, second := post, post
	first.cut = true
	second.status, second.answer = 500, scmError("-240")
	s := newScript(t, first, step{want: look, answer: "[]"}, second, step{want: look, answer: "[" + row + "]"})
	d, err := s.client(retrying).Workspace("docs").CreateDirectory(t.Context(), client.RootDir, "q1")
	require.NoError(t, err)
	assert.EqualValues(t, dirID, d.ID)

	del := step{want: "DELETE /rootsite/api/v1/files/" + fileID + "?workspace_name=docs&is_physical=true"}
	head := step{want: "HEAD /rootsite/api/v1/files/id/" + fileID + "?workspace_name=docs&major_version=-1&minor_version=-1", set: header("file", reportJSON)}
	gone := head
	gone.set, gone.status = map[string]string{"X-SCM-ERROR": `{"status":-262}`}, 404
	first, second = del, del
	first.status = 504
	second.status, second.answer = 404, scmError("-262")
	s = newScript(t, first, head, second, gone)
	require.NoError(t, s.client(retrying).Workspace("docs").DeleteFile(t.Context(), fileID))
}

// A conversion whose answer was lost is found even below a later version.
func TestConversionBelowALaterVersion(t *testing.T) {
	head := "HEAD /rootsite/api/v1/files/id/" + fileID + "?workspace_name=docs&major_version="
	s := newScript(t,
		step{want: "HEAD /rootsite/api/v1/breakpointfiles/b?workspace_name=docs", set: header("X-SCM-BREAKPOINTFILE", `{"file_name":"b","completed":true,"data_id":"6553f17b510003001a2b3c03"}`)},
		step{want: "PUT /rootsite/api/v1/files/" + fileID, body: "workspace_name=docs&major_version=1&minor_version=0&breakpoint_file=b&update_content_option=%7B%22is_need_md5%22%3Afalse%7D", status: 504},
		step{want: "HEAD /rootsite/api/v1/breakpointfiles/b?workspace_name=docs", status: 404, set: map[string]string{"X-SCM-ERROR": `{"status":-262}`}},
		step{want: head + "-1&minor_version=-1", set: header("file", `{"id":"`+fileID+`","major_version":3,"data_id":"theirs"}`)},
		step{want: head + "2&minor_version=0", set: header("file", `{"id":"`+fileID+`","major_version":2,"data_id":"6553f17b510003001a2b3c03"}`)},
	)
	bp, err := s.client().Workspace("docs").BreakpointFile(t.Context(), "b")
	require.NoError(t, err)
	f, err := bp.UpdateContent(t.Context(), fileID, client.Version{Major: 1})
	require.NoError(t, err)
	assert.Equal(t, client.Version{Major: 2}, f.Version)
}

// A pooled connection that the server has closed must not make net/http send a
// change again by itself, however empty its body is.
func TestTransportNeverRepeats(t *testing.T) {
	put := step{want: "PUT /zuul/rootsite/api/v1/files/" + fileID + "?workspace_name=docs&major_version=-1&minor_version=-1&update_content_option=%7B%22is_need_md5%22%3Afalse%7D", cut: true}
	s := newScript(t, step{want: countURI, set: map[string]string{"X-SCM-Count": "1"}}, put)
	ws := s.client().Workspace("docs")
	_, err := ws.CountDirectories(t.Context()) // the connection is used from now on
	require.NoError(t, err)
	_, err = ws.UpdateContent(t.Context(), fileID, client.Version{}, client.Body{})
	assert.Equal(t, client.Uncertain, client.KindOf(err), err)
}
