package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/sequoiacm/scmfs/internal/disk"
	"github.com/sequoiacm/scmfs/writeback"
)

func pendingCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "pending", Short: "List, retry, export or discard what is not published",
		Long: `What was written and is not at the server yet: being uploaded, closed under a temporary
name, or stuck because the server refuses it. Content is kept in the state directory
until it is published or discarded.`,
		Example: `  scmfs pending list /mnt/scm
  scmfs pending retry /mnt/scm 1f2e3d4c5b6a7988
  scmfs pending retry /mnt/scm --all
  scmfs pending export /mnt/scm 1f2e3d4c5b6a7988 saved.bin
  scmfs pending discard /mnt/scm 1f2e3d4c5b6a7988 --yes`,
	}
	cmd.AddCommand(pendingList(), pendingRetry(), pendingDiscard(), pendingExport())
	return cmd
}

func pendingList() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{Use: "list MOUNTPOINT", Short: "List what is not published", Args: exactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		c, err := attachArg(args[0])
		if err != nil {
			return err
		}
		if err := c.details(cmd.Context()); err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(c.status.Pending)
		}
		return printPending(cmd.OutOrStdout(), &c.status, onTerminal(cmd.OutOrStdout()))
	}}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// printPending prints a table, a line per file, that scripts can read.
func printPending(out io.Writer, s *status, bars bool) error {
	if len(s.Pending) == 0 {
		_, err := fmt.Fprintln(out, queueLine(*s))
		return err
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tSTATE\tSIZE\tACKNOWLEDGED\tFILE\tREASON")
	for _, p := range s.Pending {
		state, sent, why := p.State, human(p.Acked), p.Error
		if p.Held {
			state, why = "held", "closed under a temporary name"
		}
		if bars {
			sent = bar(p.Acked, p.Handed, p.Size, 10)
		}
		if r := s.Rates[p.ID]; r > 0 {
			sent += " " + humanRate(r)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", p.ID, state, human(p.Size), sent, s.pathOf(p.Target), why)
	}
	return w.Flush()
}

func pendingRetry() *cobra.Command {
	all := false
	cmd := &cobra.Command{Use: "retry MOUNTPOINT [ID...]", Short: "Publish it now", Args: atLeast(1), RunE: func(cmd *cobra.Command, args []string) error {
		c, err := attachArg(args[0])
		if err != nil {
			return err
		}
		ids := args[1:]
		if all {
			for _, p := range c.status.Pending {
				if p.State == writeback.Stuck.String() {
					ids = append(ids, p.ID)
				}
			}
		} else if len(ids) == 0 {
			return usage(errors.New("give the ids that 'scmfs pending list' shows, or --all for what is stuck"))
		}
		for _, id := range ids {
			if _, err := c.do(cmd.Context(), http.MethodPost, "/retry/"+id, nil, nil); err != nil {
				return err
			}
			cmd.Println("trying again:", c.nameOf(id))
		}
		return nil
	}}
	cmd.Flags().BoolVar(&all, "all", false, "everything that is stuck")
	return cmd
}

func pendingDiscard() *cobra.Command {
	sure := false
	cmd := &cobra.Command{Use: "discard MOUNTPOINT ID", Short: "Throw its content away for good", Args: exactArgs(2), RunE: func(cmd *cobra.Command, args []string) error {
		c, err := attachArg(args[0])
		if err != nil {
			return err
		}
		if onTerminal(os.Stdin) && !sure {
			cmd.Printf("throw %s away for good? [y/N] ", c.nameOf(args[1]))
			var answer string
			if _, _ = fmt.Fscanln(cmd.InOrStdin(), &answer); !strings.HasPrefix(strings.ToLower(answer), "y") {
				return errors.New("not discarded")
			}
		}
		_, err = c.do(cmd.Context(), http.MethodPost, "/discard/"+args[1], nil, nil)
		return err
	}}
	cmd.Flags().BoolVarP(&sure, "yes", "y", false, "do not ask")
	return cmd
}

// pendingExport copies a draft's content. The file gets its name when it is whole
// and on the disk.
func pendingExport() *cobra.Command {
	return &cobra.Command{Use: "export MOUNTPOINT ID FILE", Short: "Copy the content to a local file", Args: exactArgs(3), RunE: func(cmd *cobra.Command, args []string) error {
		c, err := attachArg(args[0])
		if err != nil {
			return err
		}
		to := args[2]
		if _, err := os.Lstat(to); err == nil {
			return fmt.Errorf("%s exists: give another name", to)
		}
		f, err := os.CreateTemp(filepath.Dir(to), ".scmfs-export-*")
		if err != nil {
			return err
		}
		defer os.Remove(f.Name())
		_, err = c.do(cmd.Context(), http.MethodGet, "/export/"+args[1], nil, f)
		if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
			return fmt.Errorf("not exported, it is still in the state directory: %w", err)
		}
		// Not over a file that came up meanwhile.
		if err := unix.Renameat2(unix.AT_FDCWD, f.Name(), unix.AT_FDCWD, to, unix.RENAME_NOREPLACE); err != nil {
			return fmt.Errorf("export to %s: %w", to, err)
		}
		if err := disk.OS().SyncDir("export.dir", filepath.Dir(to)); err != nil {
			return err
		}
		cmd.Println("exported", c.nameOf(args[1]), "to", to)
		return nil
	}}
}

// nameOf names a pending file for messages.
func (c *controlClient) nameOf(id string) string {
	for _, p := range c.status.Pending {
		if p.ID == id {
			return c.status.pathOf(p.Target)
		}
	}
	return id
}

func atLeast(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error { return usage(cobra.MinimumNArgs(n)(cmd, args)) }
}
