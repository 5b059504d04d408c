package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Where a setting may come from. The higher one wins.
const (
	fromDefault = iota
	fromFile
	fromEnvironment
	fromOption // -o, as in fstab
	fromFlag
)

const precedenceHelp = `Every flag of mount can also be set, from the weakest to the strongest, by
  a configuration file   KEY: VALUE, the key is the flag without "--"; see 'scmfs config'
  the environment        SCMFS_KEY, upper case and with "_" for "-"
  -o KEY=VALUE           with "_" or "-"; this is what fstab uses
  the flag itself
The file is the one of --config, else of $SCMFS_CONFIG, else ` + defaultConfig + ` if
it exists. SCMFS_CONFIG= (empty) stands for no file.`

const defaultConfig = "/etc/scmfs/scmfs.yaml"

// exclusive are settings of which one makes the others pointless: the strongest
// wins, two that are equally strong are an error.
var exclusive = [][]string{
	{"seed", "embedded"},
	{"password-file", "password-command", passwordVariable},
}

// pathKeys are resolved against the file's directory when they are in a file.
var pathKeys = []string{"embedded", "state-dir", "log-file", "cache-dir", "audit-log", "password-file", "ca-file", "mountpoint"}

// settings are what the layers above the defaults say.
type settings struct {
	file   *configFile // nil: none
	k      *koanf.Koanf
	origin map[string]origin // by key
}

// origin is where a setting was made.
type origin struct {
	rank int
	text string // "--user", "$SCMFS_USER", "/etc/scmfs/scmfs.yaml:3", …
}

type settingsKey struct{}

// settingsOf returns what settle found for the running command.
func settingsOf(ctx context.Context) *settings {
	s, _ := ctx.Value(settingsKey{}).(*settings)
	if s == nil {
		return &settings{k: koanf.New(policySep), origin: map[string]origin{}}
	}
	return s
}

// schema are the keys that a configuration may have, as flags with their defaults.
func schema() *pflag.FlagSet { return schemaOf(&mountFlags{}) }

// schemaOf binds them to m, whose fields become the defaults.
func schemaOf(m *mountFlags) *pflag.FlagSet {
	cmd := &cobra.Command{}
	m.flags(cmd)
	set := pflag.NewFlagSet("schema", pflag.ContinueOnError)
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "config" {
			set.AddFlag(f)
		}
	})
	return set
}

// settle gives the flags of a command that were not given the values of the
// weaker layers. It runs before every command; those without --config have no
// settings.
func settle(cmd *cobra.Command, _ []string) error {
	flags := cmd.Flags()
	if flags.Lookup("config") == nil {
		return nil
	}
	s := &settings{origin: map[string]origin{}}
	flags.Visit(func(f *pflag.Flag) { s.origin[f.Name] = origin{fromFlag, "--" + f.Name} })
	if err := s.takeOptions(flags); err != nil {
		return usage(err)
	}
	path, err := configPath(flags)
	if err != nil {
		return usage(err)
	}
	if err := s.load(path); err != nil {
		return usage(err)
	}
	if err := s.apply(flags); err != nil {
		return usage(err)
	}
	cmd.SetContext(context.WithValue(cmd.Context(), settingsKey{}, s))
	return nil
}

// configPath is the file to read, "" for none.
func configPath(flags *pflag.FlagSet) (string, error) {
	if path, _ := flags.GetString("config"); path != "" {
		return path, nil
	}
	if path, ok := os.LookupEnv("SCMFS_CONFIG"); ok {
		return path, nil
	}
	_, err := os.Stat(defaultConfig)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return defaultConfig, err
}

// load merges file and environment.
func (s *settings) load(path string) error {
	s.k = koanf.New(policySep)
	keys := schema()
	if path != "" {
		var err error
		if s.file, err = readConfigFile(path, keys); err != nil {
			return err
		}
		s.file.absolute()
		if err := s.merge(s.file.values, func(key string) origin { return origin{fromFile, s.file.where(key)} }); err != nil {
			return err
		}
	}
	env := map[string]any{}
	var errs []error
	schema().VisitAll(func(f *pflag.Flag) {
		name := variable(f.Name)
		v := os.Getenv(name)
		if v == "" {
			return
		}
		if err := setFlag(f, v); err != nil {
			errs = append(errs, fmt.Errorf("$%s: %w", name, err))
		}
		env[f.Name] = v
	})
	if os.Getenv(passwordVariable) != "" {
		s.set(passwordVariable, origin{fromEnvironment, "$" + passwordVariable})
	}
	errs = append(errs, s.merge(env, func(key string) origin { return origin{fromEnvironment, "$" + variable(key)} }))
	return errors.Join(errs...)
}

func variable(key string) string {
	return "SCMFS_" + strings.ToUpper(strings.ReplaceAll(key, "-", "_"))
}

// merge puts a layer on top of those below.
func (s *settings) merge(layer map[string]any, from func(key string) origin) error {
	for key := range layer {
		s.set(key, from(key))
	}
	return s.k.Load(confmap.Provider(layer, policySep), nil)
}

// set notes where a key comes from unless a stronger layer has it.
func (s *settings) set(key string, o origin) {
	if o.rank > s.origin[key].rank {
		s.origin[key] = o
	}
}

// apply sets the flags that no stronger layer has.
func (s *settings) apply(flags *pflag.FlagSet) error {
	dropped, err := s.decide()
	if err != nil {
		return err
	}
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		o := s.origin[f.Name]
		if o.rank != fromFile && o.rank != fromEnvironment || dropped[f.Name] {
			return
		}
		v := s.value(f.Name)
		if list, ok := v.([]string); ok && f.Value.Type() == "string" {
			v = strings.Join(list, ",") // --seed of other commands than mount
		}
		if err := setFlag(f, v); err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", o.text, f.Name, err))
		}
	})
	return errors.Join(errs...)
}

// value is what file and environment together say.
func (s *settings) value(key string) any {
	if v, ok := s.k.Get(key).([]string); ok {
		return v
	}
	return s.k.String(key)
}

// decide chooses among settings that exclude each other; the losers are dropped.
func (s *settings) decide() (dropped map[string]bool, err error) {
	dropped = map[string]bool{}
	for _, group := range exclusive {
		best := ""
		for _, key := range group {
			if s.origin[key].rank > s.origin[best].rank {
				best = key
			}
		}
		for _, key := range group {
			switch o := s.origin[key]; {
			case key == best || o.rank == fromDefault:
			case o.rank == s.origin[best].rank:
				return nil, fmt.Errorf("give either %s or %s, not both", s.origin[best].text, o.text)
			default:
				dropped[key] = true
				delete(s.origin, key)
			}
		}
	}
	return dropped, nil
}

// absolute makes paths in a file independent of where scmfs is started.
func (c *configFile) absolute() {
	for _, key := range pathKeys {
		if v, ok := c.values[key].(string); ok && v != "" && !filepath.IsAbs(v) {
			c.values[key] = filepath.Join(filepath.Dir(c.path), v)
		}
	}
}

// badSetting is a value that its flag takes but the mount cannot use.
type badSetting struct {
	key  string
	text string
}

func (b *badSetting) Error() string { return "--" + b.key + " " + b.text }

// blame says where a bad setting was made.
func (s *settings) blame(err error) error {
	bad, ok := errors.AsType[*badSetting](err)
	if !ok {
		return err
	}
	o, ok := s.origin[bad.key]
	switch {
	case !ok || o.rank == fromFlag:
		return usage(bad)
	case o.rank == fromFile:
		return usage(fmt.Errorf("%s: %s: %s", o.text, bad.key[strings.LastIndex(bad.key, policySep)+1:], bad.text))
	}
	return usage(fmt.Errorf("%s: %s", o.text, bad.text))
}
