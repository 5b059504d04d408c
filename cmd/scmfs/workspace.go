package main

import (
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/sequoiacm/scmfs/client"
)

func workspaceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "workspace",
		Short: "List, create, delete and show workspaces",
		Example: `  scmfs workspace list --embedded /srv/scm
  scmfs workspace create scans --embedded /srv/scm
  scmfs workspace show scans --seed gateway:8080/rootsite --user admin --password-file /etc/scmfs/admin`,
	}
	var t target
	var seed string
	with := func(fn func(*cobra.Command, *client.Client, []string) error) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, args []string) error {
			c, e, err := t.connect(seed, client.Options{RetryTimeout: 5 * time.Second}, logrus.New())
			if err != nil {
				return err
			}
			defer c.Close()
			return errors.Join(fn(cmd, c, args), c.Logout(cmd.Context()), e.stop())
		}
	}
	flat := false
	enforced := false
	list := &cobra.Command{Use: "list", Short: "List workspaces", Args: exactArgs(0), RunE: with(func(cmd *cobra.Command, c *client.Client, _ []string) error {
		w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, "NAME\tDIRECTORIES\tCREATED\tBY")
		for ws, err := range c.Workspaces(cmd.Context()) {
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "%s\t%t\t%s\t%s\n", ws.Name, ws.Directories, ws.CreateTime.Format(time.DateTime), ws.CreateUser)
		}
		return w.Flush()
	})}
	create := &cobra.Command{Use: "create NAME", Short: "Create a workspace", Args: exactArgs(1), RunE: with(func(cmd *cobra.Command, c *client.Client, args []string) error {
		ws, err := c.CreateWorkspace(cmd.Context(), args[0], !flat)
		if err == nil {
			cmd.Printf("created workspace %s\n", ws.Name)
		}
		return err
	})}
	create.Flags().BoolVar(&flat, "flat", false, "without directory support")
	del := &cobra.Command{Use: "delete NAME", Short: "Delete a workspace", Args: exactArgs(1), RunE: with(func(cmd *cobra.Command, c *client.Client, args []string) error {
		err := c.DeleteWorkspace(cmd.Context(), args[0], enforced)
		if client.KindOf(err) == client.NotEmpty {
			return fmt.Errorf("%w (use --force to delete it with everything in it)", err)
		}
		return err
	})}
	del.Flags().BoolVar(&enforced, "force", false, "also when it is not empty")
	show := &cobra.Command{Use: "show NAME", Short: "Show a workspace", Args: exactArgs(1), RunE: with(func(cmd *cobra.Command, c *client.Client, args []string) error {
		ws, err := c.WorkspaceInfo(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		cmd.Printf("name:         %s\nid:           %d\ndescription:  %s\ndirectories:  %t\ncreated:      %s by %s\n",
			ws.Name, ws.ID, ws.Description, ws.Directories, ws.CreateTime.Format(time.DateTime), ws.CreateUser)
		s := c.Workspace(ws.Name)
		if n, err := s.CountFiles(cmd.Context()); err == nil {
			cmd.Printf("files:        %d\n", n)
		}
		if n, err := s.CountDirectories(cmd.Context()); err == nil && ws.Directories {
			cmd.Printf("folders:      %d\n", n-1)
		}
		return nil
	})}
	for _, sub := range []*cobra.Command{list, create, del, show} {
		t.flags(sub)
		sub.Flags().StringVar(&seed, "seed", "", "gateway HOST:PORT/SITE")
		cmd.AddCommand(sub)
	}
	return cmd
}
