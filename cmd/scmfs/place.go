package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/fs"
)

// placement says what is mounted where.
type placement struct {
	seeds      []string
	mountpoint string
	workspaces []string
	root       string
	source     string // the first column of df
}

func (p *placement) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringSliceVar(&p.seeds, "seed", nil, "gateways HOST:PORT/SITE, instead of the first argument")
	f.StringVar(&p.mountpoint, "mountpoint", "", "where to mount, instead of the last argument")
	f.StringSliceVar(&p.workspaces, "workspaces", nil, "show these workspaces only (default: all that the user may read)")
	f.StringVar(&p.root, "root", "", "mount one workspace, or a directory of it, directly: WORKSPACE[/DIR]")
}

func (p *placement) check() error {
	ws, _, _ := strings.Cut(strings.Trim(p.root, "/"), "/")
	if p.root != "" && ws == "" {
		return &badSetting{"root", fmt.Sprintf("%q: want WORKSPACE[/DIR]", p.root)}
	}
	if p.root != "" && len(p.workspaces) > 0 {
		return &badSetting{"root", "cannot be used together with workspaces"}
	}
	for _, name := range p.workspaces {
		if name == "" || strings.Contains(name, "/") {
			return &badSetting{"workspaces", fmt.Sprintf("%q is not the name of a workspace", name)}
		}
	}
	return nil
}

// arguments takes [[SEED] MOUNTPOINT] and the settings together. A seed that is
// given by word beats an embedded directory of the file, and the other way round.
func (m *mountFlags) arguments(s *settings, args []string) error {
	p := &m.place
	if len(args) == 2 {
		for _, key := range []string{"seed", "embedded"} {
			if o := s.origin[key]; o.rank >= fromOption {
				return usage(fmt.Errorf("give either the seed %s or %s, not both", args[0], o.text))
			}
		}
		p.seeds, m.target.embedded = strings.Split(args[0], ","), ""
		s.origin["seed"] = origin{fromFlag, "argument"}
		delete(s.origin, "embedded")
	}
	if len(args) > 0 {
		p.mountpoint = args[len(args)-1]
		s.origin["mountpoint"] = origin{fromFlag, "argument"}
	}
	if p.mountpoint == "" {
		return usage(errors.New("no mount point: give one, or set mountpoint in the configuration"))
	}
	if len(p.seeds) == 0 && m.target.embedded == "" {
		return usage(errors.New("nothing to mount: give a seed HOST:PORT/SITE or --embedded DIR"))
	}
	if err := m.absolute(); err != nil {
		return err
	}
	m.place.source = m.source(s)
	return nil
}

// source is what fstab's first column says: mount -a takes a line for mounted when
// the mount table has the same source at the same place, and otherwise mounts
// again.
func (m *mountFlags) source(s *settings) string {
	seeds := strings.Join(m.place.seeds, ",")
	switch {
	case s.origin["seed"].text == "argument":
		return seeds
	case m.target.embedded != "" && s.origin["embedded"].rank >= fromFlag:
		return m.target.embedded
	case m.target.config != "":
		return m.target.config
	case m.target.embedded != "":
		return m.target.embedded
	}
	return seeds
}

// absolute makes paths independent of the working directory, which a mount in
// the background leaves.
func (m *mountFlags) absolute() error {
	for _, p := range []*string{&m.place.mountpoint, &m.target.embedded, &m.target.login.passwordFile, &m.target.via.caFile, &m.stateDir, &m.logFile, &m.ops.auditLog, &m.cacheDir} {
		if *p == "" {
			continue
		}
		abs, err := filepath.Abs(*p)
		if err != nil {
			return err
		}
		*p = abs
	}
	return nil
}

// shows tells whether the mount shows a workspace.
func (p *placement) shows(ws string) bool {
	if p.root != "" {
		root, _, _ := strings.Cut(strings.Trim(p.root, "/"), "/")
		return ws == root
	}
	return len(p.workspaces) == 0 || slices.Contains(p.workspaces, ws)
}

// stores are the workspaces to show.
func (m *mountFlags) stores(c *client.Client) fs.Stores {
	all := fs.Remote(c)
	if len(m.place.workspaces) == 0 {
		return all
	}
	return fs.Only(all, m.place.workspaces)
}

// narrow applies --root.
func (m *mountFlags) narrow(ctx context.Context, tree *fs.FS) error {
	if m.place.root == "" {
		return nil
	}
	octx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	if err := tree.Narrow(octx, m.place.root); err != nil {
		return fmt.Errorf("--root: %w", err)
	}
	return nil
}
