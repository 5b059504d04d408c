package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/sequoiacm/scmfs/writeback"
)

func statusCommand() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use: "status MOUNTPOINT", Short: "Show what a mount is doing", Args: exactArgs(1),
		Example: "  scmfs status /mnt/scm\n  scmfs status /mnt/scm --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := attachArg(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				return enc.Encode(c.status)
			}
			s := c.status
			cmd.Printf("%s, pid %d, since %s\nserver      %s\nstate       %s\nwrite mode  %s\nconflicts   %d\n",
				s.Version, s.PID, s.Started.Format(time.DateTime), s.Seed, s.StateDir, s.WriteMode, len(s.Conflicts))
			return printPending(cmd.OutOrStdout(), s.Pending)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func attachArg(arg string) (*controlClient, error) {
	dir, err := filepath.Abs(arg)
	if err != nil {
		return nil, err
	}
	return attach(dir)
}

func printPending(out io.Writer, all []writeback.Info) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(out, "nothing is waiting to be published")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tSTATE\tSIZE\tSENT\tFILE\tREASON")
	for _, p := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", p.ID, p.State, humanize.IBytes(uint64(max(p.Size, 0))), humanize.IBytes(uint64(max(p.Acked, 0))), p.Target, p.Error)
	}
	return w.Flush()
}

func pendingCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "pending", Short: "List, retry, export or discard what is not published",
		Example: `  scmfs pending list /mnt/scm
  scmfs pending retry /mnt/scm 1f2e3d4c5b6a7988
  scmfs pending export /mnt/scm 1f2e3d4c5b6a7988 saved.bin
  scmfs pending discard /mnt/scm 1f2e3d4c5b6a7988`,
	}
	list := &cobra.Command{Use: "list MOUNTPOINT", Short: "List what is not published", Args: exactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		c, err := attachArg(args[0])
		if err != nil {
			return err
		}
		return printPending(cmd.OutOrStdout(), c.status.Pending)
	}}
	act := func(name, short string) *cobra.Command {
		return &cobra.Command{Use: name + " MOUNTPOINT ID", Short: short, Args: exactArgs(2), RunE: func(cmd *cobra.Command, args []string) error {
			c, err := attachArg(args[0])
			if err != nil {
				return err
			}
			_, err = c.do(cmd.Context(), http.MethodPost, "/"+name+"/"+args[1], nil, nil)
			return err
		}}
	}
	export := &cobra.Command{Use: "export MOUNTPOINT ID FILE", Short: "Copy the content to a local file", Args: exactArgs(3), RunE: func(cmd *cobra.Command, args []string) error {
		c, err := attachArg(args[0])
		if err != nil {
			return err
		}
		f, err := os.OpenFile(args[2], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = c.do(cmd.Context(), http.MethodGet, "/export/"+args[1], nil, f)
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			_ = os.Remove(args[2])
		}
		return err
	}}
	cmd.AddCommand(list, act("retry", "Publish it now"), act("discard", "Throw its content away"), export)
	return cmd
}
