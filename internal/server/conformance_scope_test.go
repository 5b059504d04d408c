package server

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// outOfScopePart1 lists what part 1 says of a server and this one does not do, with
// the reason. Everything else of the part is in the conformance tables.
var outOfScopePart1 = map[string]string{
	"1.2 several seeds, regions and zones":             "a client's matter; one process is one site",
	"1.3 S3 detection by Authorization or query":       "there is no S3 front end to send such a request to",
	"1.3 segment 'internal' answered 403":              "a side effect of the gateway that the text frees a server from; names in it would be unreachable",
	"1.3 refused characters in paths of files":         "the names may exist, and a refusal would make them unreachable",
	"1.3 retries and the 30 s timeout of the gateway":  "no second node to ask",
	"1.7 406 for a restrictive Accept":                 "downloads have other types than JSON; refusing helps nobody",
	"1.8 blanks sent for keep_alive=true":              "no call here takes 15 s without an answer; the parameter is accepted",
	"2.4 signature_info":                               "access keys are S3's",
	"2.5 60 s of grace by the gateway's cache":         "a cache of several gateways; here a deleted session ends at once",
	"2.7 changes effective within 10 s":                "nodes poll each other; here they are effective at once",
	"2.5 sessions of others in a user's list":          "a session's id is its token; only AUTH_ADMIN sees all, the text names no privilege",
	"3.1 message begins with sessionId={token}":        "messages are logged by clients; a token must not be",
	"4.1 -202, site not in the workspace":              "needs a second site",
	"4.1 add_data_location, rmove_data_location":       "need a second site; answered -101",
	"4.2 locations of hbase, ceph, hdfs, sftp":         "content is in local files; location_type is always sequoiadb",
	"4.5 several sites and nodes":                      "one process is one site and one node",
	"5.6 delete markers":                               "exist in buckets only, and there are no buckets",
	"5.7 -103 by a path cache ahead of the database":   "there is no such cache",
	"5.7 1 s retry of a create whose conflict is gone": "creation is one transaction",
	"7.3 internal file count with X-SCM-Sum":           "not reachable through a gateway",
	"7.3 statistics and bucket quotas":                 "belong to admin server and buckets; lists of them are empty",
}

func TestOutOfScopePart1(t *testing.T) {
	for _, row := range slices.Sorted(maps.Keys(outOfScopePart1)) {
		require.NotEmpty(t, outOfScopePart1[row], "%s needs a reason", row)
		t.Logf("%-52s %s", row, outOfScopePart1[row])
	}
}

// The order in which a client session starts and ends (part 3), with what it
// reads of each answer.
func TestConformanceStartOfASession(t *testing.T) {
	s := newSite(t)
	var salt struct{ Salt, Date string }
	r := s.send(t, "POST /auth/api/v2/salt", "username=admin", formType, "x-auth-token:")
	require.NoError(t, json.Unmarshal([]byte(r.body), &salt))
	r = s.send(t, "POST /v2/localLogin", "username=admin&password="+signed(t, "admin", salt.Salt, salt.Date), formType, "x-auth-token:", "date: "+salt.Date)
	require.Equal(t, 200, r.status, r.body)
	token := "x-auth-token: " + r.header.Get("x-auth-token")
	s.run(t, []call{
		{name: "health", req: "GET /rootsite/internal/v1/health", lines: none, body: `{"status":"UP"}`},
		{name: "sites", req: "GET /rootsite/api/v1/sites/", lines: []string{token}, has: `"type" : "sequoiadb"`},
		{name: "workspaces", req: "GET /rootsite/api/v1/workspaces/?&filter=&orderby=&skip=0&limit=-1", lines: []string{token}, has: `"name" : "docs"`},
		{name: "workspace", req: "GET /rootsite/api/v1/workspaces/docs", lines: []string{token}, has: `"location_type":"sequoiadb"`},
		{name: "its root", req: "HEAD /rootsite/api/v1/directories/path/?workspace_name=docs", lines: []string{token}},
		{name: "service centre", req: "GET /service-center/eureka/apps/ROOTSITE", lines: []string{token}, status: 404, code: 404},
		{name: "logout", req: "POST /logout", lines: []string{token}},
		{name: "over", req: "GET /rootsite/api/v1/workspaces/docs", lines: []string{token}, status: 401, code: 401},
	})
}

// Part 1 section 8 item 5: numbers that the Java driver casts are of the width it
// expects: times beyond 32 bits, the workspace's id within.
func TestConformanceNumbers(t *testing.T) {
	s := newSite(t)
	s.mkdir(t, "/a")
	for _, req := range []string{"GET P/directories?workspace_name=docs", "GET P/workspaces"} {
		r := s.send(t, req, "")
		var list []map[string]any
		require.NoError(t, json.Unmarshal([]byte(r.body), &list))
		require.Len(t, list, 2)
		for _, rec := range list {
			for _, key := range []string{"create_time", "update_time"} {
				assert.Greater(t, rec[key], float64(1<<31), key)
			}
		}
	}
}
