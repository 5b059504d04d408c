package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/sequoiacm/scmfs/fs"
)

// logger makes the mount's log. In the background it is a file even when none is
// named: standard error is that file then, and the file must follow when it is
// rotated.
func (m *mountFlags) logger() (*logrus.Logger, func(), error) {
	log := logrus.New()
	level, err := logrus.ParseLevel(m.logLevel)
	if err != nil {
		return nil, nil, err
	}
	log.SetLevel(level)
	path, daemon := m.logPath()
	if path == "" {
		log.SetFormatter(logFormat(m.ops.logFormat, onTerminal(os.Stderr)))
		return log, func() {}, nil
	}
	f, err := openLogFile(path, int64(m.ops.logMaxSize), m.ops.logKeep, daemon)
	if err != nil {
		return nil, nil, err
	}
	log.SetOutput(f)
	log.SetFormatter(logFormat(m.ops.logFormat, false))
	return log, func() { log.SetOutput(io.Discard); _ = f.Close() }, nil
}

// logPath names the log file, "" for standard error.
func (m *mountFlags) logPath() (path string, daemon bool) {
	daemon = os.Getenv(daemonMark) != ""
	if m.logFile == "" && daemon {
		return filepath.Join(m.stateDir, "scmfs.log"), true
	}
	return m.logFile, daemon
}

func logFormat(format string, terminal bool) logrus.Formatter {
	if format == "text" || format == "auto" && terminal {
		return &logrus.TextFormatter{FullTimestamp: true, TimestampFormat: time.TimeOnly, DisableColors: !terminal}
	}
	return &logrus.JSONFormatter{TimestampFormat: time.RFC3339Nano}
}

// logLine is a warning or an error, for people.
type logLine struct {
	Time    time.Time `json:"time"`
	First   time.Time `json:"first"` // of Count equal ones
	Count   int       `json:"count"`
	Level   string    `json:"level"`
	Message string    `json:"message"`
	File    string    `json:"file,omitempty"`
	Error   string    `json:"error,omitempty"`
}

// recentErrors keeps the newest warnings and errors of a log. Safe for concurrent
// use.
type recentErrors struct {
	count func(level string) // may be nil

	mu    sync.Mutex
	lines []logLine
}

const keptErrors = 100

// Levels implements logrus.Hook.
func (r *recentErrors) Levels() []logrus.Level {
	return []logrus.Level{logrus.PanicLevel, logrus.FatalLevel, logrus.ErrorLevel, logrus.WarnLevel}
}

// Fire implements logrus.Hook.
func (r *recentErrors) Fire(e *logrus.Entry) error {
	l := logLine{Time: e.Time, First: e.Time, Count: 1, Level: e.Level.String(), Message: e.Message}
	if err, ok := e.Data[logrus.ErrorKey]; ok {
		l.Error = fmt.Sprint(err)
	}
	for _, k := range []string{"file", "name", "directory", "workspace", "record"} {
		if v, ok := e.Data[k]; ok {
			l.File = fmt.Sprint(v)
			break
		}
	}
	if r.count != nil {
		r.count(l.Level)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.lines { // something that goes on must not push the rest out
		if o := &r.lines[i]; o.Level == l.Level && o.Message == l.Message && o.File == l.File && o.Error == l.Error {
			l.First, l.Count = o.First, o.Count+1
			r.lines = slices.Delete(r.lines, i, i+1)
			break
		}
	}
	r.lines = append(r.lines, l)
	if n := len(r.lines); n > keptErrors {
		r.lines = slices.Clone(r.lines[n-keptErrors:])
	}
	return nil
}

// all returns what is kept, newest first.
func (r *recentErrors) all() []logLine {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := slices.Clone(r.lines)
	slices.Reverse(out)
	return out
}

// auditLine is a line of the audit log, documented in docs/METRICS.md.
type auditLine struct {
	Time  time.Time `json:"time"`
	Op    string    `json:"op"`
	Path  string    `json:"path"`
	To    string    `json:"to,omitempty"`
	Bytes int64     `json:"bytes,omitempty"`
	UID   uint32    `json:"uid"`
	GID   uint32    `json:"gid"`
	PID   uint32    `json:"pid"`
	Errno string    `json:"errno"` // "OK", or a name such as "ENOSPC"
	MS    float64   `json:"ms"`
}

// audit returns what writes the audit log, nil without one, and what closes it.
// A line that cannot be written is an error in the log; the operation was carried
// out and is not failed for it.
func (m *mountFlags) audit(log logrus.FieldLogger) (func(fs.AuditEvent), func() error, error) {
	if m.ops.auditLog == "" {
		return nil, func() error { return nil }, nil
	}
	f, err := openLogFile(m.ops.auditLog, int64(m.ops.logMaxSize), m.ops.logKeep, false)
	if err != nil {
		return nil, nil, fmt.Errorf("audit log: %w", err)
	}
	return func(e fs.AuditEvent) {
		b, err := json.Marshal(auditLine{Time: time.Now(), Op: e.Op, Path: e.Path, To: e.To, Bytes: e.Bytes, UID: e.UID, GID: e.GID, PID: e.PID,
			Errno: errnoName(e.Errno), MS: float64(e.Took.Microseconds()) / 1000})
		if err == nil {
			_, err = f.Write(append(b, '\n'))
		}
		if err != nil && !errors.Is(err, os.ErrClosed) {
			log.WithError(err).WithField("file", e.Path).Errorf("%s was done but is not in the audit log; free space on its disk", e.Op)
		}
	}, f.Close, nil
}

// errnoName is "OK" or the symbolic name.
func errnoName(e unix.Errno) string {
	if e == 0 {
		return "OK"
	}
	if name := unix.ErrnoName(e); name != "" {
		return name
	}
	return fmt.Sprintf("E%d", int(e))
}

func logLevelCommand() *cobra.Command {
	return &cobra.Command{
		Use: "log-level MOUNTPOINT [LEVEL]", Short: "Show or change what a running mount logs", Args: rangeArgs(1, 2),
		Long:    "Shows the level of a mount's log or changes it until the mount ends: error, warn, info, debug or trace.",
		Example: "  scmfs log-level /mnt/scm debug",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := attachArg(args[0])
			if err != nil {
				return err
			}
			if len(args) == 1 {
				cmd.Println(c.status.LogLevel)
				return nil
			}
			if _, err := logrus.ParseLevel(args[1]); err != nil {
				return usage(err)
			}
			_, err = c.do(cmd.Context(), http.MethodPost, "/log-level", map[string][]string{"level": {args[1]}}, nil)
			return err
		},
	}
}

// setLevel answers log-level.
func (r *running) setLevel(w http.ResponseWriter, q *http.Request) {
	level, err := logrus.ParseLevel(q.FormValue("level"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.log.SetLevel(level)
	r.log.WithField("level", level.String()).Info("log level changed")
}
