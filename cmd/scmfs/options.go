package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// kernelOptions are those that the kernel's FUSE or mount(2) take.
var kernelOptions = []string{"nodev", "nosuid", "exec", "noexec", "sync", "dirsync", "lazytime", "nolazytime", "mand", "nomand",
	"atime", "noatime", "relatime", "strictatime", "diratime", "nodiratime", "max_read", "context", "fscontext", "defcontext", "rootcontext"}

// ignoredOptions are for mount(8), systemd and other tools, or our default. dev
// and suid come from mount.fuse unasked; nothing in a store may grant rights.
var ignoredOptions = []string{"rw", "defaults", "auto", "noauto", "user", "users", "nouser", "owner", "group", "_netdev", "_rnetdev",
	"nofail", "comment", "async", "dev", "suid", "default_permissions", "silent", "loud", "nostrictatime", "norelatime"}

// takeOptions sorts what -o has: keys of ours become settings, the rest stays
// for the kernel. Errors name keys only, because a value may be a secret.
func (s *settings) takeOptions(flags *pflag.FlagSet) error {
	f := flags.Lookup("options")
	if f == nil {
		return nil
	}
	slice, ok := f.Value.(pflag.SliceValue)
	if !ok {
		return errors.New("--options is not a list")
	}
	var kernel []string
	for _, o := range slice.GetSlice() {
		key, value, hasValue := strings.Cut(o, "=")
		switch {
		case o == "" || strings.HasPrefix(key, "x-") || strings.HasPrefix(key, "X-"), slices.Contains(ignoredOptions, key) && (!hasValue || key == "comment"):
		case slices.Contains(kernelOptions, key):
			kernel = append(kernel, o)
		default:
			if err := s.takeOption(flags, key, value, hasValue); err != nil {
				return err
			}
		}
	}
	return slice.Replace(kernel)
}

// optionNames are other names of flags: mount(8) keeps user= for itself.
var optionNames = map[string]string{"username": "user", "ro": "read-only"}

func (s *settings) takeOption(flags *pflag.FlagSet, key, value string, hasValue bool) error {
	name := strings.ReplaceAll(key, "_", "-")
	if n, ok := optionNames[key]; ok {
		name = n
	}
	f := flags.Lookup(name)
	switch {
	case f == nil && strings.HasPrefix(name, "pass"):
		return fmt.Errorf("-o %s: a password does not belong in mount options, everybody can see them; use password_file=FILE", key)
	case f == nil, name == "options", name == "help":
		return fmt.Errorf("-o %s: unknown option%s", key, didYouMean(name, flags))
	case f.Changed:
		return nil // the flag itself is stronger
	case !hasValue && f.Value.Type() == "bool":
		value = "true"
	case !hasValue:
		return fmt.Errorf("-o %s: needs a value, %s=…", key, key)
	}
	var v any = value
	if _, isSlice := f.Value.(pflag.SliceValue); isSlice {
		v = strings.Split(value, ":") // a comma would end the option
	}
	if name == "seed" {
		v = strings.Split(value, "+") // they have colons
	}
	if err := setFlag(f, v); err != nil {
		return fmt.Errorf("-o %s: %w", key, err)
	}
	s.set(name, origin{fromOption, "-o " + key})
	return nil
}
