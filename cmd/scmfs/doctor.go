package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/sequoiacm/scmfs/client"
)

// finding is what a check found.
type finding struct {
	Level grade  `json:"level"`
	Check string `json:"check"`
	Text  string `json:"text"`
	Fix   string `json:"fix,omitempty"`
}

type grade string

// The grades.
const (
	gradeOK   grade = "OK"
	gradeWarn grade = "WARN"
	gradeFail grade = "FAIL"
)

func good(check, format string, args ...any) finding {
	return finding{Level: gradeOK, Check: check, Text: fmt.Sprintf(format, args...)}
}

func warn(check, fix, format string, args ...any) finding {
	return finding{Level: gradeWarn, Check: check, Text: fmt.Sprintf(format, args...), Fix: fix}
}

func broken(check, fix, format string, args ...any) finding {
	return finding{Level: gradeFail, Check: check, Text: fmt.Sprintf(format, args...), Fix: fix}
}

func doctorCommand() *cobra.Command {
	d := &doctor{}
	asJSON := false
	cmd := &cobra.Command{
		Use: "doctor [SEED[,SEED...]|MOUNTPOINT]", Short: "Check everything a mount needs, and say how to fix it",
		Long: `Checks this machine (FUSE, kernel, disk, clock), and with a seed the way to the server (DNS,
gateway, clock, header limit); with a user also the login, the workspaces, what the user
may do there, and whether they take breakpoint files. With a mount point the mount is
examined, and the checks at the server are made by the mount as its user.

To find out whether a workspace takes breakpoint files an empty one is made and removed,
unless --read-only is given. It fails when a check fails; warnings do not count.`,
		Example: `  scmfs doctor
  scmfs doctor gateway:8080/rootsite --user alice --password-file /etc/scmfs/alice
  scmfs doctor /mnt/scm`,
		Args: rangeArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			d.out, d.json = cmd.OutOrStdout(), asJSON
			if len(args) == 1 {
				d.arg = args[0]
			}
			return d.run(cmd.Context())
		},
	}
	d.target.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&d.stateDir, "state-dir", "", "the state directory that the mount is to have")
	f.BoolVar(&d.readOnly, "read-only", false, "make no breakpoint file")
	f.BoolVar(&asJSON, "json", false, "print JSON, a line per check")
	return cmd
}

type doctor struct {
	target   target
	arg      string
	stateDir string
	readOnly bool
	json     bool
	out      io.Writer
	fails    int
	warns    int
}

func (d *doctor) report(all ...finding) {
	for _, f := range all {
		switch f.Level {
		case gradeFail:
			d.fails++
		case gradeWarn:
			d.warns++
		}
		if d.json {
			_ = json.NewEncoder(d.out).Encode(f)
			continue
		}
		fmt.Fprintf(d.out, "%-4s  %-12s %s\n", f.Level, f.Check, f.Text)
		if f.Fix != "" {
			fmt.Fprintf(d.out, "      %-12s → %s\n", "", f.Fix)
		}
	}
}

func (d *doctor) run(ctx context.Context) error {
	d.report(good("version", "%s", versionText()))
	d.report(checkMachine()...)
	dir, isMount := d.mountpoint()
	switch {
	case isMount:
		d.mount(ctx, dir)
	default:
		if d.stateDir == "" {
			d.stateDir, _ = stateDirFor("/")
		}
		d.report(checkDisk(d.stateDir)...)
		if d.arg != "" || d.target.embedded != "" {
			d.server(ctx)
		}
	}
	if !d.json {
		fmt.Fprintf(d.out, "%d failed, %s\n", d.fails, count(d.warns, "warning"))
	}
	if d.fails > 0 {
		return fmt.Errorf("%s failed", count(d.fails, "check"))
	}
	return nil
}

// mountpoint tells whether the argument is a directory; a seed has a port.
func (d *doctor) mountpoint() (string, bool) {
	if d.arg == "" {
		return "", false
	}
	abs, err := filepath.Abs(d.arg)
	if err != nil {
		return "", false
	}
	if mounted(abs) {
		return abs, true
	}
	_, err = os.Lstat(abs)
	return abs, err == nil
}

// server checks the way to the server and what the user may do there.
func (d *doctor) server(ctx context.Context) {
	if d.target.embedded == "" {
		seeds := strings.Split(d.arg, ",")
		reached := false
		for _, s := range seeds {
			all := checkSeed(ctx, s)
			d.report(all...)
			reached = reached || all[len(all)-1].Level != gradeFail
		}
		if !reached {
			return
		}
		if _, _, err := d.target.login.resolve(); err != nil {
			d.report(warn("login", "give --user and --password-file to check the login and the privileges", "not checked: %v", err))
			return
		}
	}
	quiet := logrus.New()
	quiet.SetOutput(io.Discard)
	c, e, err := d.target.connect(d.arg, client.Options{RetryTimeout: -1, ConnectTimeout: 5 * time.Second, StallTimeout: 15 * time.Second}, quiet)
	if err != nil {
		d.report(broken("server", "correct what it names; scmfs doctor --help has the flags", "%v", err))
		return
	}
	defer func() {
		_ = c.Logout(context.WithoutCancel(ctx)) // the session ends by itself otherwise
		c.Close()
		_ = e.stop()
	}()
	d.report(checkStore(ctx, c, !d.readOnly)...)
}

// mount examines a running mount.
func (d *doctor) mount(ctx context.Context, dir string) {
	if !mounted(dir) {
		d.report(broken("mount", "mount it: scmfs mount … "+dir, "no scmfs is mounted at %s", dir))
		return
	}
	if _, err := os.Stat(dir); errors.Is(err, syscall.ENOTCONN) {
		d.report(broken("mount", "scmfs umount "+dir+", then mount again: what was promised is published then", "the mount at %s is dead: its process is gone", dir))
		return
	}
	began := time.Now()
	c, err := attach(dir)
	if err != nil {
		fix := "if it hangs: look at its log, then kill -9 its process and run 'scmfs umount " + dir + "'"
		if notOwner(err) {
			fix = "run this as the user who mounted it"
		}
		d.report(broken("mount", fix, "%v", err))
		return
	}
	d.report(good("mount", "answers in %s", time.Since(began).Round(time.Millisecond)))
	if err := c.details(ctx); err != nil {
		d.report(broken("mount", "look at its log; scmfs umount "+dir+" and mount it again", "its control socket does not answer: %v", err))
		return
	}
	s := c.status
	d.report(checkDisk(s.StateDir)...)
	d.report(checkRunning(&s)...)
	for _, seed := range []string{s.Seed} {
		d.report(checkSeed(ctx, seed)...)
	}
	var b strings.Builder
	if _, err := c.do(ctx, http.MethodPost, "/doctor", map[string][]string{"probe": {fmt.Sprint(!d.readOnly)}}, &b); err != nil {
		d.report(broken("server", "look at its log, or give the seed itself: scmfs doctor "+s.Seed, "the mount could not check it: %v", err))
		return
	}
	var all []finding
	if err := json.Unmarshal([]byte(b.String()), &all); err != nil {
		d.report(broken("server", "mount it again with this version of scmfs", "its answer is not understood: %v", err))
		return
	}
	d.report(all...)
}

// checkRunning looks at the state of a mount.
func checkRunning(s *status) []finding {
	var out []finding
	stuck := 0
	for _, p := range s.Pending {
		if p.Error != "" {
			stuck++
		}
	}
	if stuck > 0 {
		out = append(out, broken("queue", "scmfs pending list "+s.Mountpoint, "%s stuck; nothing is lost", count(stuck, "file")))
	} else {
		out = append(out, good("queue", "%s", queueLine(*s)))
	}
	if s.Version != versionText() {
		out = append(out, warn("version", "mount again to run the installed version", "the mount runs %s", s.Version))
	}
	errs := 0
	for _, e := range s.Errors {
		if e.Level == "error" && time.Since(e.Time) < time.Hour {
			errs++
		}
	}
	if errs > 0 {
		out = append(out, warn("errors", "scmfs status "+s.Mountpoint, "%s in the last hour", count(errs, "error")))
	}
	return out
}

// serveDoctor makes the server's checks with the mount's own login.
func (r *running) serveDoctor(w http.ResponseWriter, q *http.Request) {
	writeJSON(w, checkStore(q.Context(), r.client, q.FormValue("probe") == "true" && !r.m.readOnly))
}

// reason is the innermost error, for people.
func reason(err error) string {
	if e, ok := errors.AsType[*client.Error](err); ok && e.Err != nil {
		return e.Kind.String() + ": " + e.Err.Error()
	}
	return err.Error()
}
