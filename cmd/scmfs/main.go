// Command scmfs mounts the workspaces of a SequoiaCM content store as a drive.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() { os.Exit(run(os.Args[1:])) }

// run executes one command line and returns the exit code.
func run(args []string) int {
	// A second signal must kill: mount handles its own, see running.wait.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(os.Stdout)
	if err := root.ExecuteContext(ctx); err != nil {
		root.PrintErrln("scmfs:", err)
		return exitCode(err)
	}
	return exitOK
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "scmfs",
		Short: "Mount SequoiaCM workspaces as a drive",
		Long: `scmfs mounts the workspaces of a SequoiaCM content store (SCM), so that programs,
cp and rsync can write into it. Files go up in increments while they are written
and appear whole when they are closed; saving over a file makes a new version.

` + exitCodesHelp,
		Example: `  scmfs mount --embedded /srv/scm /mnt/scm       # no cluster needed
  scmfs mount gateway:8080/rootsite /mnt/scm --user alice --password-file /etc/scmfs/alice
  scmfs status /mnt/scm
  scmfs umount /mnt/scm`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return failure(exitUsage, err) })
	root.AddCommand(mountCommand(), umountCommand(), serveCommand(), workspaceCommand(), statusCommand(), pendingCommand(), warmCommand(), versionCommand())
	return root
}

// exactArgs is cobra's with an exit code.
func exactArgs(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error { return usage(cobra.ExactArgs(n)(cmd, args)) }
}

func rangeArgs(low, high int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error { return usage(cobra.RangeArgs(low, high)(cmd, args)) }
}

func usage(err error) error {
	if err == nil {
		return nil
	}
	return failure(exitUsage, err)
}
