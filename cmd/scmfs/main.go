// Command scmfs mounts the workspaces of a SequoiaCM content store as a drive.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() { os.Exit(dispatch(os.Args)) }

// run executes one command line and returns the exit code.
func run(args []string) int {
	// Mount counts signals itself, see running.wait.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(os.Stdout)
	if err := root.ExecuteContext(withCommandLine(ctx, args)); err != nil {
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
		SuggestionsMinimumDistance: 2,
		SilenceUsage:               true,
		SilenceErrors:              true,
		PersistentPreRunE:          settle,
	}
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(mountCommand(), umountCommand(), serveCommand(), workspaceCommand(), warmCommand(), versionCommand())
	root.AddCommand(opsCommands()...)
	root.AddCommand(configCommand(), installCommand(), manCommand())
	group(root)
	for _, cmd := range root.Commands() {
		if cmd.HasSubCommands() && !cmd.Runnable() {
			group(cmd)
		}
	}
	return root
}

// group makes a command that only has commands below it refuse others as a
// mistake of the command line; cobra alone would exit with 1, or with 0.
func group(cmd *cobra.Command) {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		hint := ""
		if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
			hint = fmt.Sprintf("; did you mean %q?", like[0])
		}
		return usage(fmt.Errorf("unknown command %q for %q%s", args[0], cmd.CommandPath(), hint))
	}
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
