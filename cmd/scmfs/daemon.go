package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// daemonMark is in the environment of the process that mount leaves behind; it
// names the descriptor on which that one reports.
const daemonMark = "SCMFS_READY_FD"

// background runs this command line again in a session of its own and waits for
// its report. Go cannot fork, so the program starts itself anew.
//
// Where systemd waits for a mount at an automount point, only its own process
// group may touch the directory, so there the new process stays in our session.
func background(ctx context.Context, stateDir, logFile, mountpoint string) error {
	if err := os.MkdirAll(stateDir, 0o700); err != nil {
		return err
	}
	path := logFile
	if path == "" {
		path = filepath.Join(stateDir, "scmfs.log")
	}
	log, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fileFailure("log file", err)
	}
	defer log.Close()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd := exec.Command(self, commandLine(ctx)...)
	cmd.Env = append(os.Environ(), daemonMark+"=3")
	cmd.ExtraFiles = []*os.File{w}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: readMountTable().top(mountpoint) != "autofs"}
	err = cmd.Start()
	_ = w.Close()
	if err != nil {
		return err
	}
	line, rerr := bufio.NewReader(r).ReadString('\n')
	if rerr != nil && !errors.Is(rerr, io.EOF) {
		return rerr
	}
	line = strings.TrimSpace(line)
	if line == "ok" {
		return cmd.Process.Release()
	}
	_ = cmd.Wait()
	code, msg, _ := strings.Cut(line, " ")
	n, err := strconv.Atoi(code)
	if err != nil {
		return fmt.Errorf("the mount ended without a word; its log is %s", path)
	}
	return failure(n, errors.New(msg))
}

type commandLineKey struct{}

// withCommandLine keeps the arguments of this run, which are not those of the
// process when mount(8) called it.
func withCommandLine(ctx context.Context, args []string) context.Context {
	return context.WithValue(ctx, commandLineKey{}, args)
}

func commandLine(ctx context.Context) []string {
	args, _ := ctx.Value(commandLineKey{}).([]string)
	return args
}

var reported sync.Once

// reportReady tells the waiting parent how the start went; once.
func reportReady(err error) {
	reported.Do(func() {
		fd, aerr := strconv.Atoi(os.Getenv(daemonMark))
		if aerr != nil {
			return
		}
		f := os.NewFile(uintptr(fd), "ready")
		defer f.Close()
		if err == nil {
			_, _ = fmt.Fprintln(f, "ok")
			return
		}
		_, _ = fmt.Fprintln(f, exitCode(err), strings.ReplaceAll(err.Error(), "\n", "; "))
	})
}
