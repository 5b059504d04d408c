package main

import (
	"net/http"
	"os"
	"strings"

	"github.com/spf13/pflag"
)

// remember notes every setting as it is in force and where it was made, as config
// show --effective does, for the bundle of debug.
func (m *mountFlags) remember(s *settings, flags *pflag.FlagSet) error {
	var b strings.Builder
	if err := showSettings(&b, s, flags, true); err != nil {
		return err
	}
	m.ops.settings = b.String()
	return nil
}

// serveSettings shows the settings, and the environment's names without values.
func (r *running) serveSettings(w http.ResponseWriter, _ *http.Request) {
	text := r.m.ops.settings
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "SCMFS_") || strings.HasPrefix(name, "GO") {
			text += "# in the environment: " + name + "\n"
		}
	}
	_, _ = w.Write(scrubSecrets([]byte(text)))
}
