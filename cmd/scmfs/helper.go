package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Exit codes of mount(8), which reads those of its helpers.
const (
	mountOK      = 0
	mountUsage   = 1
	mountFailure = 32
)

// dispatch runs the program under the name it was called by: scmfs, or what
// mount(8) and umount(8) look for in /sbin.
func dispatch(argv []string) int {
	args := argv[1:]
	switch filepath.Base(argv[0]) {
	case "mount.scmfs", "mount.fuse.scmfs":
		return mountHelper(args)
	case "umount.scmfs", "umount.fuse.scmfs":
		return umountHelper(args)
	}
	if fromMountFuse(args) {
		return mountHelper(args)
	}
	return run(args)
}

// fromMountFuse recognises "scmfs SOURCE DIR -o …", which is how fuse3's
// mount.fuse calls a file system that has no helper of its own.
func fromMountFuse(args []string) bool {
	return len(args) >= 2 && !strings.HasPrefix(args[0], "-") && strings.ContainsAny(args[0], "/:") && filepath.IsAbs(args[1])
}

// mountHelper is "mount.scmfs SOURCE DIR [-sfnvrw] [-o OPTIONS] [-t TYPE] [-N NS]".
func mountHelper(args []string) int {
	line, err := mountLine(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mount.scmfs:", err)
		return mountUsage
	}
	if line == nil {
		return mountOK
	}
	switch run(line) {
	case exitOK:
		return mountOK
	case exitUsage:
		return mountUsage
	}
	return mountFailure
}

// mountLine turns a helper's command line into one of scmfs; nil when mount(8)
// only wanted to see whether the helper can be called (-f).
func mountLine(args []string) ([]string, error) {
	var where, options []string
	var sloppy, fake bool
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if arg == "" || arg[0] != '-' || arg == "-" {
			where = append(where, arg)
			continue
		}
		for i, letter := range arg[1:] {
			switch letter {
			case 's':
				sloppy = true
			case 'f':
				fake = true
			case 'r':
				options = append(options, "ro")
			case 'n', 'v', 'w':
			case 'o', 't', 'N':
				value := arg[i+2:]
				if value == "" {
					if len(args) == 0 {
						return nil, fmt.Errorf("-%c needs a value", letter)
					}
					value, args = args[0], args[1:]
				}
				if letter == 'o' {
					options = append(options, strings.Split(value, ",")...)
				}
			default:
				return nil, fmt.Errorf("unknown flag -%c", letter)
			}
			if strings.ContainsRune("otN", letter) {
				break
			}
		}
	}
	if len(where) != 2 {
		return nil, errors.New("usage: mount.scmfs SOURCE DIR [-o OPTIONS]")
	}
	if fake {
		return nil, nil
	}
	if sloppy {
		options = knownOptions(options)
	}
	line := append([]string{"mount"}, sourceArgs(where[0], where[1])...)
	if len(options) > 0 {
		line = append(line, "-o", strings.Join(options, ","))
	}
	return line, nil
}

// sourceArgs says what the first column of fstab means: a configuration file, an
// embedded server's directory, "scmfs" or "none" for what the settings say, or
// seeds.
func sourceArgs(source, dir string) []string {
	switch {
	case source == "scmfs" || source == "none":
		return []string{dir}
	case filepath.IsAbs(source) && (strings.HasSuffix(source, ".yaml") || strings.HasSuffix(source, ".yml")):
		return []string{"--config", source, dir}
	case filepath.IsAbs(source):
		return []string{"--embedded", source, dir}
	}
	return []string{source, dir}
}

// knownOptions leaves out what would be an error.
func knownOptions(options []string) (known []string) {
	for _, o := range options {
		s := &settings{origin: map[string]origin{}}
		set := schema()
		if set.Set("options", o) == nil && s.takeOptions(set) == nil {
			known = append(known, o)
		}
	}
	return known
}

// umountHelper is "umount.scmfs DIR [-nflvr] [-t TYPE] [-N NS]": umount(8) waits
// for uploads. Forced or lazy it does not wait for anything.
func umountHelper(args []string) int {
	line := []string{"umount"}
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case arg == "-t" || arg == "-N" || arg == "-O":
			i++
		case strings.HasPrefix(arg, "-"):
			if strings.ContainsAny(arg, "fl") && !strings.HasPrefix(arg, "--") {
				line = append(line, "--lazy")
			}
		default:
			line = append(line, arg)
		}
	}
	return run(line)
}
