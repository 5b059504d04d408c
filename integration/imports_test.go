package integration

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/sequoiacm/scmfs/"

// ours says which of our packages a package may import.
var ours = map[string][]string{
	"cmd/scmfs":            {"client", "fs", "writeback", "internal/readcache", "internal/disk", "internal/server", "internal/server/repo", "internal/wire"},
	"fs":                   {"client", "internal/readcache", "internal/scan", "writeback"},
	"writeback":            {"client", "internal/disk"},
	"client":               {"internal/scan", "internal/wire"},
	"internal/readcache":   {"client"},
	"internal/server":      {"internal/server/repo", "internal/wire"},
	"internal/server/repo": {"internal/wire", "internal/disk"},
	"internal/scan":        {},
	"internal/wire":        {},
	"internal/disk":        {},
	"internal/storetest":   {"client", "internal/server", "internal/server/repo", "internal/wire", "internal/disk"},
	"integration":          {},
	"scripts/bench":        {"client", "internal/wire"},
}

// alone says who alone may import a package from outside.
var alone = map[string][]string{
	"github.com/hanwen/go-fuse/v2":                            {"fs", "scripts/bench"},
	"go.etcd.io/bbolt":                                        {"internal/server/repo"},
	"github.com/spf13/cobra":                                  {"cmd/scmfs"},
	"github.com/prometheus/client_golang/prometheus/promhttp": {"cmd/scmfs"},
	"net/http": {"client", "internal/server", "internal/storetest", "cmd/scmfs", "scripts/bench"},
	"testing":  {"internal/storetest"},
}

// The import table of docs/ARCHITECTURE.md is this test.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	require.NoError(t, err)
	dec := json.NewDecoder(strings.NewReader(string(out)))
	seen := 0
	for {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(p.ImportPath, module)
		allowed, known := ours[name]
		if !known {
			t.Errorf("package %s is not in the import table", name)
			continue
		}
		seen++
		for _, imp := range p.Imports {
			if inner, ok := strings.CutPrefix(imp, module); ok && !contains(allowed, inner) {
				t.Errorf("%s imports %s, which the table does not allow", name, inner)
			}
			for what, who := range alone {
				if (imp == what || strings.HasPrefix(imp, what+"/") && what != "net/http") && !contains(who, name) {
					t.Errorf("%s imports %s, which only %v may", name, imp, who)
				}
			}
		}
	}
	require.Equal(t, len(ours), seen, "the table names packages that do not exist")
}

func contains(all []string, s string) bool {
	for _, a := range all {
		if a == s {
			return true
		}
	}
	return false
}
