package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/fs"
	"github.com/sequoiacm/scmfs/internal/disk"
	"github.com/sequoiacm/scmfs/internal/readcache"
	"github.com/sequoiacm/scmfs/writeback"
)

// running is a mount and everything behind it.
type running struct {
	m        *mountFlags
	dir      string
	log      *logrus.Logger
	client   *client.Client
	server   *embedded
	cache    *readcache.Cache
	queue    *writeback.Queue
	mounted  *fs.Mounted
	started  time.Time
	stopRun  func()
	runDone  chan struct{}
	control  *http.Server
	metrics  *http.Server
	tree     *fs.FS
	stopping chan struct{} // holds one entry while a stop is under way

	// For whoever looks after the mount.
	meter      *meter
	sampler    *sampler
	recent     *recentErrors
	facts      *facts
	token      string // of actions on the status page
	httpAddr   string // where it is, "" without --http
	watchers   atomic.Int32
	gone       <-chan struct{}     // closed when the mount is gone
	audit      func(fs.AuditEvent) // nil without --audit-log
	closeAudit func() error
}

// status is what .scmfs/status shows.
type status struct {
	PID        int                  `json:"pid"`
	Version    string               `json:"version"`
	Mountpoint string               `json:"mountpoint"`
	Seed       string               `json:"seed"`
	StateDir   string               `json:"state_dir"`
	Control    string               `json:"control"`
	WriteMode  string               `json:"write_mode"`
	Started    time.Time            `json:"started"`
	Pending    []writeback.Info     `json:"pending"`
	Conflicts  []writeback.Conflict `json:"conflicts"`
	more
}

// baseReader reads base versions of edited files through the cache.
type baseReader struct {
	c     *client.Client
	cache *readcache.Cache
}

func (b baseReader) ReadAt(ctx context.Context, ws string, c client.Content, p []byte, off int64) (int, error) {
	return b.cache.ReadAt(ctx, b.c.Workspace(ws), c, p, off)
}

// start brings the parts up from the bottom: server, client, cache, queue, tree.
func (m *mountFlags) start(ctx context.Context, log *logrus.Logger) (_ *running, err error) {
	dir := m.place.mountpoint
	r := &running{m: m, dir: dir, log: log, started: time.Now(), stopping: make(chan struct{}, 1), meter: newMeter(), token: rand.Text()}
	r.recent = &recentErrors{count: func(level string) { r.meter.logged.WithLabelValues(level).Inc() }}
	log.AddHook(r.recent)
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	reg := r.meter.reg
	if r.client, r.server, err = m.target.connect(strings.Join(m.place.seeds, ","), client.Options{Observe: r.meter.request, StallTimeout: m.stall}, log); err != nil {
		return nil, err
	}
	if err = r.client.Login(ctx); err != nil {
		return nil, m.loginFailure(r.client.Seed(), err)
	}
	if err = m.look(ctx, r.client, log); err != nil {
		return nil, err
	}
	if r.cache, err = readcache.New(readcache.Options{Memory: int64(m.cacheSize), Dir: m.cacheDir, DirMax: int64(m.cacheMax), DirMinFree: int64(m.cacheFree), Streams: m.streams, Logger: log, Registerer: reg}); err != nil {
		return nil, err
	}
	treePolicies, queuePolicies, err := m.perWorkspace()
	if err != nil {
		return nil, err
	}
	o := m.writeback()
	o.Policies = queuePolicies
	o.Base, o.Keep, o.Logger, o.Registerer = baseReader{r.client, r.cache}, r.cache.Keep, log, reg
	if r.queue, err = writeback.Open(disk.OS(), m.stateDir, func(ws string) writeback.Store { return r.client.Workspace(ws) }, o); err != nil {
		return nil, inUse(err)
	}
	reg.MustRegister(newQueueGauges(r))
	r.sampler, r.facts = newSampler(r.meter, r.queue.Pending, func() int64 { return r.cache.Stats().Fetched }), newFacts(r.client, &m.place)
	if r.audit, r.closeAudit, err = m.audit(log); err != nil {
		return nil, err
	}
	runCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	r.stopRun, r.runDone = stop, make(chan struct{})
	go func() {
		defer close(r.runDone)
		var wg sync.WaitGroup
		wg.Go(func() { r.sampler.run(runCtx) })
		_ = r.queue.Run(runCtx)
		wg.Wait()
	}()
	umask, err := m.umaskBits()
	if err != nil {
		return nil, err
	}
	r.tree = fs.New(m.stores(r.client), r.queue, r.cache, fs.Options{Expiry: m.expiry, OpTimeout: m.timeout, CloseTimeout: m.closing, UID: m.uid, GID: m.gid,
		FileMode: 0o666, DirMode: 0o777, Umask: umask, ReadOnly: m.readOnly, Trash: strings.Trim(m.trash, "/"), TrashDays: m.trashDays, Policies: treePolicies, Logger: log,
		Reports: r.reports(), Observe: r.meter.operation, Moved: r.meter.bytes, Audit: r.audit})
	if err = m.narrow(ctx, r.tree); err != nil {
		return nil, err
	}
	r.facts.top.ws, r.facts.top.dir = r.tree.Top()
	if err = r.serveControl(); err != nil {
		return nil, err
	}
	serveHTTP := func() {}
	if m.http != "" {
		if serveHTTP, err = r.serveHTTP(); err != nil {
			return nil, err
		}
	}
	if r.mounted, err = r.tree.Mount(dir, fs.MountOptions{FsName: m.place.source, AllowOther: m.allowOther, Options: m.kernel}); err != nil {
		return nil, failure(exitMount, err)
	}
	r.gone = r.mounted.Done()
	serveHTTP()
	if _, err = os.Stat(dir); err != nil {
		return nil, failure(exitMount, fmt.Errorf("the mount does not answer: %w", err))
	}
	log.WithFields(logrus.Fields{"mountpoint": dir, "seed": r.client.Seed(), "state": m.stateDir}).Info("mounted")
	return r, nil
}

func (r *running) status() status {
	s := status{PID: os.Getpid(), Version: versionText(), Mountpoint: r.dir, Seed: r.client.Seed(), StateDir: r.m.stateDir,
		Control: controlPath(r.m.stateDir), WriteMode: r.m.writeMode, Started: r.started, Pending: r.queue.Pending(), Conflicts: r.queue.Conflicts(), more: r.more()}
	s.Names = make(map[string]string, len(s.Pending))
	for _, p := range s.Pending {
		s.Names[p.ID] = s.pathOf(p.Target)
	}
	return s
}

// close takes the parts down from the top.
func (r *running) close() error {
	var errs []error
	if r.metrics != nil {
		errs = append(errs, r.metrics.Close())
	}
	if r.stopRun != nil {
		r.stopRun()
		<-r.runDone
	}
	if r.queue != nil {
		errs = append(errs, r.queue.Close())
	}
	if r.cache != nil {
		errs = append(errs, r.cache.Close())
	}
	if r.control != nil {
		errs = append(errs, r.control.Close())
		_ = os.Remove(controlPath(r.m.stateDir))
	}
	if r.client != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = r.client.Logout(ctx) // the session ends by itself otherwise
		r.client.Close()
	}
	if r.server != nil {
		errs = append(errs, r.server.stop())
	}
	if r.closeAudit != nil {
		errs = append(errs, r.closeAudit())
	}
	return errors.Join(errs...)
}

func controlPath(stateDir string) string { return filepath.Join(stateDir, "control.sock") }
