package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
)

// login says who we are. The password is asked for at each login, so that a
// changed password is seen without a restart.
type login struct {
	user            string
	passwordFile    string
	passwordCommand string
}

func (l *login) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&l.user, "user", "", "user name")
	cmd.Flags().StringVar(&l.passwordFile, "password-file", "", "file with the password, mode 0600 (default: the password is in $SCMFS_PASSWORD)")
	cmd.Flags().StringVar(&l.passwordCommand, "password-command", "", "shell command that prints the password")
}

// resolve checks what can be checked before a login.
func (l *login) resolve() (user string, password func() (string, error), err error) {
	if l.user == "" {
		return "", nil, failure(exitUsage, errors.New("no user: give --user or set SCMFS_USER"))
	}
	switch pw := os.Getenv(passwordVariable); {
	case l.passwordCommand != "":
		return l.user, func() (string, error) { return runPasswordCommand(l.passwordCommand, 30*time.Second) }, nil
	case l.passwordFile != "":
		password = func() (string, error) { return readPasswordFile(l.passwordFile) }
		_, err = password()
		return l.user, password, usage(err)
	case pw != "":
		return l.user, func() (string, error) { return pw, nil }, nil
	}
	return "", nil, failure(exitUsage, errors.New("no password: give --password-file or --password-command, or set SCMFS_PASSWORD"))
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
	b, err := readSecret(path)
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
