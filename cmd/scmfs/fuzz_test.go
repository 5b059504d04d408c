package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzConfigFile is for what an administrator, or whoever may write it, has in a
// configuration file: every value that is taken is one that its flag takes, what is
// refused is named with its line, and passwords are refused.
func FuzzConfigFile(f *testing.F) {
	for _, s := range []string{"", "# nothing\n", "seed: [a:1/s, b:1/s]\nmountpoint: /mnt\n", "password: x\n", "policies:\n  ws:\n    read-only: true\n", "a: &a [*a]\n", "timeout: 5s\nuploads: -1\n",
		"a: {a: {a: {a: 1}}}\n", "mountpoint: !!binary AAAA\n", "? [x]\n: y\n", "seed: \"\x00\"\n", "---\na: 1\n---\nb: 2\n", "<<: {user: x}\n"} {
		f.Add([]byte(s))
	}
	path := filepath.Join(f.TempDir(), "config.yaml")
	flags := schema()
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 64<<10 {
			return
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := readConfigFile(path, flags)
		if err != nil {
			if !strings.Contains(err.Error(), "config.yaml:") {
				t.Fatalf("where? %v", err)
			}
			return
		}
		for key, v := range c.values {
			if strings.Contains(strings.ToLower(key), "password") && key != "password-file" && key != "password-command" && !strings.HasSuffix(key, "/password-file") && !strings.HasSuffix(key, "/password-command") {
				t.Fatalf("%s is taken", key)
			}
			if c.lines[key] < 1 {
				t.Fatalf("%s = %v has no line", key, v)
			}
		}
	})
}
