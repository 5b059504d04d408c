package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// passwordVariable is the environment's way to give a password.
const passwordVariable = "SCMFS_PASSWORD"

// maxSecret bounds what is read as a password.
const maxSecret = 64 << 10

// readSecret reads a file that only its owner, we or root, may read. It looks at
// the file that it has opened, so that nobody can swap it in between.
func readSecret(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	switch st, _ := fi.Sys().(*syscall.Stat_t); {
	case !fi.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", path)
	case fi.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("%s can be read by others (mode %04o): run 'chmod 600 %s'", path, fi.Mode().Perm(), path)
	case st != nil && st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return nil, fmt.Errorf("%s belongs to user %d: who can write it could choose the password; run 'chown %d %s'", path, st.Uid, os.Geteuid(), path)
	}
	return io.ReadAll(io.LimitReader(f, maxSecret))
}

func readPasswordFile(path string) (string, error) {
	b, err := readSecret(path)
	if err != nil {
		return "", fileFailure("password file", err)
	}
	return onePassword(b, "password file "+path)
}

// onePassword is the first line, without its end.
func onePassword(b []byte, what string) (string, error) {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	pw := strings.TrimRight(string(line), "\r")
	if pw == "" {
		return "", fmt.Errorf("%s is empty", what)
	}
	return pw, nil
}

// runPasswordCommand runs a shell command and takes the first line that it
// prints. Errors carry what it said on stderr, never its output.
func runPasswordCommand(command string, timeout time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command) // no PATH under mount(8)
	cmd.Env = append(os.Environ(), "PATH="+pathOrDefault())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("password command: no answer within %s", timeout)
	case err != nil:
		return "", fmt.Errorf("password command: %w: %s", err, firstLine(complaint.String()))
	case out.Len() > maxSecret:
		return "", errors.New("password command: it prints too much")
	}
	return onePassword(out.Bytes(), "password command: the output")
}

func pathOrDefault() string {
	if p := os.Getenv("PATH"); p != "" {
		return p
	}
	return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line[:min(len(line), 200)]
}
