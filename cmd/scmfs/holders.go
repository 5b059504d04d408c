package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// holders names the processes that use a mount, as ": bash (pid 4711)", as far
// as we may see them. Links in /proc are read without asking the mount, but a
// process that hangs may hold up who looks at it, hence the limit.
func holders(dir string, d time.Duration) string {
	ch := make(chan []string, 1)
	go func() { ch <- holdersIn("/proc", dir) }()
	select {
	case all := <-ch:
		if len(all) > 0 {
			more := ""
			if len(all) > 5 {
				more = fmt.Sprintf(" and %d more", len(all)-5)
			}
			return " by " + strings.Join(all[:min(len(all), 5)], ", ") + more
		}
	case <-time.After(d):
	}
	return ": close what works there and try again"
}

func holdersIn(proc, dir string) (all []string) {
	entries, err := os.ReadDir(proc)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		pid := e.Name()
		if pid[0] < '0' || pid[0] > '9' {
			continue
		}
		links := []string{"cwd", "root", "exe"}
		if fds, err := os.ReadDir(filepath.Join(proc, pid, "fd")); err == nil {
			for _, fd := range fds {
				links = append(links, "fd/"+fd.Name())
			}
		}
		for _, l := range links {
			to, err := os.Readlink(filepath.Join(proc, pid, l))
			if err == nil && (to == dir || strings.HasPrefix(to, dir+"/")) {
				comm, _ := os.ReadFile(filepath.Join(proc, pid, "comm"))
				all = append(all, fmt.Sprintf("%s (pid %s)", strings.TrimSpace(string(comm)), pid))
				break
			}
		}
	}
	return all
}
