package server

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// none sends no token.
var none = []string{"x-auth-token:"}

// Part 1 sections 2.1 to 2.4.
func TestConformanceLogin(t *testing.T) {
	s := newSite(t)
	s.run(t, []call{
		{name: "2.6 user of type LDAP", req: "POST /auth/api/v1/users/ldap", form: "password_type=LDAP"},
		{name: "2.6 user of type TOKEN", req: "POST /auth/api/v1/users/tok", form: "password_type=TOKEN&password=x"},
		{name: "2.6 user", req: "POST /auth/api/v1/users/alice", form: "password_type=LOCAL&password=%E5%AF%86%E7%A0%81-%C3%BC"},
		{name: "2.1 salt", req: "POST /auth/api/v2/salt", lines: none, form: "username=alice", header: "Content-Type: application/json;charset=UTF-8",
			then: func(t *testing.T, r reply) {
				assert.Regexp(t, `^\{"Salt":"\$2a\$04\$[./A-Za-z0-9]{22}","Date":"20240115T083000Z"\}$`, r.body)
			}},
		{name: "2.1 salt in multipart/form-data (part 3)", req: "POST /auth/api/v2/salt", form: multipartForm("username", "alice"),
			lines: []string{"x-auth-token:", multipartType}, has: `"Date":"20240115T083000Z"`},
		{name: "2.1 unknown user", req: "POST /auth/api/v2/salt", lines: none, form: "username=nobody", status: 400, code: -135, has: `"error":"Salt is not exist"`},
		{name: "2.1 LDAP user", req: "POST /auth/api/v2/salt", lines: none, form: "username=ldap", status: 400, code: -136, has: `"error":"Cannot get salt"`},
		{name: "2.1 TOKEN user", req: "POST /auth/api/v2/salt", lines: none, form: "username=tok", status: 400, code: -136},
		{name: "2.1 empty username", req: "POST /auth/api/v2/salt", lines: none, form: "username=", status: 401, code: 401},
		{name: "2.4 v1 [T:RestWrapper]", req: "POST /login", lines: none, form: "username=admin&password=admin", then: loggedIn(s, "admin")},
		{name: "2.4 v1 in the query", req: "POST /login?username=admin&password=admin", lines: none, then: loggedIn(s, "admin")},
		{name: "2.4 v1 through /auth", req: "POST /auth/login", lines: none, form: "username=admin&password=admin", then: loggedIn(s, "admin")},
		{name: "2.4 v1 password beyond ASCII", req: "POST /login", lines: none, form: "username=alice&password=%E5%AF%86%E7%A0%81-%C3%BC", then: loggedIn(s, "alice")},
		{name: "2.4 v1 wrong password", req: "POST /login", lines: none, form: "username=alice&password=x", status: 401, code: 401, has: `"message":"Bad credentials"`},
		{name: "2.4 v1 unknown user", req: "POST /login", lines: none, form: "username=nobody&password=x", status: 401, code: 401},
		{name: "2.4 v1 LDAP user", req: "POST /login", lines: none, form: "username=ldap&password=x", status: 401, code: 401},
		{name: "2.4 v1 nothing sent", req: "POST /login", lines: none, status: 401, code: 401},
		{name: "2.4 GET", req: "GET /login", lines: none, status: 405, code: 405},
	})
}

// loggedIn checks the answer of 2.2: a token that works, details as raw JSON, no body.
func loggedIn(s *site, user string) func(*testing.T, reply) {
	return func(t *testing.T, r reply) {
		assert.Empty(t, r.body)
		assert.Equal(t, "0", r.header.Get("Content-Length"))
		assert.Regexp(t, `^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`, r.header.Get("x-auth-token"))
		var d struct {
			ID       string `json:"user_id"`
			Username string
			Type     string `json:"password_type"`
			Enabled  bool
			Roles    []struct {
				ID   string `json:"role_id"`
				Name string `json:"role_name"`
			}
		}
		require.NoError(t, json.Unmarshal([]byte(r.header.Get("user_details")), &d), r.header.Get("user_details"))
		assert.Equal(t, user, d.Username)
		assert.Equal(t, "LOCAL", d.Type)
		assert.True(t, d.Enabled)
		assert.Len(t, d.ID, 24)
		if user == "admin" {
			require.NotEmpty(t, d.Roles)
			assert.Equal(t, "ROLE_AUTH_ADMIN", d.Roles[0].Name)
		}
		assert.Equal(t, 200, s.send(t, "GET P/workspaces", "", "x-auth-token: "+r.header.Get("x-auth-token")).status)
	}
}

// Part 1 sections 2.1 to 2.3: the two steps of login v2 and the window of its date.
func TestConformanceLoginV2(t *testing.T) {
	s := newSite(t)
	step := func(t *testing.T) (salt, date string) {
		var a struct{ Salt, Date string }
		r := s.send(t, "POST /auth/api/v2/salt", "username=admin", formType, "x-auth-token:")
		require.NoError(t, json.Unmarshal([]byte(r.body), &a))
		return a.Salt, a.Date
	}
	login := func(t *testing.T, password, date string, headers ...string) reply {
		salt, _ := step(t)
		return s.send(t, "POST /v2/localLogin", "username=admin&password="+signed(t, password, salt, date), append([]string{formType, "x-auth-token:"}, headers...)...)
	}
	_, date := step(t)
	for _, tt := range []struct {
		name           string
		password       string
		signed, header string
		after          time.Duration
		status         int
		message        string
	}{
		{"2.2 right", "admin", date, date, 0, 200, ""},
		{"2.2 180 s later", "admin", date, date, 180 * time.Second, 200, ""},
		{"2.2 longer than 180 s later", "admin", date, date, 180*time.Second + time.Millisecond, 401, "Request has expired"},
		{"2.2 future dates are not rejected", "admin", "20340115T083000Z", "20340115T083000Z", 0, 200, ""},
		{"2.2 wrong signature", "nimda", date, date, 0, 401, "username or password error"},
		{"2.2 signed for another date", "admin", "20240115T082959Z", date, 0, 401, "username or password error"},
		{"2.2 no date (UNKNOWN: probably 500)", "admin", date, "", 0, 500, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.clock.Add(tt.after.Milliseconds())
			defer s.clock.Add(-tt.after.Milliseconds())
			var h []string
			if tt.header != "" {
				h = []string{"date: " + tt.header}
			}
			r := login(t, tt.password, tt.signed, h...)
			require.Equal(t, tt.status, r.status, r.body)
			if tt.status == 200 {
				loggedIn(s, "admin")(t, r)
				return
			}
			assert.Equal(t, tt.status, r.code(t))
			assert.Contains(t, r.body, tt.message)
			assert.Empty(t, r.header.Get("x-auth-token"))
		})
	}
	t.Run("2.2 user disabled", func(t *testing.T) {
		s.login(t, "gone")
		require.Equal(t, 200, s.send(t, "PUT /auth/api/v1/users/gone", "enabled=false", formType).status)
		for _, req := range []string{"POST /login", "POST /v2/localLogin"} {
			r := s.send(t, req, "username=gone&password=pw-gone", formType, "x-auth-token:", "date: "+date)
			assert.Equal(t, 401, r.status, req)
		}
	})
}

// signed is the signature of part 1 section 2.3, spelt out here so that the
// server's own spelling is checked.
func signed(t *testing.T, password, salt, date string) string {
	t.Helper()
	h, err := wire.BcryptHash(password, salt)
	require.NoError(t, err)
	_, sig := signedHash(h, date)
	return sig
}

func signedHash(h, date string) (m, sig string) {
	sum := sha256.Sum256([]byte(h))
	m = hex.EncodeToString(sum[:])
	mac := hmac.New(sha256.New, []byte(date))
	mac.Write([]byte(m))
	return m, hex.EncodeToString(mac.Sum(nil))
}

// The vectors of part 1 section 2.3 from the hash on, which is what the server
// computes; those of the hash itself are package wire's.
func TestConformanceSignatureVectors(t *testing.T) {
	for _, v := range [][4]string{
		{"$2a$10$Q0pV9uWmEk7tRz3xYb1aNe0w9h2slSgpdTwtsM0MupSkfLEuGnGM.", "20240115T083000Z",
			"add9ee871744b543c8e6a46bbd135ad824d29fdff1ed8aa16eb6de6c74773b98", "69144bffd0e8d815695dc25e36e70b8690aa284bb2fdee43d9cbcd822ec6d1c9"},
		{"$2a$10$abcdefghijklmnopqrstuuQaLxbHNyOkst.5hok/MxsNYsoRyHiAq", "20240229T235959Z",
			"682b02aecb45e9443688f9cd65942213c2db2254bf6a1f1c472f4b805ae5d389", "1cb739ace6cab181ff62f87c14bb32e2ed0d8420970de76ab865e68ea361322b"},
		{"$2a$10$abcdefghijklmnopqrstuugK0Gj/hy7BRk.N3Sq8IkIoMKvNoab7S", "20240229T235959Z",
			"64be17e6787cf4f4ab67889b31edc28120bb1e81f1b80b4345acd15267aa64f8", "68511619585bfe9111ea0949ab1890ac6603be7785e074e86b28cf943e269597"},
	} {
		m, sig := signedHash(v[0], v[1])
		assert.Equal(t, v[2], m)
		assert.Equal(t, v[3], sig)
		assert.Equal(t, v[3], wire.SignHash(v[0], v[1]))
	}
}

// Part 1 section 2.5: logout, session info and lists.
func TestConformanceSessions(t *testing.T) {
	s := newSite(t)
	s.login(t, "alice")
	other := s.srv.sessions.create("alice").id
	s.vars["other"] = other
	asAlice := []string{"x-auth-token: {alice}"}
	info := `{"session_id":"{alice}","username":"alice","creation_time":1705307400000,"last_accessed_time":1705307400000,"max_inactive_interval":1800`
	s.run(t, []call{
		{name: "2.5 info", req: "GET /auth/api/v1/sessions/{alice}", body: info + "}", header: "x-auth-token: {token}"},
		{name: "2.5 info with details", req: "GET /auth/api/v1/sessions/{alice}?user_details=true", has: info + `,"user_details":{"user_id":"`},
		{name: "2.5 info with details, fields", req: "GET /auth/api/v1/sessions/{alice}?user_details=true", has: `"username":"alice","password_type":"LOCAL","enabled":true,"roles":[{"role_id":"`},
		{name: "2.5 info, trailing slash", req: "GET /auth/api/v1/sessions/{alice}/", body: info + "}"},
		{name: "2.5 info unknown", req: "GET /auth/api/v1/sessions/nope", status: 404, code: 404, has: `"message":"Session is not found: nope"`},
		{name: "2.5 list of a user", req: "GET /auth/api/v1/sessions?username=alice", has: `"session_id":"{other}"`},
		{name: "2.5 list of all", req: "GET /auth/api/v1/sessions", has: `"username":"admin"`},
		{name: "2.5 list, user does not exist", req: "GET /auth/api/v1/sessions?username=nope", status: 404, code: 404},
		{name: "2.5 count", req: "HEAD /auth/api/v1/sessions", header: "X-SCM-Count: 3"},
		{name: "2.5 count of a user", req: "HEAD /auth/api/v1/sessions?username=alice", header: "X-SCM-Count: 2"},
		{name: "others' tokens are not shown to everybody", req: "GET /auth/api/v1/sessions", lines: asAlice, has: `"session_id":"{other}"`, then: func(t *testing.T, r reply) {
			assert.NotContains(t, r.body, s.token)
		}},
		{name: "nor when asked for", req: "GET /auth/api/v1/sessions?username=admin", lines: asAlice, body: "[]"},
		{name: "2.5 no DELETE of all", req: "DELETE /auth/api/v1/sessions", status: 405, code: 405},
		{name: "2.5 delete needs AUTH_ADMIN", req: "DELETE /auth/api/v1/sessions/{other}", lines: asAlice, status: 403, code: 403},
		{name: "2.5 delete one's own", req: "DELETE /auth/api/v1/sessions/{token}", status: 403, code: 403},
		{name: "2.5 delete unknown", req: "DELETE /auth/api/v1/sessions/nope", status: 404, code: 404},
		{name: "2.5 delete", req: "DELETE /auth/api/v1/sessions/{other}"},
		{name: "2.5 deleted token", req: "GET P/workspaces", lines: []string{"x-auth-token: {other}"}, status: 401, code: 401},
		{name: "2.5 logout without token", req: "POST /logout", lines: none, status: 400, code: 400, has: `"message":"No session id"`},
		{name: "2.5 logout unknown", req: "POST /logout", lines: []string{"x-auth-token: nope"}, status: 404, code: 404, has: `"message":"Session does not exist`},
		{name: "2.5 logout", req: "POST /logout", lines: asAlice, header: "Content-Length: 0"},
		{name: "2.5 logged out", req: "GET P/workspaces", lines: asAlice, status: 401, code: 401},
		{name: "2.5 logout again", req: "POST /auth/logout", lines: asAlice, status: 404, code: 404},
		{name: "2.5 logout through /auth", req: "POST /auth/logout"},
		{name: "2.5 and it is gone", req: "GET P/workspaces", status: 401, code: 401},
	})
}

// Part 1 section 2.5, errors of tokens; [T:NotAuthLogin318], [T:SessionMgr2245].
func TestConformanceTokens(t *testing.T) {
	s := newSite(t)
	unknown := []string{"x-auth-token: 0c7f6c0e-6a0e-4b7b-9c7f-3c1e5c8d2f11", "X-SCM-ERROR-CHARSET: utf-8"}
	s.run(t, []call{
		{name: "[T:NotAuthLogin318] none", req: "GET P/workspaces", lines: none, status: 403, code: 403, has: `"status":403,"error":"Forbidden","message":"Access Denied","path":"/api/v1/workspaces"`},
		{name: "[T:SessionMgr2245] none, auth server", req: "GET /auth/api/v1/sessions", lines: none, status: 403, code: 403},
		{name: "2.5 none, zuul", req: "POST /zuul/rootsite/api/v1/files?workspace_name=docs", lines: none, status: 403, code: 403},
		{name: "1.3 none, unknown site", req: "GET /other/api/v1/workspaces", lines: none, status: 403, code: 403},
		{name: "1.3 unknown, unknown site", req: "GET /other/api/v1/workspaces", lines: unknown, status: 401, code: 401},
		{name: "2.5 none, direct", req: "GET /api/v1/workspaces", lines: none, status: 403, code: 403},
		{name: "2.5 unknown", req: "GET P/workspaces", lines: unknown, status: 401, code: 401, has: `"status":401,"error":"Unauthorized","message":"Unauthorized"`},
		{name: "2.5 unknown, form", req: "POST P/directories", form: "workspace_name=docs&path=/x", lines: unknown, status: 401, code: 401},
		{name: "2.5 HEAD none", req: "HEAD P/directories?workspace_name=docs", lines: none, status: 403, then: bare},
		{name: "2.5 HEAD unknown", req: "HEAD P/directories?workspace_name=docs", lines: unknown, status: 401, then: bare},
		{name: "1.3 salt needs none", req: "POST /auth/api/v2/salt", form: "username=admin", lines: none},
		{name: "1.4 health needs none", req: "GET /rootsite/internal/v1/health", lines: none, body: `{"status":"UP"}`},
	})
}

// bare is how framework and session errors look on HEAD.
func bare(t *testing.T, r reply) {
	assert.Empty(t, r.body)
	assert.NotContains(t, r.header, http.CanonicalHeaderKey("X-SCM-ERROR"))
	assert.NotContains(t, r.header, http.CanonicalHeaderKey("X-SCM-ERROR-CHARSET"))
}

// Part 1 section 2.5: 1800 s without a request end a session, and nothing else does.
func TestConformanceExpiry(t *testing.T) {
	s := newSite(t)
	watcher := s.srv.sessions.create("admin").id
	ask := func(token string) int { return s.send(t, "GET P/workspaces", "", "x-auth-token: "+token).status }
	for range 5 {
		s.clock.Add(1800_000)
		require.Equal(t, 200, ask(s.token), "every request moves the end")
	}
	assert.Equal(t, 401, ask(watcher), "unused for longer than 1800 s")
	s.clock.Add(1800_001)
	assert.Equal(t, 401, ask(s.token))
	fresh := s.srv.sessions.create("admin").id
	r := s.send(t, "GET /auth/api/v1/sessions/"+s.token, "", "x-auth-token: "+fresh)
	assert.Equal(t, 404, r.status)
	r = s.send(t, "HEAD /auth/api/v1/sessions", "", "x-auth-token: "+fresh)
	assert.Equal(t, "1", r.header.Get("X-SCM-Count"), "expired sessions are not counted")
}

func TestSessionTTLOption(t *testing.T) {
	s := newSite(t, func(o *siteOptions) { o.server.SessionTTL = 60 * time.Second })
	r := s.send(t, "GET /auth/api/v1/sessions/"+s.token, "")
	assert.Contains(t, r.body, `"max_inactive_interval":60`)
	s.clock.Add(60_001)
	assert.Equal(t, 401, s.send(t, "GET P/workspaces", "").status)
}

const boundary = "----WebKitFormBoundaryX"

const multipartType = "Content-Type: multipart/form-data; boundary=" + boundary

// multipartForm spells names and values as Apache's HttpClient does.
func multipartForm(pairs ...string) string {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		b.WriteString("--" + boundary + "\r\nContent-Disposition: form-data; name=\"" + pairs[i] + "\"\r\n" +
			"Content-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + pairs[i+1] + "\r\n")
	}
	return b.String() + "--" + boundary + "--\r\n"
}
