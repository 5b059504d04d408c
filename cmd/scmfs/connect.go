package main

import (
	"errors"
	"strings"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/sequoiacm/scmfs/client"
)

// target is the store a command works on: seeds, or an embedded directory.
type target struct {
	embedded string
	login    login
	via      transport
	config   string // read by settle
}

func (t *target) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.embedded, "embedded", "", "use the embedded server of this directory instead of a gateway")
	t.login.flags(cmd)
	t.via.flags(cmd)
	cmd.Flags().StringVar(&t.config, "config", "", "configuration file (default $SCMFS_CONFIG, else "+defaultConfig+" if it exists)")
}

// connect returns a client and what stops the server behind it.
func (t *target) connect(seeds string, o client.Options, log logrus.FieldLogger) (*client.Client, *embedded, error) {
	var list []string
	var e *embedded
	if t.embedded != "" {
		if seeds != "" {
			return nil, nil, failure(exitUsage, errors.New("give either --embedded or a seed, not both"))
		}
		var err error
		if e, err = openEmbedded(embeddedOptions{dir: t.embedded, listen: "127.0.0.1:0", site: "rootsite", log: log}); err != nil {
			return nil, nil, err
		}
		list = []string{e.seed}
		o.User = e.login.User
		o.Password = func() (string, error) { return e.login.Password, nil }
	} else {
		if seeds == "" {
			return nil, nil, failure(exitUsage, errors.New("give a seed HOST:PORT/SITE or --embedded DIR"))
		}
		list = strings.Split(seeds, ",")
		user, password, err := t.login.resolve()
		if err != nil {
			return nil, nil, err
		}
		o.User, o.Password = user, password
		if err := t.via.apply(&o); err != nil {
			return nil, nil, err
		}
		e = &embedded{stop: func() error { return nil }}
	}
	o.Logger = log
	c, err := client.New(list, o)
	if err != nil {
		return nil, nil, errors.Join(failure(exitUsage, err), e.stop())
	}
	return c, e, nil
}
