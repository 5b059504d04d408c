package integration

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
)

// workers is how many processes use the mount.
const workers = 3

// modelExpiry is the mount's --expiry: what others change is seen after it.
const modelExpiry = 50 * time.Millisecond

// game plays operations on a real mount and on the model of it at once.
type game struct {
	t       *testing.T
	s       *server
	m       *mount
	proxy   *faultProxy
	store   *client.Store
	hands   []*worker // the last one only looks
	server  sync.Mutex
	dead    atomic.Bool // the mount was killed by a fault
	figures figures
	// serverKills is apart from them: a fault kills on a goroutine of the proxy.
	serverKills atomic.Int64
	killing     sync.Mutex // held over killing the mount
	async       bool       // --write-mode of the mount

	root   string // directory of the run
	models []*model
	seed   uint64
	trace  strings.Builder // what was done in the run
}

func newGame(t *testing.T, flags ...string) *game {
	s := newServer(t)
	g := &game{t: t, s: s, async: slices.Contains(flags, "async"), store: s.api().Workspace("default")}
	g.proxy = newFaultProxy(t, s.addr)
	s.seed = g.proxy.addr + "/rootsite"
	g.m = newMount(t, s, append([]string{"--increment-size", "5MiB", "--expiry", modelExpiry.String()}, flags...)...)
	t.Cleanup(g.dismiss)
	require.NoError(t, g.hire())
	return g
}

func (g *game) hire() error {
	for len(g.hands) <= workers {
		w, err := newWorker()
		if err != nil {
			return err
		}
		g.hands = append(g.hands, w)
	}
	return nil
}

// dismiss kills the workers.
func (g *game) dismiss() {
	for _, w := range g.hands {
		w.kill()
	}
	g.hands = nil
}

// restartServer is kill -9 and a new start; it may be called by a fault.
func (g *game) restartServer() {
	g.server.Lock()
	defer g.server.Unlock()
	g.serverKills.Add(1)
	g.s.kill()
	cmd := exec.Command(binary, append([]string{"serve", g.s.dir, "--listen", g.s.addr}, g.s.args...)...)
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	g.s.cmd = cmd
}

// serving waits until the server answers, which a fault may be starting again: what
// is still on its way in async mode can meet one at any time.
func (g *game) serving() error {
	g.server.Lock()
	defer g.server.Unlock()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", g.s.addr)
		if err == nil {
			return c.Close()
		}
		if time.Now().After(end) {
			return err
		}
	}
}

func (g *game) killMount() {
	g.killing.Lock()
	defer g.killing.Unlock()
	if !g.dead.Swap(true) {
		g.m.kill()
	}
}

// killed waits for a fault that is still killing the mount: it would kill the next.
func (g *game) killed() {
	g.killing.Lock()
	defer g.killing.Unlock()
}

// path is where the mount has a path of the model.
func (g *game) path(p string) string {
	if rest, ok := strings.CutPrefix(p, partialPrefix); ok {
		return g.m.ws(".partial", g.root+"-"+rest)
	}
	return g.m.ws(g.root, p)
}

// play runs ops in a new directory. The error tells the first thing that is wrong.
func (g *game) play(ops []op) (err error) {
	g.figures.runs++
	g.root = fmt.Sprintf("r%d", g.figures.runs)
	g.models, g.seed = []*model{newModel()}, 0
	g.models[0].async = g.async
	g.trace.Reset()
	g.proxy.arm(nil)
	at := "at the start"
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s (%s): %w", at, g.root, err)
			g.reset()
		}
	}()
	r, err := g.hands[0].do(call{Op: "mkdir", Path: g.m.ws(g.root), Size: 0o755})
	if err != nil || r.Errno != 0 {
		return fmt.Errorf("mkdir: %v %w", syscall.Errno(r.Errno), err)
	}
	for i, o := range ops {
		at = fmt.Sprintf("operation %d: %s", i, o)
		if err := g.one(o); err != nil {
			return err
		}
		if i%16 == 15 {
			if err := g.audit(0); err != nil {
				return err
			}
		}
	}
	at = "at the end"
	return g.end()
}

// end closes what is open and looks once more.
func (g *game) end() error {
	g.proxy.arm(nil)
	if err := g.closeAll(); err != nil {
		return err
	}
	return g.audit(0)
}

func (g *game) closeAll() error {
	for len(g.models[0].handles) > 0 {
		h := g.models[0].handles[0]
		if err := g.step(step{call: call{Op: "close", Slot: h.slot}, who: h.who}); err != nil {
			return err
		}
	}
	return nil
}

// reset makes a good start possible after a failure.
func (g *game) reset() {
	g.proxy.arm(nil)
	g.killMount()
	g.dismiss()
	g.m.state = g.t.TempDir()
	g.m.start()
	g.dead.Store(false)
	require.NoError(g.t, g.hire())
}

// one does an operation.
func (g *game) one(o op) error {
	fmt.Fprintf(&g.trace, "\n%s:", o)
	g.seed++
	m := g.models[0]
	switch o.kind {
	case "fault":
		g.arm(o)
		return nil
	case "kill-server":
		g.figures.steps++
		g.restartServer()
		g.proxy.sessionsEnded()
		return g.compare(0)
	case "kill-mount":
		g.figures.steps++
		g.killMount()
		return g.recover()
	case "remount":
		return g.remount()
	case "kill-worker":
		return g.killWorker(o.who % workers)
	}
	if strings.HasPrefix(o.kind, "remote-") {
		return g.remote(o)
	}
	for _, s := range plan(m, o, g.seed) {
		before := g.models
		if err := g.step(s); err != nil {
			return fmt.Errorf("%s: %w", stepText(s), err)
		}
		if g.models == nil || len(g.models[0].handles) == 0 && len(before[0].handles) > 0 && s.Op != "close" {
			return nil // the mount is another one
		}
		if s.Op == "open" && len(g.models[0].handles) == len(before[0].handles) {
			return nil // it failed, as it had to
		}
	}
	return nil
}

func stepText(s step) string {
	return fmt.Sprintf("program %d: %s %s %s %s flags %#x off %d size %d slot %d", s.who, s.Op, s.Path, s.To, s.Key, s.Flags, s.Off, s.Size, s.Slot)
}

func (g *game) arm(o op) {
	f := &fault{kind: faultKinds[o.n%len(faultKinds)], after: o.b % 6}
	switch suffix := []string{"", "-after"}[o.m%2]; {
	case o.m >= 97:
		f.kind, f.then = "kill-server"+suffix, g.restartServer
	case o.m >= 92:
		f.kind, f.then = "kill-mount"+suffix, g.killMount
	}
	fmt.Fprintf(&g.trace, " %s after %d", f.kind, f.after) // the proxy's from now on
	g.proxy.arm(f)
}

// step does one step of a worker, in the mount and in the models.
func (g *game) step(s step) error {
	g.figures.steps++
	fmt.Fprintf(&g.trace, "\n\t%s", stepText(s))
	c := s.call
	if c.Path != "" {
		c.Path = g.path(c.Path)
	}
	if c.To != "" {
		c.To = g.path(c.To)
	}
	r, err := g.hands[s.who].do(c)
	if err != nil {
		return err
	}
	if r.Errno != 0 {
		fmt.Fprintf(&g.trace, " = %v", syscall.Errno(r.Errno))
		g.figures.errnos++
	}
	var next []*model
	var wants []syscall.Errno
	for _, m := range g.models {
		a := m.clone()
		want := a.apply(s)
		wants = append(wants, want)
		if want == anyErrno || int(want) == r.Errno {
			next = append(next, a)
		} else if g.dead.Load() {
			next = append(next, m, a)
			next = append(next, m.midway(s)...)
		}
	}
	if len(next) == 0 {
		return fmt.Errorf("%s gives %v, want %v", r.Note, syscall.Errno(r.Errno), wants)
	}
	if s.Op == "fread" && !g.dead.Load() {
		h := next[0].handles[s.handle]
		if data := next[0].inodes[h.ino].data; r.Sum != sumOf(data) {
			return fmt.Errorf("read %d bytes %s, want %d bytes %s", r.Size, r.Sum, len(data), sumOf(data))
		}
	}
	g.models = next
	if g.dead.Load() {
		return g.recover()
	}
	return g.compare(0)
}

// midway is what a step that takes several requests may have come to when the
// mount was killed in it.
func (m *model) midway(s step) []*model {
	name, partial := strings.CutPrefix(s.Path, partialPrefix)
	switch {
	case s.Op == "put" && partial:
		c := m.clone()
		delete(c.partial, name) // what was there goes before the new one is begun (3.4)
		return []*model{c}
	case s.Op == "rename" && !partial:
		return m.midwayRename(s)
	}
	return nil
}

// recover starts the killed mount again.
func (g *game) recover() error {
	g.killed()
	g.figures.mountKills++
	g.proxy.arm(nil)
	g.dismiss()
	if err := g.serving(); err != nil {
		return err
	}
	if out, err := g.m.tryStart(); err != nil {
		return fmt.Errorf("mount: %w %s", err, out)
	}
	g.dead.Store(false)
	if err := g.hire(); err != nil {
		return err
	}
	var next []*model
	for _, m := range g.models {
		next = append(next, m.crashed()...)
	}
	g.models = next
	return g.audit(20 * time.Second)
}

func (g *game) remount() error {
	if err := g.closeAll(); err != nil {
		return err
	}
	g.figures.steps++
	g.figures.remounts++
	g.proxy.arm(nil)
	g.dismiss()
	if err := g.serving(); err != nil {
		return err
	}
	if out, err := try(patience, binary+" umount "+g.m.dir+" --timeout 30s"); err != nil {
		return fmt.Errorf("umount: %w %s", err, out)
	}
	if out, err := g.m.tryStart(); err != nil {
		return fmt.Errorf("mount: %w %s", err, out)
	}
	for _, m := range g.models {
		for _, n := range m.inodes {
			if n.kind == "dir" {
				n.mode = anyMode
			}
		}
	}
	if err := g.hire(); err != nil {
		return err
	}
	return g.audit(0)
}

// compare looks at the whole tree through the mount, and keeps the models that
// explain it. What takes a while is waited for.
func (g *game) compare(wait time.Duration) error {
	end := time.Now().Add(wait)
	for {
		r, err := g.hands[workers].do(call{Op: "tree", Path: g.m.ws(g.root)})
		if err != nil {
			return err
		}
		if g.dead.Load() {
			return g.recover()
		}
		var why []string
		if r.Errno != 0 {
			why = append(why, r.Note)
		}
		var next []*model
		for _, m := range g.models {
			c := m.clone()
			s := c.differs(r.Tree)
			if s == "" && r.Errno == 0 {
				next = append(next, c)
			}
			why = append(why, s)
		}
		if len(next) > 0 {
			g.models = next
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("the tree: %s", strings.Join(why, "\n or "))
		}
		time.Sleep(10 * time.Millisecond) // until another process did something
	}
}

// audit also looks at the store.
//
// In async mode what was closed may still be on its way.
func (g *game) audit(wait time.Duration) error {
	if g.async {
		wait = max(wait, patience)
	}
	end := time.Now().Add(wait)
	for {
		if err := g.compare(time.Until(end)); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		tree, err := storeTree(ctx, g.store, "/"+g.root)
		cancel()
		var next []*model
		why := []string{fmt.Sprint(err)}
		for _, m := range g.models {
			f := g.figures
			if s := m.audit(tree, &f); s != "" {
				why = append(why, s)
			} else {
				next = append(next, m)
				g.figures.versions = f.versions
			}
		}
		g.figures.audits++
		if err == nil && len(next) > 0 {
			g.models = next
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("the store: %s", strings.Join(why, "\n or "))
		}
		time.Sleep(10 * time.Millisecond)
	}
}
