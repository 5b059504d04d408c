package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// completeMount teaches the shell what mount's arguments and flags are.
func completeMount(cmd *cobra.Command) {
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) == 0 && strings.Contains(word, ":") {
			return nil, cobra.ShellCompDirectiveNoFileComp // a seed
		}
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	completeFlags(cmd)
}

// completeFlags completes the values of the flags that have few, and files by
// kind for the rest.
func completeFlags(cmd *cobra.Command) {
	choices := map[string][]cobra.Completion{
		"write-mode": {"sync\tclose returns when the store has it", "async\tclose returns when it is safe here"},
		"conflict":   {"version\tpublish on top", "fail\trefuse"},
		"log-level":  {"error", "warn", "info", "debug"},
		"proxy":      {"none", "environment"},
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		var err error
		switch {
		case choices[f.Name] != nil:
			err = cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(choices[f.Name], cobra.ShellCompDirectiveNoFileComp))
		case f.Name == "config":
			err = cmd.MarkFlagFilename(f.Name, "yaml", "yml")
		case f.Name == "embedded", strings.HasSuffix(f.Name, "-dir"), f.Name == "mountpoint":
			err = cmd.MarkFlagDirname(f.Name)
		case strings.HasSuffix(f.Name, "-file"):
			err = cmd.MarkFlagFilename(f.Name)
		default:
			err = cmd.RegisterFlagCompletionFunc(f.Name, cobra.NoFileCompletions)
		}
		if err != nil {
			panic(err) // the flag is there: we walk over them
		}
	})
}

// completeMountpoints offers what is mounted.
func completeMountpoints(cmd *cobra.Command) {
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return readMountTable().ours(), cobra.ShellCompDirectiveNoFileComp
	}
}
