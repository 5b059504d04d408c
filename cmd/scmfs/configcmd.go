package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

const configHelp = `A configuration file is YAML. Each key is a flag of 'scmfs mount' without "--"; lists
are YAML lists. The section policy says what is different in single workspaces. Paths
are relative to the file. The manual page scmfs.yaml(5) lists all keys.

  seed: [gw1:8080/rootsite, gw2:8080/rootsite]
  user: alice
  password-file: /etc/scmfs/alice.password
  mountpoint: /mnt/scm
  workspaces: [archive, scans]
  policy:
    archive:
      read-only: true
    scans:
      write-mode: async
      held-names: ["*.part", "~$*"]

Unknown keys, keys that are there twice and bad values are errors that name file, line
and key.`

func configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "config", Short: "Check a configuration, show what counts", Long: configHelp + "\n\n" + precedenceHelp,
		Example: `  scmfs config check /etc/scmfs/archive.yaml
  scmfs config show --effective --config /etc/scmfs/archive.yaml`,
	}
	cmd.AddCommand(configShowCommand(), configCheckCommand())
	return cmd
}

func configShowCommand() *cobra.Command {
	m := &mountFlags{}
	effective := false
	cmd := &cobra.Command{
		Use: "show", Short: "Show the settings and where each comes from", Args: exactArgs(0),
		Long: `Shows what file and environment (and flags given here) set, as a configuration file
with a comment on each line that says where it comes from; --effective adds the
defaults. No password is shown.`,
		Example: "  scmfs config show --effective\n  SCMFS_WRITE_MODE=async scmfs config show --config /etc/scmfs/archive.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			s := settingsOf(cmd.Context())
			m.policies = s.policies()
			if err := m.check(); err != nil {
				return s.blame(err)
			}
			return showSettings(cmd.OutOrStdout(), s, cmd.Flags(), effective)
		},
	}
	m.flags(cmd)
	cmd.Flags().BoolVar(&effective, "effective", false, "show the defaults as well")
	completeFlags(cmd)
	return cmd
}

func showSettings(out io.Writer, s *settings, flags *pflag.FlagSet, effective bool) error {
	keys := schema()
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		o, set := s.origin[f.Name]
		if keys.Lookup(f.Name) == nil || !set && !effective {
			return
		}
		from := o.text
		if !set {
			from = "default"
		}
		var v any = f.Value.String()
		if f.Value.Type() != "string" {
			v = &yaml.Node{Kind: yaml.ScalarNode, Value: f.Value.String()}
		}
		if slice, ok := f.Value.(pflag.SliceValue); ok {
			v = slice.GetSlice()
		}
		if f.Name == "password-command" && v != "" {
			v = hidden(f.Value.String())
		}
		errs = append(errs, showLine(out, "", f.Name, v, from))
	})
	all := s.policies()
	for i, ws := range sortedKeys(all) {
		if i == 0 {
			fmt.Fprintln(out, policyKey+":")
		}
		fmt.Fprintf(out, "  %s:\n", inline(ws))
		for _, key := range sortedKeys(all[ws]) {
			errs = append(errs, showLine(out, "    ", key, all[ws][key], s.file.where(policyKey+policySep+ws+policySep+key)))
		}
	}
	return errors.Join(errs...)
}

func showLine(out io.Writer, indent, key string, v any, from string) error {
	_, err := fmt.Fprintf(out, "%-50s # %s\n", indent+key+": "+inline(v), from)
	return err
}

// inline is a value as YAML on one line.
func inline(v any) string {
	n, ok := v.(*yaml.Node)
	if !ok {
		n = &yaml.Node{}
		if err := n.Encode(v); err != nil {
			return fmt.Sprintf("%q", v)
		}
	}
	n.Style |= yaml.FlowStyle
	b, err := yaml.Marshal(n)
	if err != nil {
		return fmt.Sprintf("%q", v)
	}
	return strings.TrimSpace(string(b))
}

// hidden shows a command that may have a secret in it.
func hidden(command string) string { return firstWord(command) + " …" }

func firstWord(s string) string {
	word, _, _ := strings.Cut(strings.TrimSpace(s), " ")
	return word
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func configCheckCommand() *cobra.Command {
	m := &mountFlags{}
	cmd := &cobra.Command{
		Use: "check [FILE]", Short: "Check a configuration without mounting", Args: rangeArgs(0, 1),
		Long: `Checks the file, the environment and the flags given here as 'scmfs mount' would, and
what can be seen of credentials and authorities. It asks no server. Exit code 2 when
something is wrong.`,
		Example: "  scmfs config check /etc/scmfs/archive.yaml",
		PersistentPreRunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				if err := cmd.Flags().Set("config", args[0]); err != nil {
					return usage(err)
				}
			}
			return settle(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			s := settingsOf(cmd.Context())
			m.policies = s.policies()
			if err := m.check(); err != nil {
				return s.blame(err)
			}
			if err := m.target.check(); err != nil {
				return usage(err)
			}
			for _, name := range strayVariables(os.Environ()) {
				cmd.PrintErrf("warning: $%s is not a setting of scmfs and has no effect\n", name)
			}
			what := "no configuration file"
			if s.file != nil {
				what = s.file.path
			}
			cmd.Printf("%s: ok\n", what)
			return nil
		},
	}
	m.flags(cmd)
	completeFlags(cmd)
	cmd.ValidArgsFunction = cobra.FixedCompletions([]cobra.Completion{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt)
	return cmd
}

// check looks at what a login would need.
func (t *target) check() error {
	if err := t.via.check(); err != nil {
		return err
	}
	if t.login.passwordFile != "" {
		if _, err := readPasswordFile(t.login.passwordFile); err != nil {
			return err
		}
	}
	return nil
}

// strayVariables are variables that look like settings. They are no error: an
// orchestrator sets such ones for a service that happens to be called scmfs.
func strayVariables(environ []string) (names []string) {
	known := map[string]bool{passwordVariable: true, "SCMFS_CONFIG": true, daemonMark: true, "SCMFS_REQUIRE_FUSE": true}
	schema().VisitAll(func(f *pflag.Flag) { known[variable(f.Name)] = true })
	for _, e := range environ {
		name, _, _ := strings.Cut(e, "=")
		if strings.HasPrefix(name, "SCMFS_") && !known[name] {
			names = append(names, name)
		}
	}
	return names
}
