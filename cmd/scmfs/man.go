package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func manCommand() *cobra.Command {
	return &cobra.Command{
		Use: "man DIR", Short: "Write the manual pages to a directory", Args: exactArgs(1), Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			for _, p := range manualPages(cmd.Root()) {
				path := filepath.Join(args[0], p.name+"."+p.section)
				if err := os.WriteFile(path, p.text, 0o644); err != nil {
					return err
				}
				cmd.Println(path)
			}
			return nil
		},
	}
}

// manPage is one manual page.
type manPage struct {
	name, section string
	text          []byte
}

func manualPages(root *cobra.Command) []manPage {
	return []manPage{
		{"scmfs", "1", commandPage(root)},
		{"mount.scmfs", "8", helperPage()},
		{"scmfs.yaml", "5", configPage()},
	}
}

// commandPage is scmfs(1): every command with its flags.
func commandPage(root *cobra.Command) []byte {
	r := newRoff("scmfs", "1", root.Short)
	r.synopsis("scmfs COMMAND [ARGUMENTS] [FLAGS]")
	r.section("Description")
	r.text(strings.ReplaceAll(root.Long, exitCodesHelp, ""))
	r.section("Commands")
	eachCommand(root, func(cmd *cobra.Command) {
		r.subsection(strings.TrimSuffix(cmd.UseLine(), " [flags]"))
		text := cmd.Long
		if text == "" {
			text = cmd.Short + "."
		}
		r.text(strings.ReplaceAll(text, precedenceHelp, "Where settings come from is below, under CONFIGURATION."))
		r.flags(cmd.NonInheritedFlags(), flagTerm)
		if cmd.Example != "" {
			r.text("For example:\n" + cmd.Example)
		}
	})
	r.section("Configuration")
	r.text(precedenceHelp)
	r.section("Exit status")
	r.text(exitCodesHelp)
	r.section("Environment")
	r.item("SCMFS_CONFIG", "the configuration file; empty stands for none")
	r.item("SCMFS_PASSWORD", "the password")
	r.item("SCMFS_KEY", "any other setting, see CONFIGURATION")
	r.section("Files")
	r.item(defaultConfig, "settings for every mount of the machine, see scmfs.yaml(5)")
	r.item("/var/lib/scmfs/", "state directories of root's mounts: what is not uploaded yet, and the log. $XDG_STATE_HOME/scmfs or ~/.local/state/scmfs for others")
	r.item("MOUNTPOINT/.scmfs/status", "the state of a mount as JSON, for its owner")
	r.section("See also")
	r.text("mount.scmfs(8), scmfs.yaml(5), mount(8), fstab(5), systemd.automount(5)")
	return r.b.Bytes()
}

func eachCommand(cmd *cobra.Command, fn func(*cobra.Command)) {
	for _, sub := range cmd.Commands() {
		if sub.Hidden || sub.Name() == "help" || !sub.IsAvailableCommand() && !sub.HasSubCommands() {
			continue
		}
		fn(sub)
		eachCommand(sub, fn)
	}
}

// helperPage is mount.scmfs(8).
func helperPage() []byte {
	r := newRoff("mount.scmfs", "8", "mount SequoiaCM workspaces by mount and fstab")
	r.synopsis("mount -t scmfs SOURCE DIR [-o OPTIONS]", "umount DIR")
	r.section("Description")
	r.text(helperHelp)
	r.section("Options")
	r.text("Every setting of scmfs, with \"_\" for \"-\"; lists have \":\" between their parts, seeds \"+\". Those of mount(8) and of the kernel, such as noexec, noatime and sync, count as well; what only concerns other tools (_netdev, nofail, x-*) is ignored. Set-id bits and devices are never honoured.")
	r.flags(schema(), func(f *pflag.Flag) string {
		if f.Value.Type() == "bool" {
			return strings.ReplaceAll(f.Name, "-", "_")
		}
		kind, _ := pflag.UnquoteUsage(f)
		return strings.ReplaceAll(f.Name, "-", "_") + "=" + kind
	})
	r.item("ro", "the same as read_only")
	r.item("username=string", "the same as user: mount(8) keeps user for itself")
	r.section("Exit status")
	r.text("Those of mount(8): 0 done, 1 the options are wrong, 32 the mount failed.")
	r.section("See also")
	r.text("scmfs(1), scmfs.yaml(5), fstab(5)")
	return r.b.Bytes()
}

const helperHelp = `The helper is called by mount(8) for the types scmfs and fuse.scmfs. It returns when the
mount answers. SOURCE is one of

  HOST:PORT/SITE[,HOST:PORT/SITE...]   gateways; https:// in front of each for TLS
  /DIR                                 an embedded server's directory
  /FILE.yaml                           a configuration file
  scmfs                                what the settings say

In /etc/fstab:

  gw:8080/rootsite  /mnt/scm  scmfs  _netdev,nofail,x-systemd.automount,config=/etc/scmfs/scmfs.yaml  0 0
  /etc/scmfs/archive.yaml  /mnt/archive  scmfs  _netdev,nofail,ro  0 0

A password is never an option: use password_file or password_command.

umount(8) calls umount.scmfs, which waits for uploads; "umount -l" and "umount -f" do not
wait, the next mount goes on with what is left.`

// configPage is scmfs.yaml(5).
func configPage() []byte {
	r := newRoff("scmfs.yaml", "5", "settings of scmfs")
	r.section("Description")
	r.text(configHelp)
	r.section("Precedence")
	r.text(precedenceHelp)
	r.section("Keys")
	r.flags(schema(), func(f *pflag.Flag) string {
		kind, _ := pflag.UnquoteUsage(f)
		if kind == "" {
			kind = "true|false"
		}
		return f.Name + ": " + kind
	})
	r.section("Keys of a workspace")
	r.text("Below policy and the workspace's name. They are those above, for this workspace; read-only cannot be taken back from a mount that is read-only as a whole.")
	for _, key := range policyKeys {
		r.item(key, schema().Lookup(key).Usage)
	}
	r.section("See also")
	r.text("scmfs(1), mount.scmfs(8)")
	return r.b.Bytes()
}
