package main

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// remember notes every option as it is in force, for the bundle of debug.
func (m *mountFlags) remember(cmd *cobra.Command) {
	var lines []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		from := "default"
		if f.Changed {
			from = "set"
		}
		value := f.Value.String()
		if f.Name == "password-command" && value != "" {
			value = hidden(value)
		}
		lines = append(lines, fmt.Sprintf("%s = %s  # %s", f.Name, value, from))
	})
	slices.Sort(lines)
	m.ops.settings = strings.Join(lines, "\n") + "\n"
}

// serveSettings shows the options, and the environment's names without values.
func (r *running) serveSettings(w http.ResponseWriter, _ *http.Request) {
	text := r.m.ops.settings
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "SCMFS_") || strings.HasPrefix(name, "GO") {
			text += "# in the environment: " + name + "\n"
		}
	}
	_, _ = w.Write(scrubSecrets([]byte(text)))
}
