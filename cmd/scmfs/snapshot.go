package main

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/readcache"
	"github.com/sequoiacm/scmfs/writeback"
)

// more is the part of [status] for whoever looks after the mount.
type more struct {
	Session    client.Session    `json:"session"`
	Server     serverState       `json:"server"`
	Workspaces []workspaceState  `json:"workspaces"`        // that the mount shows
	Root       string            `json:"root,omitempty"`    // of --root: "workspace/dir", where it is now
	Paths      map[string]string `json:"paths"`             // of directories of pending files, by "workspace/id"
	Names      map[string]string `json:"names"`             // of pending files, by id, as seen below the mount point
	Rates      map[string]int64  `json:"bytes_per_second"`  // of pending files, by id
	Spool      writeback.Usage   `json:"spool"`             //
	Cache      cacheState        `json:"cache"`             //
	Limits     limits            `json:"limits"`            //
	Errors     []logLine         `json:"recent_errors"`     // newest first
	LogLevel   string            `json:"log_level"`         //
	LogFile    string            `json:"log_file"`          // "" : standard error
	Page       string            `json:"page,omitempty"`    // address of the status page
	Token      string            `json:"token,omitempty"`   // for actions there; only over the control socket
	Uncertain  string            `json:"unknown,omitempty"` // what could not be found out, and why
}

// serverState is what a ping found.
type serverState struct {
	Asked time.Time     `json:"asked"` // zero: never
	Took  time.Duration `json:"took"`
	Skew  time.Duration `json:"clock_skew"` // the server's clock minus ours; 0 when it does not tell
	Error string        `json:"error,omitempty"`
}

type workspaceState struct {
	Name        string `json:"name"`
	Directories bool   `json:"directories"`
	// NoBreakpoints: large files were refused as breakpoint files there. False
	// while it was not tried.
	NoBreakpoints bool `json:"no_breakpoints"`
}

// cacheState is the read cache, in bytes but for hits and misses.
type cacheState struct {
	Hits    int64 `json:"hits"`
	Misses  int64 `json:"misses"`
	Memory  int64 `json:"memory"`
	Disk    int64 `json:"disk"`
	Served  int64 `json:"served"`
	Fetched int64 `json:"fetched"`
}

func cacheOf(s readcache.Stats) cacheState {
	return cacheState{Hits: s.Hits, Misses: s.Misses, Memory: s.Memory, Disk: s.Disk, Served: s.Served, Fetched: s.Fetched}
}

type limits struct {
	Increment   int64 `json:"increment"`
	Uploads     int   `json:"uploads"`
	UploadLimit int64 `json:"upload_limit"` // bytes a second, 0: none
	SpoolMax    int64 `json:"spool_max"`    // 0: none
	SpoolFree   int64 `json:"spool_min_free"`
	CacheSize   int64 `json:"cache_size"`
	CacheMax    int64 `json:"cache_max_size"` // of the disk cache, 0: there is none
}

// more collects what is known without a request.
func (r *running) more() more {
	m := more{Session: r.client.Session(), Rates: r.sampler.rates(), Spool: r.queue.Usage(), Cache: cacheOf(r.cache.Stats()),
		Errors: r.recent.all(), LogLevel: r.log.GetLevel().String(), Page: r.pageURL(),
		Limits: limits{Increment: int64(r.m.increment), Uploads: r.m.uploads, UploadLimit: int64(r.m.uploadLimit), SpoolMax: int64(r.m.spoolMax),
			SpoolFree: int64(r.m.spoolFree), CacheSize: int64(r.m.cacheSize)}}
	if r.m.cacheDir != "" {
		m.Limits.CacheMax = int64(r.m.cacheMax)
	}
	m.LogFile, _ = r.m.logPath()
	m.Server, m.Workspaces, m.Root, m.Paths, m.Uncertain = r.facts.get(r.queue.WithoutBreakpoints())
	return m
}

// facts remembers what had to be asked: only somebody who looks makes requests,
// at most one round in factsAge. Safe for concurrent use.
type facts struct {
	c     *client.Client
	shown func(ws string) bool // by the mount
	top   dirRef               // that --root chose, which may be moved; zero: none
	mu    sync.Mutex

	asking     sync.Mutex // one round at a time
	asked      time.Time
	server     serverState
	workspaces []client.Workspace
	root       string // path of top
	paths      map[dirRef]string
	trouble    string
}

type dirRef struct {
	ws  string
	dir client.DirID
}

const factsAge = 5 * time.Second

func newFacts(c *client.Client, p *placement) *facts {
	return &facts{c: c, shown: p.shows, root: strings.Trim(p.root, "/"), paths: map[dirRef]string{}}
}

func (f *facts) get(flat []string) (serverState, []workspaceState, string, map[string]string, string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ws := []workspaceState{}
	for _, w := range f.workspaces {
		s := workspaceState{Name: w.Name, Directories: w.Directories}
		for _, name := range flat {
			s.NoBreakpoints = s.NoBreakpoints || name == w.Name
		}
		ws = append(ws, s)
	}
	paths := make(map[string]string, len(f.paths))
	for k, p := range f.paths {
		paths[k.ws+"/"+string(k.dir)] = p
	}
	return f.server, ws, f.root, paths, f.trouble
}

// ask finds out what is not known or old: the server's state, its workspaces, and
// the paths of the directories of pending files. It ends with ctx, and then what
// was known stays.
func (f *facts) ask(ctx context.Context, pending []writeback.Info) {
	f.asking.Lock()
	defer f.asking.Unlock()
	f.mu.Lock()
	fresh := time.Since(f.asked) < factsAge
	want := map[dirRef]bool{}
	for _, p := range pending {
		k := dirRef{p.Target.Workspace, p.Target.Dir}
		if _, known := f.paths[k]; !p.Target.Partial && (!known || !fresh) {
			want[k] = true
		}
	}
	f.mu.Unlock()
	if fresh && len(want) == 0 {
		return
	}
	if !fresh {
		f.look(ctx)
	}
	for k := range want {
		p, err := dirPath(ctx, f.c.Workspace(k.ws), k.dir)
		f.mu.Lock()
		if err == nil {
			f.paths[k] = p
		}
		f.mu.Unlock()
	}
}

func (f *facts) look(ctx context.Context) {
	s := serverState{Asked: time.Now()}
	now, err := f.c.Ping(ctx)
	s.Took = time.Since(s.Asked)
	if !now.IsZero() {
		if skew := now.Sub(s.Asked.Add(s.Took / 2)); skew.Abs() > time.Second { // Date has whole seconds
			s.Skew = skew.Round(time.Second)
		}
	}
	var all []client.Workspace
	trouble := ""
	if err != nil {
		s.Error = err.Error()
	} else {
		for w, werr := range f.c.Workspaces(ctx) {
			if werr != nil {
				trouble = "workspaces: " + werr.Error()
				break
			}
			if f.shown(w.Name) {
				all = append(all, w)
			}
		}
	}
	root := ""
	if f.top != (dirRef{}) && err == nil {
		if p, perr := dirPath(ctx, f.c.Workspace(f.top.ws), f.top.dir); perr == nil {
			root = strings.TrimSuffix(f.top.ws+"/"+p, "/")
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked, f.server, f.trouble = time.Now(), s, trouble
	if root != "" {
		f.root = root
	}
	if err == nil && trouble == "" {
		f.workspaces = all
		if len(f.paths) > 10_000 {
			f.paths = map[dirRef]string{} // a mount that runs for months
		}
	}
}

// dirPath is the path of a directory below its workspace, "" for the root.
func dirPath(ctx context.Context, s *client.Store, id client.DirID) (string, error) {
	path := ""
	for range 256 {
		if id == client.RootDir || id == "" {
			return path, nil
		}
		d, err := s.Directory(ctx, id)
		if err != nil {
			return "", err
		}
		if d.ID == client.RootDir || d.Name == "/" {
			return path, nil
		}
		if path != "" {
			path = "/" + path
		}
		path, id = d.Name+path, d.Parent
	}
	return path, nil
}

// pathOf names a pending file as it is seen below the mount point, as far as its
// directory is known. What an earlier mount with the same state directory left
// outside of --root begins with "/" and the workspace.
func (m *more) pathOf(t writeback.Target) string {
	dir := ""
	switch {
	case t.Partial:
		dir = "/.partial"
	case t.Dir != client.RootDir && t.Dir != "":
		dir = "/…"
		if p, ok := m.Paths[t.Workspace+"/"+string(t.Dir)]; ok {
			dir = "/" + p
		}
	}
	return m.seen(t.Workspace + dir + "/" + t.Name)
}

// seen makes of "workspace/dir/name" what it is below the mount point.
func (m *more) seen(path string) string {
	if m.Root == "" {
		return path
	}
	if below, ok := strings.CutPrefix(path, m.Root+"/"); ok {
		return below
	}
	ws, _, _ := strings.Cut(m.Root, "/")
	below, ok := strings.CutPrefix(path, ws+"/")
	if ok && (strings.HasPrefix(below, ".partial/") || strings.HasPrefix(below, "…/")) {
		return below
	}
	return "/" + path
}
