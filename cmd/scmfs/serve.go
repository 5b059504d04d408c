package main

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/sequoiacm/scmfs/internal/server"
)

func serveCommand() *cobra.Command {
	o := embeddedOptions{}
	var faults []string
	var level string
	cmd := &cobra.Command{
		Use:   "serve DIR",
		Short: "Run the embedded server on a local directory",
		Long: `Runs a server that speaks SCM's REST protocol and keeps its data in DIR. It is made
with a workspace "default" and a generated password in DIR/credentials if it is new.

Options for trying a mount against trouble: --s3-parts, --no-breakpoints, --update-time-now,
--no-ranged-cap, --flush-interval, --gateway-limit and --session-ttl change how the server behaves
as a whole. --fault (repeatable) does something wrong on purpose:
` + server.FaultHelp,
		Example: `  scmfs serve /srv/scm
  scmfs serve /srv/scm --listen 127.0.0.1:8080 --site rootsite
  scmfs serve /srv/scm --fault delay=200ms --fault 'lost-reply@POST /files%10'
  scmfs serve /srv/scm --fault 'error=503@PUT /breakpointfiles/*#3' --s3-parts`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.dir = args[0]
			log := logrus.New()
			lv, err := logrus.ParseLevel(level)
			if err != nil {
				return usage(err)
			}
			log.SetLevel(lv)
			o.log = log
			o.server.Faults = server.NewFaults(uint64(time.Now().UnixNano()))
			for _, f := range faults {
				rule, err := server.ParseFault(f)
				if err != nil {
					return usage(err)
				}
				o.server.Faults.Add(rule)
			}
			if err := loopbackOnly(o.listen, o.dir); err != nil {
				return err
			}
			e, err := openEmbedded(o)
			if err != nil {
				return err
			}
			if e.repo == nil {
				return fmt.Errorf("%s is served already, at %s", o.dir, e.seed)
			}
			cmd.Printf("serving %s at %s\ncredentials are in %s\n", o.dir, e.seed, credentialsPath(o.dir))
			<-cmd.Context().Done()
			return e.stop()
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.listen, "listen", "127.0.0.1:8080", "address to listen on; other than loopback only with existing credentials")
	f.StringVar(&o.site, "site", "rootsite", "name of the site")
	f.StringVar(&level, "log-level", "info", "error, warn, info or debug (debug logs each request)")
	f.StringArrayVar(&faults, "fault", nil, "do something wrong on purpose, see above; may be repeated")
	f.BoolVar(&o.repo.S3Parts, "s3-parts", false, "imitate Ceph S3: increments start at multiples of 5 MiB")
	f.BoolVar(&o.repo.NoBreakpoints, "no-breakpoints", false, "imitate a storage without breakpoint files")
	f.BoolVar(&o.repo.UpdateTimeNow, "update-time-now", false, "new content sets update_time to now instead of create_time")
	f.Int64Var(&o.repo.FlushInterval, "flush-interval", 50<<20, "bytes of a broken increment are kept in steps of so many")
	f.BoolVar(&o.server.GatewayLimit, "gateway-limit", false, "refuse requests whose line and headers exceed 8 KiB, as a gateway does")
	f.BoolVar(&o.server.NoRangedCap, "no-ranged-cap", false, "answer ranged reads of any length instead of at most 64 KiB")
	f.DurationVar(&o.server.SessionTTL, "session-ttl", 1800*time.Second, "end sessions after this long without a request")
	return cmd
}

// loopbackOnly refuses to listen for others unless somebody chose the password.
func loopbackOnly(listen, dir string) error {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return usage(err)
	}
	ip := net.ParseIP(host)
	if host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	if l, err := readEmbeddedLogin(dir); err == nil && l.Password != "" && !strings.EqualFold(l.Password, "admin") {
		return nil
	}
	return failure(exitUsage, errors.New("listening beyond loopback needs a password first: write {\"user\":\"admin\",\"password\":\"…\"} to "+credentialsPath(dir)+", mode 0600, before the first start"))
}
