package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/server/repo"
	"github.com/sequoiacm/scmfs/internal/storetest"
)

// grades lists what was found as "LEVEL check"; whatever is not OK has a fix or
// says why.
func grades(t *testing.T, all []finding) []string {
	t.Helper()
	var out []string
	for _, f := range all {
		require.NotEmpty(t, f.Text)
		out = append(out, string(f.Level)+" "+f.Check)
	}
	return out
}

func TestDoctorFindsAGoodServerGood(t *testing.T) {
	s := storetest.Serve(t, storetest.Options{})
	require.Equal(t, []string{"OK gateway", "OK server clock", "OK headers", "OK site"}, grades(t, checkSeed(t.Context(), s.Seed)))
	c := s.Client(t)
	require.Equal(t, []string{"OK login", "OK workspace", "OK workspace"}, grades(t, checkStore(t.Context(), c, true)))
	for b, err := range c.Workspace("ws").BreakpointFiles(t.Context(), "") {
		require.NoError(t, err)
		t.Errorf("the probe left %s", b.Name)
	}
}

func TestDoctorFindsTroubleOnTheWay(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	closed := l.Addr().String()
	require.NoError(t, l.Close())
	s := storetest.Serve(t, storetest.Options{})
	addr, _, _ := strings.Cut(s.Seed, "/")
	for seed, want := range map[string]string{
		closed + "/rootsite":                    "FAIL gateway",
		"no-such-host.invalid:8080/rootsite":    "FAIL dns",
		addr + "/nosuchsite":                    "FAIL site",
		"notaseed":                              "FAIL seed",
		"https://" + addr + "/rootsite":         "FAIL tls",
		"localhost:" + port(closed) + "/x":      "FAIL gateway",
		"http://" + addr + "/ROOTSITE":          "OK site",
		" " + addr + "/" + strings.ToUpper("x"): "FAIL site",
	} {
		all := checkSeed(t.Context(), seed)
		got := grades(t, all)
		require.Equal(t, want, got[len(got)-1], "%s: %v", seed, got)
		for _, f := range all {
			require.NotRegexp(t, `dial tcp|lookup |x509|tls: |Get "`, f.Text, seed)
		}
	}
}

func port(addr string) string { _, p, _ := net.SplitHostPort(addr); return p }

func TestDoctorMeasuresTheHeaderLimit(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if len(q.RequestURI) > 4096 {
			w.WriteHeader(http.StatusRequestURITooLong)
		}
	}))
	defer web.Close()
	got := grades(t, checkSeed(t.Context(), strings.TrimPrefix(web.URL, "http://")+"/rootsite"))
	require.Contains(t, got, "WARN headers")
}

func TestDoctorComparesClocks(t *testing.T) {
	now := time.Now()
	require.Equal(t, gradeOK, clockFinding(now.Add(-time.Second), now).Level)
	require.Equal(t, gradeWarn, clockFinding(now.Add(-20*time.Second), now).Level)
	require.Equal(t, gradeFail, clockFinding(now.Add(time.Hour), now).Level)
	require.Equal(t, gradeWarn, clockFinding(time.Time{}, now).Level)
}

func TestDoctorFindsAWrongPassword(t *testing.T) {
	s := storetest.Serve(t, storetest.Options{})
	c := s.Client(t, func(o *client.Options) { o.Password = func() (string, error) { return "wrong", nil } })
	require.Equal(t, []string{"FAIL login"}, grades(t, checkStore(t.Context(), c, true)))
}

func TestDoctorFindsMissingBreakpointSupport(t *testing.T) {
	s := storetest.Serve(t, storetest.Options{Repo: repo.Options{NoBreakpoints: true}})
	all := checkStore(t.Context(), s.Client(t), true)
	require.Equal(t, []string{"OK login", "WARN workspace", "WARN workspace"}, grades(t, all))
	require.Contains(t, all[1].Text, "no breakpoint files")
	require.NotEmpty(t, all[1].Fix)
}

// A user with no more than a login learns what is missing.
func TestDoctorFindsMissingPrivileges(t *testing.T) {
	s := storetest.Serve(t, storetest.Options{})
	require.NoError(t, s.Client(t).CreateUser(t.Context(), "bob", "secret"))
	c := s.Client(t, func(o *client.Options) {
		o.User, o.Password = "bob", func() (string, error) { return "secret", nil }
	})
	all := checkStore(t.Context(), c, true)
	require.Equal(t, []string{"OK login", "WARN workspace", "WARN workspace"}, grades(t, all))
	require.Contains(t, all[1].Text, "cannot be read")
}

func TestDoctorLooksAtTheMachine(t *testing.T) {
	for release, want := range map[string]grade{"3.10.0-1160.el7": gradeFail, "4.18.0-553.el8": gradeFail, "4.20.1": gradeWarn, "5.3.0": gradeWarn, "5.14.0-427.el9": gradeOK, "6.12.1-arch": gradeOK, "nonsense": gradeWarn} {
		require.Equal(t, want, kernelFinding(release).Level, release)
	}
	require.Equal(t, gradeFail, checkFUSE("/nosuch/fuse").Level)
	require.Equal(t, gradeOK, checkFUSE(os.DevNull).Level)
	conf := filepath.Join(t.TempDir(), "fuse.conf")
	require.Equal(t, gradeWarn, checkAllowOther(conf).Level)
	require.NoError(t, os.WriteFile(conf, []byte("#user_allow_other\n"), 0o600))
	require.Equal(t, gradeWarn, checkAllowOther(conf).Level, "it is commented out")
	require.NoError(t, os.WriteFile(conf, []byte("mount_max = 5\nuser_allow_other\n"), 0o600))
	require.Equal(t, gradeOK, checkAllowOther(conf).Level)
}

func TestDoctorLooksAtTheDisk(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.Equal(t, []string{"FAIL state"}, grades(t, checkDisk(filepath.Join(file, "below"))))
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	all := checkDisk(dir)
	require.Equal(t, "space", all[len(all)-2].Check)
	require.Equal(t, "OK state", grades(t, all)[len(all)-1])
	require.NoDirExists(t, dir, "looking makes nothing")
	require.Equal(t, "FAIL state", grades(t, checkDisk("/proc/1"))[len(checkDisk("/proc/1"))-1])
}

// Who is told that something is broken is told what to do.
func TestDoctorAlwaysHasAFix(t *testing.T) {
	files, err := filepath.Glob("doctor*.go")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, name := range files {
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		require.NotRegexp(t, `broken\("[^"]*", "",`, string(b), name)
	}
}
