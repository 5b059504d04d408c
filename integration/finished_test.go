package integration

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// 2.6 A program that hands its file to others and closes it makes one version,
// when the last of them is done.
func TestFinishedFiles(t *testing.T) {
	m := newMount(t, newServer(t))
	nothing := func(t *testing.T, name string) {
		t.Helper()
		assert.NotContains(t, sh(t, "ls %s", m.ws(".versions")), name, "it was published before it was finished")
	}
	t.Run("100 commands", func(t *testing.T) {
		sh(t, "cd %s && { for i in $(seq 100); do /bin/echo $i; done; } > report && seq 100 | cmp - report", m.ws())
		assert.Equal(t, []string{"1.0"}, m.versions("report"))
	})
	t.Run("Popen", func(t *testing.T) {
		if _, err := exec.LookPath("python3"); err != nil {
			t.Skip("python3 is not installed: the Go program does the same")
		}
		script := `import subprocess, sys
f = open(sys.argv[1], "w")
p = subprocess.Popen(["sh", "-c", "echo 1; read x; echo 2"], stdin=subprocess.PIPE, stdout=f)
f.close()
p.communicate(b"\n")`
		out, err := exec.Command("python3", "-c", script, m.ws("popen")).CombinedOutput()
		require.NoError(t, err, string(out))
		assert.Equal(t, "1\n2\n", read(t, m.ws("popen")))
		assert.Equal(t, []string{"1.0"}, m.versions("popen"))
	})
	t.Run("exec.Command", func(t *testing.T) {
		f, err := os.Create(m.ws("go"))
		require.NoError(t, err)
		cmd := exec.Command("sh", "-c", "echo 1; read x; echo 2")
		cmd.Stdout = f
		in, err := cmd.StdinPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		require.NoError(t, f.Close())
		nothing(t, "go")
		_, err = io.WriteString(in, "\n")
		require.NoError(t, err)
		require.NoError(t, cmd.Wait())
		assert.Equal(t, "1\n2\n", read(t, m.ws("go")))
		assert.Equal(t, []string{"1.0"}, m.versions("go"))
	})
	t.Run("daemon", func(t *testing.T) {
		fifo := filepath.Join(t.TempDir(), "stop")
		require.NoError(t, syscall.Mkfifo(fifo, 0o600))
		sh(t, `setsid sh -c 'echo started; read x < %s; echo stopped' > %s 2>&1 < /dev/null &`, fifo, m.ws("log"))
		require.Eventually(t, func() bool { return read(t, m.ws("log")) == "started\n" }, patience, 10*time.Millisecond)
		nothing(t, "log")
		sh(t, "echo > %s", fifo)
		require.Eventually(t, func() bool { return strings.Contains(sh(t, "ls %s", m.ws(".versions")), "log") }, patience, 20*time.Millisecond)
		assert.Equal(t, "started\nstopped\n", read(t, m.ws("log")))
		assert.Equal(t, []string{"1.0"}, m.versions("log"))
	})
}

// 2.5 Programs that append to one file at once lose no line of each other.
func TestAppendersLoseNothing(t *testing.T) {
	m := newMount(t, newServer(t))
	sh(t, "cd %s && for p in 1 2 3 4; do (for i in $(seq 50); do /bin/echo $p $i; done >> log) & done; wait", m.ws())
	var want []string
	for p := range 4 {
		for i := range 50 {
			want = append(want, fmt.Sprintf("%d %d", p+1, i+1))
		}
	}
	assert.ElementsMatch(t, want, strings.Split(strings.TrimSpace(read(t, m.ws("log"))), "\n"))
}

// 2.9 The error of publishing is the last closer's, not that of who closed before.
func TestLastCloserGetsTheError(t *testing.T) {
	m := newMount(t, newServer(t, "--fault", "error=-414@POST /files"))
	f, err := os.Create(m.ws("f"))
	require.NoError(t, err)
	cmd := exec.Command("echo", "kept")
	cmd.Stdout = f
	assert.NoError(t, cmd.Run(), "a child that is not the last")
	assert.ErrorIs(t, f.Close(), syscall.EDQUOT)
}
