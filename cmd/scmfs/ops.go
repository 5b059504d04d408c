package main

import (
	"fmt"
	"net"

	"github.com/spf13/cobra"
)

// opsFlags are mount's options for whoever looks after the mount.
type opsFlags struct {
	logFormat  string
	logMaxSize size
	logKeep    int
	auditLog   string
	pprof      bool
	settings   string // every one in force and its origin, a line each
}

func (o *opsFlags) flags(cmd *cobra.Command) {
	o.logMaxSize = 32 << 20
	f := cmd.Flags()
	f.StringVar(&o.logFormat, "log-format", "auto", "text, json, or auto: text on a terminal and JSON otherwise")
	f.Var(&o.logMaxSize, "log-max-size", "start a new log file at this size")
	f.IntVar(&o.logKeep, "log-keep", 5, "old log files to keep, as FILE.1 (the newest), FILE.2, …")
	f.StringVar(&o.auditLog, "audit-log", "", "write a JSON line for every operation that changes something to this file; rotated like the log")
	f.BoolVar(&o.pprof, "pprof", false, "serve Go's profiles below /debug/pprof at the address of --http")
}

func (o *opsFlags) check(httpAddr string) *badSetting {
	switch {
	case o.logFormat != "auto" && o.logFormat != "text" && o.logFormat != "json":
		return &badSetting{"log-format", fmt.Sprintf("%q: must be auto, text or json", o.logFormat)}
	case o.logMaxSize < 64<<10:
		return &badSetting{"log-max-size", o.logMaxSize.String() + ": must be at least 64KiB"}
	case o.logKeep < 1 || o.logKeep > 1000:
		return &badSetting{"log-keep", fmt.Sprintf("%d: must be between 1 and 1000", o.logKeep)}
	case o.pprof && httpAddr == "":
		return &badSetting{"pprof", "needs http"}
	}
	if httpAddr != "" {
		if _, _, err := net.SplitHostPort(httpAddr); err != nil {
			return &badSetting{"http", fmt.Sprintf("%q: want ADDRESS:PORT such as 127.0.0.1:9100", httpAddr)}
		}
	}
	return nil
}

// opsCommands are the commands that look after a running mount.
func opsCommands() []*cobra.Command {
	return []*cobra.Command{statusCommand(), pendingCommand(), waitCommand(), versionsCommand(), restoreCommand(), verifyCommand(),
		logLevelCommand(), doctorCommand(), selftestCommand(), debugCommand()}
}
