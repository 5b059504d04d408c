package server

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// The verbs here are the exchanges that most conformance cases need.

// put creates a file from a stream in a directory ("" for the root).
func (g *gateway) put(name, dir, content string) record {
	g.t.Helper()
	return g.create("ws1", name, dir, "", content).created()
}

// create sends POST /files as the driver does.
func (g *gateway) create(ws, name, dir, config, content string) *answer {
	g.t.Helper()
	d := wire.Doc{{Key: "name", Value: name}, {Key: "author", Value: ""}, {Key: "title", Value: ""},
		{Key: "mime_type", Value: ""}, {Key: "tags", Value: []any{}}}
	if dir != "" {
		d.Set("directory_id", dir)
	}
	return g.stream("POST", "/files/"+query("workspace_name", ws, "upload_config", config), string(wire.AppendBSONText(nil, d)), []byte(content))
}

func (g *gateway) mkdir(path string) string {
	g.t.Helper()
	return g.form("POST", "/directories/", nil, "workspace_name", "ws1", "path", path).json().str("id")
}

// stat is HEAD by id; version is "" or "2.0".
func (g *gateway) stat(id, version string) *answer {
	g.t.Helper()
	return g.head("/files/id/" + id + query(append([]string{"workspace_name", "ws1"}, ver(version)...)...))
}

func ver(version string) []string {
	if version == "" {
		return nil
	}
	major, minor, _ := strings.Cut(version, ".")
	return []string{"major_version", major, "minor_version", minor}
}

func (g *gateway) file(id string) record { g.t.Helper(); return g.stat(id, "").inHeader("file") }

// read downloads a whole version.
func (g *gateway) read(id, version string) string {
	g.t.Helper()
	a := g.get("/files/" + id + query(append([]string{"workspace_name", "ws1"}, ver(version)...)...)).ok()
	require.Equal(g.t, strconv.Itoa(len(a.body)), a.header.Get("data_length"))
	return string(a.body)
}

// update sends new content as a stream; expect is "" or the expected version.
func (g *gateway) update(id, expect, content string) *answer {
	g.t.Helper()
	q := append([]string{"workspace_name", "ws1"}, ver(expect)...)
	return g.stream("PUT", "/files/"+id+query(append(q, "update_content_option", `{"is_need_md5":false}`)...), "", []byte(content))
}

// change sends one property, as the driver does in a form.
func (g *gateway) change(id, info string) *answer {
	g.t.Helper()
	return g.form("PUT", "/files/"+id, nil, "workspace_name", "ws1", "major_version", "-1", "minor_version", "-1", "file_info", info)
}

func (g *gateway) remove(id string) *answer {
	g.t.Helper()
	return g.del("/files/" + id + query("workspace_name", "ws1", "is_physical", "true"))
}

// bpCreate is the driver's POST without content.
func (g *gateway) bpCreate(name, checksum string, extra ...string) *answer {
	g.t.Helper()
	form := map[string]string{"workspace_name": "ws1", "create_time": "0", "checksum_type": checksum,
		"is_last_content": "false", "is_need_md5": "false", "has_set_time": "false"}
	for i := 0; i < len(extra); i += 2 {
		form[extra[i]] = extra[i+1]
	}
	var pairs []string
	for k, v := range form {
		pairs = append(pairs, k, v)
	}
	return g.form("POST", "/breakpointfiles/"+wire.Escape(name), nil, pairs...)
}

// bpPut sends an increment.
func (g *gateway) bpPut(name string, offset int64, last bool, content []byte) *answer {
	g.t.Helper()
	return g.stream("PUT", "/breakpointfiles/"+wire.Escape(name)+query("workspace_name", "ws1",
		"offset", strconv.FormatInt(offset, 10), "is_last_content", strconv.FormatBool(last)), "", content)
}

func (g *gateway) bpHead(name string) *answer {
	g.t.Helper()
	return g.head("/breakpointfiles/" + wire.Escape(name) + "?workspace_name=ws1")
}

func (g *gateway) bp(name string) record {
	g.t.Helper()
	return g.bpHead(name).inHeader("X-SCM-BREAKPOINTFILE")
}

func (g *gateway) bpDelete(name string) *answer {
	g.t.Helper()
	return g.del("/breakpointfiles/" + wire.Escape(name) + "?workspace_name=ws1")
}

// bpUpload is the driver's upload(): create, one increment, an empty last one.
func (g *gateway) bpUpload(name, checksum string, content []byte, extra ...string) record {
	g.t.Helper()
	g.bpCreate(name, checksum, extra...).ok()
	if len(content) > 0 {
		g.bpPut(name, 0, false, content).ok()
	}
	return g.bpPut(name, int64(len(content)), true, nil).json()
}

// convert makes a file of a breakpoint file, parameters in a form.
func (g *gateway) convert(bp, name, dir, config string) *answer {
	g.t.Helper()
	d := wire.Doc{{Key: "name", Value: name}, {Key: "title", Value: ""}, {Key: "author", Value: ""}, {Key: "mime_type", Value: ""}, {Key: "tags", Value: []any{}}}
	if dir != "" {
		d.Set("directory_id", dir)
	}
	h := http.Header{"description": {wire.Escape(string(wire.AppendJSON(nil, d)))}}
	return g.form("POST", "/files/", h, "workspace_name", "ws1", "breakpoint_file", bp, "upload_config", config)
}

// updateFrom makes a new version of a breakpoint file, parameters in a form.
func (g *gateway) updateFrom(id, bp string) *answer {
	g.t.Helper()
	return g.form("PUT", "/files/"+id, nil, "workspace_name", "ws1", "breakpoint_file", bp, "update_content_option", `{"is_need_md5":false}`)
}
