package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// policyKey is the section of a configuration file with what differs from one
// workspace to another; policySep cannot be part of a workspace's name.
const (
	policyKey = "policy"
	policySep = "/"
)

// policyKeys are the flags of mount that may differ by workspace. A new one
// needs a row here, one in policy.go, and nothing else.
var policyKeys = []string{"read-only", "write-mode", "conflict", "increment-size", "held-names", "trash", "trash-days"}

// configFile is a configuration file, checked: every key is known and every
// value is one that its flag takes.
type configFile struct {
	path   string
	values map[string]any // string or []string, by key; policies as policy/WORKSPACE/KEY
	lines  map[string]int
}

// where names the place of a key.
func (c *configFile) where(key string) string { return fmt.Sprintf("%s:%d", c.path, c.lines[key]) }

// readConfigFile reads a file; all that is wrong with it is in the error, one
// line each as FILE:LINE: KEY: what.
func readConfigFile(path string, schema *pflag.FlagSet) (*configFile, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(abs)
	if err != nil {
		return nil, fileFailure("configuration", err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		// The parser says "yaml: line N: ...".
		return nil, fmt.Errorf("%s: %s", abs, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	c := &configFile{path: abs, values: map[string]any{}, lines: map[string]int{}}
	if len(doc.Content) == 0 || isNull(doc.Content[0]) {
		return c, nil // nothing but comments
	}
	p := &configParser{file: c, schema: schema}
	p.mapping(doc.Content[0], "the file", p.topLevel)
	return c, errors.Join(p.errs...)
}

type configParser struct {
	file   *configFile
	schema *pflag.FlagSet
	errs   []error
}

func (p *configParser) bad(n *yaml.Node, format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("%s:%d: %s", p.file.path, n.Line, fmt.Sprintf(format, args...)))
}

// mapping calls each for the pairs of a mapping whose keys are plain and there
// once.
func (p *configParser) mapping(n *yaml.Node, what string, each func(key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		p.bad(n, "%s must be made of lines KEY: VALUE", what)
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		if key.Kind != yaml.ScalarNode {
			p.bad(key, "a key must be a word")
			continue
		}
		if first := seen[key.Value]; first != 0 {
			p.bad(key, "%s: is there already, in line %d", key.Value, first)
			continue
		}
		seen[key.Value] = key.Line
		each(key, value)
	}
}

func (p *configParser) topLevel(key, value *yaml.Node) {
	if key.Value != policyKey {
		p.setting(key, value, key.Value, "")
		return
	}
	if isNull(value) {
		return
	}
	p.mapping(value, policyKey, func(ws, rules *yaml.Node) {
		p.mapping(rules, policyKey+" of "+ws.Value, func(k, v *yaml.Node) {
			if !slices.Contains(policyKeys, k.Value) {
				p.bad(k, "unknown key %q for a workspace; known are %s", k.Value, strings.Join(policyKeys, ", "))
				return
			}
			p.setting(k, v, k.Value, policyKey+policySep+ws.Value+policySep)
		})
	})
}

func (p *configParser) setting(key, value *yaml.Node, name, prefix string) {
	flag := p.schema.Lookup(name)
	if flag == nil {
		if strings.HasPrefix(name, "password") && name != "password-file" && name != "password-command" {
			p.bad(key, "%s: a password does not belong in this file: use password-file or password-command", name)
			return
		}
		p.bad(key, "unknown key %q%s", name, didYouMean(name, p.schema))
		return
	}
	v, err := plainValue(value)
	if err == nil {
		err = setFlag(flag, v)
	}
	if err != nil {
		p.bad(value, "%s: %v", name, err)
		return
	}
	if list, _ := v.([]string); prefix == "" && (v == "" && flag.DefValue == "" || list != nil && len(list) == 0 && flag.DefValue == "[]") {
		return // an empty value stands for none; it must not stand against another setting
	}
	p.file.values[prefix+name], p.file.lines[prefix+name] = v, key.Line
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// plainValue is the text of a scalar or the texts of a list: the flag says what
// they mean, not YAML.
func plainValue(n *yaml.Node) (any, error) {
	switch {
	case isNull(n):
		return nil, errors.New("has no value")
	case n.Kind == yaml.ScalarNode:
		return n.Value, nil
	case n.Kind == yaml.SequenceNode:
		list := make([]string, 0, len(n.Content))
		for _, e := range n.Content {
			if e.Kind != yaml.ScalarNode || isNull(e) {
				return nil, errors.New("a list must be made of plain values")
			}
			list = append(list, e.Value)
		}
		return list, nil
	}
	return nil, errors.New("want a value or a list")
}

// setFlag gives a flag a value as it comes from a file, the environment or -o.
func setFlag(f *pflag.Flag, v any) error {
	slice, isSlice := f.Value.(pflag.SliceValue)
	switch v := v.(type) {
	case []string:
		if !isSlice {
			return errors.New("takes one value, not a list")
		}
		return slice.Replace(v)
	case string:
		if isSlice {
			return slice.Replace(splitList(v))
		}
		if err := f.Value.Set(v); err != nil {
			return wrongValue(f, v, err)
		}
		return nil
	}
	return fmt.Errorf("unexpected %T", v)
}

func splitList(s string) []string {
	if s == "" {
		return []string{}
	}
	return strings.Split(s, ",")
}

// wrongValue says what would have been right, without Go's words.
func wrongValue(f *pflag.Flag, v string, err error) error {
	want := map[string]string{
		"bool": "true or false", "int": "a whole number", "uint32": "a whole number, not negative", "duration": "a time such as 30s or 5m",
	}[f.Value.Type()]
	if want == "" {
		return fmt.Errorf("%q: %w", v, err)
	}
	return fmt.Errorf("%q: want %s", v, want)
}

// didYouMean suggests a known key for a misspelt one.
func didYouMean(name string, schema *pflag.FlagSet) string {
	name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
	best, score := "", 3
	schema.VisitAll(func(f *pflag.Flag) {
		if d := editDistance(name, f.Name); d < score {
			best, score = f.Name, d
		}
	})
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
