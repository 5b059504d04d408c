package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// login says who we are. The password is asked for at each login, so that a
// changed password file is seen.
type login struct {
	user         string
	passwordFile string
}

func (l *login) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&l.user, "user", "", "user name (default $SCMFS_USER)")
	cmd.Flags().StringVar(&l.passwordFile, "password-file", "", "file with the password, mode 0600 (default: the password is in $SCMFS_PASSWORD)")
}

// resolve checks what can be checked before a login.
func (l *login) resolve() (user string, password func() (string, error), err error) {
	user = l.user
	if user == "" {
		user = os.Getenv("SCMFS_USER")
	}
	if user == "" {
		return "", nil, failure(exitUsage, errors.New("no user: give --user or set SCMFS_USER"))
	}
	if l.passwordFile != "" {
		password = func() (string, error) { return readPasswordFile(l.passwordFile) }
		_, err = password()
		return user, password, err
	}
	pw, ok := os.LookupEnv("SCMFS_PASSWORD")
	if !ok {
		return "", nil, failure(exitUsage, errors.New("no password: give --password-file or set SCMFS_PASSWORD"))
	}
	return user, func() (string, error) { return pw, nil }, nil
}

func readPasswordFile(path string) (string, error) {
	if err := onlyOwner(path); err != nil {
		return "", err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	pw := strings.TrimRight(string(b), "\r\n")
	if pw == "" {
		return "", fmt.Errorf("password file %s is empty", path)
	}
	return pw, nil
}

// onlyOwner refuses a secret that others can read.
func onlyOwner(path string) error {
	fi, err := os.Stat(path)
	if err != nil {
		return err
	}
	if fi.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s can be read by others (mode %04o): run 'chmod 600 %s'", path, fi.Mode().Perm(), path)
	}
	return nil
}

// embeddedLogin is what an embedded server's directory keeps in its file
// "credentials", mode 0600.
type embeddedLogin struct {
	User     string `json:"user"`
	Password string `json:"password"`
}

func credentialsPath(dir string) string { return filepath.Join(dir, "credentials") }

func readEmbeddedLogin(dir string) (embeddedLogin, error) {
	var l embeddedLogin
	path := credentialsPath(dir)
	if err := onlyOwner(path); err != nil {
		return l, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return l, err
	}
	if err := json.Unmarshal(b, &l); err != nil || l.User == "" {
		return l, fmt.Errorf("%s is damaged: %v", path, err)
	}
	return l, nil
}

// ensureEmbeddedLogin returns the credentials of an embedded directory and makes
// them if there are none. They come before the store, which is created with that
// password; the link makes sure that two first starts agree on one.
func ensureEmbeddedLogin(dir string) (l embeddedLogin, fresh bool, err error) {
	l, err = readEmbeddedLogin(dir)
	if !errors.Is(err, os.ErrNotExist) {
		return l, false, err
	}
	b, err := json.Marshal(embeddedLogin{User: "admin", Password: rand.Text()})
	if err != nil {
		return l, false, err
	}
	tmp, err := os.CreateTemp(dir, ".credentials-*")
	if err != nil {
		return l, false, err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(append(b, '\n'))
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return l, false, err
	}
	err = os.Link(tmp.Name(), credentialsPath(dir))
	if err != nil && !errors.Is(err, os.ErrExist) {
		return l, false, err
	}
	fresh = err == nil
	l, err = readEmbeddedLogin(dir)
	return l, fresh, err
}
