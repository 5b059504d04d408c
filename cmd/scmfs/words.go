package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/disk"
)

// flagError says what is wrong with a flag as a configuration file would.
func flagError(_ *cobra.Command, err error) error {
	if bad, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		f := bad.GetFlag()
		err = fmt.Errorf("--%s: %w", f.Name, wrongValue(f, bad.GetValue(), bad.Unwrap()))
	}
	return usage(err)
}

// loginFailure says why there is no session and what to do.
func (m *mountFlags) loginFailure(seed string, err error) error {
	hint := fmt.Sprintf("is a gateway running there? 'scmfs doctor %s' looks closer", strings.Join(m.place.seeds, ","))
	e, isOurs := errors.AsType[*client.Error](err)
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case m.target.embedded != "":
		hint = "it is the embedded server of " + m.target.embedded
	case untrusted:
		hint = "give the file of its authority with ca-file, correct the name in the seed, or the clock"
	case isOurs && e.Kind == client.Auth:
		hint = "look at the user, and at the password in password-file, password-command or $" + passwordVariable
	}
	if isOurs && e.HTTP == http.StatusBadRequest && e.Kind != client.Auth {
		hint = "does the seed want https:// in front? " + hint
	}
	user := m.target.login.user
	if user != "" {
		user = " as " + user
	}
	return failure(exitServer, fmt.Errorf("cannot log in at %s%s: %s; %s", seed, user, reason(err), hint))
}

// look makes sure that there is what is to be mounted: a wrong name of a site or a
// workspace would be an empty mount, which nobody takes for an error. What the
// server does not want to tell is no obstacle.
func (m *mountFlags) look(ctx context.Context, c *client.Client, log logrus.FieldLogger) error {
	ctx, cancel := context.WithTimeout(ctx, min(m.timeout, 15*time.Second))
	defer cancel()
	wanted := m.place.workspaces
	if ws, _, _ := strings.Cut(strings.Trim(m.place.root, "/"), "/"); ws != "" {
		wanted = []string{ws}
	}
	var there []string
	for w, err := range c.Workspaces(ctx) {
		if e, ok := errors.AsType[*client.Error](err); ok && e.HTTP == http.StatusNotFound && e.Kind == client.Protocol {
			_, site, _ := strings.Cut(c.Seed(), "/")
			return failure(exitServer, fmt.Errorf("%s: the gateway knows no site %q; look at the name behind the '/'", c.Seed(), site))
		}
		if err != nil {
			log.WithError(err).Warn("the workspaces cannot be listed; the mount goes on and asks again when it is used")
			return nil
		}
		there = append(there, w.Name)
		if len(wanted) == 0 {
			return nil
		}
	}
	var missing []error
	for _, name := range wanted {
		if !slices.Contains(there, name) {
			missing = append(missing, fmt.Errorf("workspace %q does not exist, or %s may not read it%s", name, c.Session().User, similar(name, there)))
		}
	}
	switch {
	case len(missing) == 0:
		return nil
	case len(missing) == len(wanted):
		return errors.Join(missing...)
	}
	for _, err := range missing {
		log.WithError(err).Warn("a workspace is missing; the mount shows the others, and this one when it is there")
	}
	return nil
}

// similar names the workspace that may have been meant.
func similar(name string, there []string) string {
	for _, other := range there {
		if strings.EqualFold(name, other) || editDistance(strings.ToLower(name), strings.ToLower(other)) < 3 {
			return fmt.Sprintf("; there is %q", other)
		}
	}
	return ""
}

const fuseConf = "/etc/fuse.conf"

// mayMount says what fusermount would refuse: its own words go to the log, and of
// its exit code nothing can be learnt. Root needs no fusermount.
func mayMount(dir string, allowOther bool, conf string) error {
	if os.Geteuid() == 0 {
		return nil
	}
	if _, err := exec.LookPath("fusermount3"); err != nil {
		if _, err := exec.LookPath("fusermount"); err != nil {
			return errors.New("users other than root need fusermount3: install the package fuse3")
		}
	}
	if err := unix.Access(dir, unix.W_OK); err != nil {
		return fmt.Errorf("mount point %s: user %d may not mount there, because the directory is not theirs; run 'chown %d %s' as root, or choose another", dir, os.Geteuid(), os.Geteuid(), dir)
	}
	if f := checkAllowOther(conf); allowOther && f.Level != gradeOK {
		return fmt.Errorf("--allow-other: only root may do that unless %s has the line user_allow_other; write it, or leave the option out", conf)
	}
	return nil
}

// hides warns of files below a mount point: they cannot be reached while the mount
// is there, which looks as if they were gone. Only a directory on which nothing is
// mounted is looked at, everything else may hang.
func hides(dir string) string {
	if readMountTable().top(dir) != "" {
		return ""
	}
	f, err := os.Open(dir)
	if err != nil {
		return ""
	}
	defer f.Close()
	if names, _ := f.Readdirnames(1); len(names) == 0 {
		return ""
	}
	return dir + " is not empty: what is in it cannot be seen while the store is mounted there"
}

// inUse says what to do about a directory that another process has.
func inUse(err error) error {
	if !errors.Is(err, disk.ErrLocked) {
		return err
	}
	return fmt.Errorf("%w; each mount needs a state directory of its own: unmount the other ('scmfs status' shows it), or give --state-dir", err)
}

// listenFailure is why an address cannot be served.
func listenFailure(what, addr string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s %s: another program has this address; choose another port", what, addr)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s %s: this machine does not have this address", what, addr)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s %s: ports below 1024 are for root; choose another", what, addr)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = client.Plain(op.Err)
	}
	return fmt.Errorf("%s %s: %w", what, addr, err)
}

// fileFailure is an error of the file system in the words of the shell.
func fileFailure(what string, err error) error {
	p, ok := errors.AsType[*os.PathError](err)
	switch {
	case !ok:
		return fmt.Errorf("%s: %w", what, err)
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%s: %s does not exist%.0w", what, p.Path, err)
	}
	return fmt.Errorf("%s: %s: %w", what, p.Path, p.Err)
}
