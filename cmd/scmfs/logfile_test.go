package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
)

func TestLogFileIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, err := openLogFile(path, 100, 2, false)
	require.NoError(t, err)
	for i := range 12 {
		_, err := fmt.Fprintf(l, "%039d\n", i) // two lines fit
		require.NoError(t, err)
	}
	require.NoError(t, l.Close())
	read := func(p string) string {
		b, err := os.ReadFile(p)
		require.NoError(t, err)
		return string(b)
	}
	require.Equal(t, fmt.Sprintf("%039d\n%039d\n", 10, 11), read(path))
	require.Equal(t, fmt.Sprintf("%039d\n%039d\n", 8, 9), read(path+".1"))
	require.Equal(t, fmt.Sprintf("%039d\n%039d\n", 6, 7), read(path+".2"))
	require.NoFileExists(t, path+".3")
	_, err = l.Write([]byte("x"))
	require.ErrorIs(t, err, os.ErrClosed)
}

func TestLogFileGoesOnAfterRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for i := range 3 {
		l, err := openLogFile(path, 50, 2, false)
		require.NoError(t, err)
		_, err = fmt.Fprintf(l, "%019d\n", i)
		require.NoError(t, err)
		require.NoError(t, l.Close())
	}
	require.FileExists(t, path+".1", "the size of what was there counts")
}

// A line longer than the bound is written, and a rotation that fails loses nothing.
func TestLogFileLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, err := openLogFile(path, 10, 1, false)
	require.NoError(t, err)
	long := strings.Repeat("x", 30) + "\n"
	_, err = l.Write([]byte(long))
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(path+".1", 0o700)) // in the way
	_, err = l.Write([]byte("more\n"))
	require.NoError(t, err)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, long+"more\n", string(b))
	require.NoError(t, l.Close())
}

func TestLogFileFollowsLogrotate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, err := openLogFile(path, 1000, 1, false)
	require.NoError(t, err)
	_, err = l.Write([]byte("one\n"))
	require.NoError(t, err)
	require.NoError(t, os.Rename(path, path+".old"))
	l.looked = time.Now().Add(-2 * time.Second)
	_, err = l.Write([]byte("two\n"))
	require.NoError(t, err)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "two\n", string(b))
	require.NoError(t, l.Close())
}

func TestLogFormats(t *testing.T) {
	var b bytes.Buffer
	log := logrus.New()
	log.SetOutput(&b)
	for _, c := range []struct {
		format   string
		terminal bool
		json     bool
	}{{"auto", true, false}, {"auto", false, true}, {"text", false, false}, {"json", true, true}} {
		b.Reset()
		log.SetFormatter(logFormat(c.format, c.terminal))
		log.Info("hello")
		require.Equal(t, c.json, strings.HasPrefix(b.String(), "{"), "%+v: %s", c, b.String())
	}
	require.False(t, onTerminal(&b))
	f, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer f.Close()
	require.False(t, onTerminal(f))
}

func TestSecretsAreRemoved(t *testing.T) {
	for in, want := range map[string]string{
		`{"user":"admin","password":"s3cret","x":1}`:          `{"user":"admin","password":"REMOVED","x":1}`,
		`x-auth-token: abcdef012345`:                          `x-auth-token: REMOVED`,
		`"token": "ABC", "other": "kept"`:                     `"token": "REMOVED", "other": "kept"`,
		`Authorization: Bearer abc.def`:                       `Authorization: Bearer REMOVED`,
		`http://user:pw@host:80/site`:                         `http://user:REMOVED@host:80/site`,
		`password-file = /etc/scmfs/alice  # set`:             `password-file = /etc/scmfs/alice  # set`,
		`GET /x?sessionId=123&a=b`:                            `GET /x?sessionId=REMOVED&a=b`,
		`the password of alice is wrong`:                      `the password of alice is wrong`,
		`SCMFS_PASSWORD=hunter2 scmfs mount`:                  `SCMFS_PASSWORD=REMOVED scmfs mount`,
		`{"msg":"file secret.txt not published","level":"x"}`: `{"msg":"file secret.txt not published","level":"x"}`,
	} {
		require.Equal(t, want, string(scrubSecrets([]byte(in))))
	}
}
