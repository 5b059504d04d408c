package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sequoiacm/scmfs/client"
)

const (
	opTimeout    = 3 * time.Second
	closeTimeout = 3 * time.Second
	expiry       = 100 * time.Millisecond
	// slack is what a loaded machine may need beyond a deadline.
	slack = 20 * time.Second
	// settling is how long after a fault all may take to come right.
	settling = 60 * time.Second
)

// slot is a workspace of a mount, in which one cell happens at a time.
type slot struct {
	ctx      context.Context
	m        *mount
	p        *matrixProxy
	ws       string
	store    *client.Store
	control  *http.Client
	contents map[string][]byte
	// crossing is held during a rename from one directory into another: Linux lets
	// a file system do only one of them at a time, and the next one waits for it.
	crossing *sync.Mutex
}

// cell is one deed under one fault at one endpoint.
type cell struct {
	*slot
	deed     *deed
	endpoint string
	fault    *matrixFault
	once     bool

	name    string // of its directory, and of its breakpoint file
	dir     client.DirID
	wrote   bool // the program's write was acknowledged
	longest time.Duration
	slow    string // a step that did not end in time
	result  outcome
}

// outcome is what became of a cell.
type outcome struct {
	saw       string // what the program saw: ok or an errno
	later     string // what it took to come right
	took      time.Duration
	reached   bool
	twice     bool // see [cell.stored]
	violation string
}

func (c *cell) String() string {
	mode := "as long as it lasts"
	if c.once {
		mode = "once"
	}
	return fmt.Sprintf("%s | %s | %s | %s | %s | %.1f s | %s | reached %t | %s", c.deed.name, c.endpoint, c.fault.name, mode,
		c.result.saw, c.result.took.Seconds(), c.result.later, c.result.reached, c.result.violation)
}

func (c *cell) path(name ...string) string {
	return filepath.Join(append([]string{c.m.dir, c.ws, c.name}, name...)...)
}

func (c *cell) partial() string { return filepath.Join(c.m.dir, c.ws, ".partial", c.name) }

// step runs one system call and bounds it: the deadline is the mount's own, the
// slack is the machine's.
func (c *cell) step(name string, do func() error) error {
	start := time.Now()
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		c.longest = max(c.longest, time.Since(start))
		return err
	case <-time.After(max(opTimeout, closeTimeout) + slack):
		c.slow = name
		return fmt.Errorf("%s does not return", name)
	}
}

// run lets the cell happen and judges it.
func (c *cell) run() {
	if err := c.prepare(); err != nil {
		c.result.violation = "cannot prepare: " + err.Error()
		return
	}
	c.p.set(c.ws, c.endpoint, c.fault, c.once)
	err := c.deed.do(c)
	c.result.took = c.longest
	truth := ""
	if err == nil {
		truth = c.stored()
	}
	c.result.reached = c.p.lift(c.ws) > 0
	c.result.saw = seen(err)
	switch {
	case c.slow != "":
		c.result.violation = "hang: " + err.Error()
	case errors.Is(err, errLie):
		c.result.violation = err.Error()
	case err == nil && truth != c.deed.after:
		c.result.violation = fmt.Sprintf("false success: the store holds [%s]", truth)
	default:
		c.result.violation = c.recover(err)
	}
}

func (c *cell) prepare() error {
	d, err := c.store.CreateDirectory(c.ctx, client.RootDir, c.name)
	if err != nil {
		return err
	}
	c.dir = d.ID
	if err := c.make(c.deed.prepare); err != nil {
		return err
	}
	<-time.After(2 * expiry) // what another client made shows then, and nothing is remembered
	return nil
}

// recover waits until nothing is under way any more, does again what failed
// without a trace, and compares the store and the mount with what must be there.
func (c *cell) recover(err error) string {
	retried, left := c.settle()
	if left != "" {
		return left
	}
	now := c.stored()
	c.result.later = ""
	if retried {
		c.result.later = "retry"
	}
	if err != nil && now != c.deed.after {
		if c.wrote {
			return fmt.Sprintf("lost: what was written is neither kept nor published, the store holds [%s]", now)
		}
		if now != c.deed.prepare && (c.deed.middle == "" || now != c.deed.middle) {
			return fmt.Sprintf("after %v the store holds [%s]", err, now)
		}
		c.result.later = "again"
		if err := c.again(); err != nil {
			return fmt.Sprintf("with the fault gone it fails again: %v", err)
		}
		if _, left := c.settle(); left != "" {
			return left
		}
		now = c.stored()
	}
	if now != c.deed.after {
		return fmt.Sprintf("the store holds [%s]", now)
	}
	return c.shows()
}

// again does the deed once more, as a person does. On a loaded machine even a
// healthy server may not answer within the short deadline.
func (c *cell) again() error {
	late := time.Now().Add(settling)
	for {
		err := c.deed.do(c)
		for _, ok := range c.deed.repeated {
			if errors.Is(err, ok) && c.stored() == c.deed.after {
				err = nil
			}
		}
		if !errors.Is(err, syscall.ETIMEDOUT) || time.Now().After(late) {
			return err
		}
		if _, left := c.settle(); left != "" {
			return errors.New(left)
		}
		if c.stored() == c.deed.after {
			return nil // the mount went on with it
		}
	}
}

// settle waits until the workspace has nothing unpublished, retrying what is
// stuck as a person would.
func (c *cell) settle() (retried bool, left string) {
	late := time.Now().Add(settling)
	for {
		pending, err := c.pending()
		if err == nil && len(pending) == 0 && c.p.idle(c.ws) {
			return retried, ""
		}
		if time.Now().After(late) {
			return retried, fmt.Sprintf("after %v there is still unpublished: %v %v", settling, pending, err)
		}
		for _, p := range pending {
			if p.State == "stuck" {
				retried = true
				if res, err := c.control.Post("http://scmfs/retry/"+p.ID, "", nil); err == nil {
					_ = res.Body.Close()
				}
			}
		}
		<-time.After(50 * time.Millisecond)
	}
}

type unpublished struct {
	ID, State, Error string
	Target           struct{ Workspace, Name string }
}

func (c *cell) pending() ([]unpublished, error) {
	res, err := c.control.Get("http://scmfs/status")
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var s struct{ Pending []unpublished }
	if err := json.NewDecoder(res.Body).Decode(&s); err != nil {
		return nil, err
	}
	var mine []unpublished
	for _, p := range s.Pending {
		if p.Target.Workspace == c.ws {
			mine = append(mine, p)
		}
	}
	return mine, nil
}

// controlOf speaks to the mount as the scmfs commands do, without a process: a
// fork beside a close would share the file that is closed.
func controlOf(m *mount) (*http.Client, error) {
	b, err := os.ReadFile(filepath.Join(m.dir, ".scmfs/status"))
	if err != nil {
		return nil, err
	}
	var s struct{ Control string }
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, err
	}
	return &http.Client{Timeout: settling, Transport: &http.Transport{MaxIdleConnsPerHost: 64,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", s.Control)
		}}}, nil
}

// held is one name of what the store holds.
type held struct {
	name     string
	versions []string // contents, oldest first; nil for a directory
}

func parseHolds(s string) (out []held) {
	for _, item := range strings.Split(s, ", ") {
		name, versions, file := strings.Cut(item, ": ")
		switch {
		case file:
			out = append(out, held{name, strings.Fields(versions)})
		case name != "":
			out = append(out, held{name: strings.TrimSuffix(name, "/")})
		}
	}
	return out
}

// stored is holds, but a new version that is there twice because its first request
// came late counts once: the one exception that docs/RELIABILITY.md makes.
func (c *cell) stored() string {
	now := c.holds()
	last := c.deed.after[strings.LastIndex(c.deed.after, " ")+1:]
	if c.fault != nil && c.fault.name == "late" && c.endpoint == "PUT /files/{}" && now == c.deed.after+" "+last {
		c.result.twice = true
		return c.deed.after
	}
	return now
}

// holds says what the store has of the cell: "f: old new, s/, .partial: new". It
// looks twice: a conversion between two of its requests would be in neither place.
func (c *cell) holds() string {
	now := c.glance()
	for range 20 {
		before := now
		if now = c.glance(); now == before {
			break
		}
	}
	return now
}

func (c *cell) glance() string {
	var out []string
	for f, err := range c.store.Files(c.ctx, c.dir, "") {
		if err != nil {
			return err.Error()
		}
		all, err := c.store.Versions(c.ctx, f.ID)
		if err != nil {
			return err.Error()
		}
		words := make([]string, len(all))
		for i, v := range all {
			words[len(all)-1-i] = c.word(v)
		}
		out = append(out, f.Name+": "+strings.Join(words, " "))
	}
	for d, err := range c.store.Directories(c.ctx, c.dir, "") {
		if err != nil {
			return err.Error()
		}
		out = append(out, d.Name+"/")
	}
	sort.Strings(out)
	bp, err := c.store.BreakpointFile(c.ctx, c.name)
	if client.KindOf(err) == client.NotExist {
		return strings.Join(out, ", ")
	}
	word := fmt.Sprintf("%d bytes, completed %t, %v", bp.Size, bp.Completed, err)
	for name, b := range c.contents {
		if bp.Completed && bp.Checksum == client.ChecksumCRC32.Extend(0, 0, b) {
			word = name
		}
	}
	return strings.Join(append(out, ".partial: "+word), ", ")
}

// word names a version's content.
func (c *cell) word(v client.File) string {
	r, err := c.store.Open(c.ctx, v.Content(), 0)
	if err != nil {
		return err.Error()
	}
	defer r.Close()
	b, err := wholeBody(r, v.Size)
	if n, _ := r.Read(make([]byte, 1)); n > 0 {
		return "more than its size"
	}
	for name, want := range c.contents {
		if bytes.Equal(b, want) {
			return name
		}
	}
	return fmt.Sprintf("%d bytes %v", len(b), err)
}

// shows compares the mount with what the deed must have left.
func (c *cell) shows() string {
	late := time.Now().Add(settling)
	for {
		wrong := c.look()
		if wrong == "" || c.slow != "" || time.Now().After(late) {
			return wrong
		}
		<-time.After(50 * time.Millisecond)
	}
}

func (c *cell) look() string {
	var all []os.DirEntry
	err := c.step("readdir", func() (err error) { all, err = os.ReadDir(c.path()); return })
	if err != nil {
		return "the mount shows " + err.Error()
	}
	var names, want []string
	for _, e := range all {
		names = append(names, e.Name())
	}
	for _, h := range parseHolds(c.deed.after) {
		if h.name == ".partial" {
			continue
		}
		want = append(want, h.name)
		if h.versions != nil {
			if err := c.readFile(h.name, h.versions[len(h.versions)-1]); err != nil {
				return fmt.Sprintf("the mount's %s: %v", h.name, err)
			}
		}
	}
	if strings.Join(names, " ") != strings.Join(want, " ") {
		return fmt.Sprintf("the mount shows %v, the store holds %v", names, want)
	}
	return ""
}

// seen is an error as a program names it.
func seen(err error) string {
	if err == nil {
		return "ok"
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		for name, e := range map[string]syscall.Errno{"EIO": syscall.EIO, "ETIMEDOUT": syscall.ETIMEDOUT, "EACCES": syscall.EACCES,
			"EBUSY": syscall.EBUSY, "EINTR": syscall.EINTR, "ENOENT": syscall.ENOENT, "EEXIST": syscall.EEXIST, "EINVAL": syscall.EINVAL, "EPERM": syscall.EPERM, "ESTALE": syscall.ESTALE} {
			if errno == e {
				return name
			}
		}
	}
	return err.Error()
}
