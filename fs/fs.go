package fs

import (
	"context"
	"sync"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/readcache"
	"github.com/sequoiacm/scmfs/writeback"
	"github.com/sirupsen/logrus"
)

// FS is the tree of a mount: workspaces as directories. It can be mounted once.
type FS struct {
	stores  Stores
	queue   *writeback.Queue
	cache   *readcache.Cache
	opt     Options
	log     logrus.FieldLogger
	proc    procFS
	gens    generations
	budget  *rowBudget
	root    *rootNode
	top     fusefs.InodeEmbedder // the mount's root: root, or the directory of Narrow; not changed after Mount
	noatime bool                 // reading moves no time of access; not changed after Mount

	inodeMu sync.Mutex // taken while an inode is made, below every other lock

	mu         sync.Mutex
	workspaces map[string]*workspace // guarded by mu

	run    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
	notify *notifier
}

// New makes the tree of the workspaces in stores. Content that is written goes
// through queue, content that is read through cache; both stay the caller's, and
// queue must run for as long as the tree is mounted.
func New(stores Stores, queue *writeback.Queue, cache *readcache.Cache, o Options) *FS {
	o = o.withDefaults()
	fs := &FS{
		stores: stores, queue: queue, cache: cache, opt: o, log: o.Logger,
		proc:       newProcFS(o.Proc),
		budget:     newRowBudget(o.ListingRows),
		workspaces: make(map[string]*workspace),
	}
	fs.run, fs.cancel = context.WithCancel(context.Background())
	fs.notify = newNotifier()
	fs.root = newRootNode(fs)
	fs.top = fs.root
	return fs
}

// Close ends what the tree does in the background and waits for it. Call it when
// the tree is no longer mounted.
func (fs *FS) Close() {
	fs.cancel()
	fs.wg.Wait()
}

// spawn runs f in a goroutine that Close ends and waits for.
func (fs *FS) spawn(f func(ctx context.Context)) {
	fs.wg.Go(func() { f(fs.run) })
}

// workspace returns the workspace of a record; the first record counts until the
// mount ends.
func (fs *FS) workspace(info client.Workspace) *workspace {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	ws, ok := fs.workspaces[info.Name]
	if !ok {
		ws = &workspace{
			fs: fs, name: info.Name, info: info, store: fs.stores.Store(info.Name), directories: info.Directories,
			rules: fs.rules(info.Name),
		}
		ws.partial0 = newPartialDir(ws)
		ws.trash.ws = ws
		fs.workspaces[info.Name] = ws
	}
	return ws
}

// rules returns what counts for a workspace.
func (fs *FS) rules(name string) Policy {
	p, ok := fs.opt.Policies[name]
	if !ok {
		p = Policy{Trash: fs.opt.Trash, TrashDays: fs.opt.TrashDays}
	}
	p.ReadOnly = p.ReadOnly || fs.opt.ReadOnly
	return p
}

// Nodes counts the file and directory nodes in memory.
func (fs *FS) Nodes() int {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	n := 0
	for _, ws := range fs.workspaces {
		n += ws.files.len() + ws.dirs.len()
	}
	return n
}

var _ fusefs.InodeEmbedder = (*rootNode)(nil)
