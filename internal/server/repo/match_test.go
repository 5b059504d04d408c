package repo

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/internal/wire"
)

func TestMatch(t *testing.T) {
	rec := parse(t, `{name: 'report', size: 10, big: 9007199254740993, ratio: 1.5, flag: true, none: null,
		tags: ['a', 'b'], site_list: [{site_id: 1, n: 5}, {site_id: 2, n: 7}], class_properties: {k: {deep: 'v'}}, empty: [] }`)
	tests := []struct {
		filter string
		want   bool
	}{
		{`{}`, true},
		{`{name: 'report'}`, true},
		{`{name: 'Report'}`, false},
		{`{name: 'report', size: 11}`, false},
		{`{size: 10.0}`, true},
		{`{size: '10'}`, false},
		{`{flag: true}`, true},
		{`{flag: false}`, false},
		{`{nope: 1}`, false},
		{`{big: 9007199254740993}`, true},
		{`{big: {$gt: 9007199254740992}}`, true},
		{`{big: {$lt: 9007199254740993}}`, false},
		{`{size: {$gt: 9}}`, true},
		{`{size: {$gt: 10}}`, false},
		{`{size: {$gte: 10, $lt: 11}}`, true},
		{`{size: {$lte: 9}}`, false},
		{`{ratio: {$gt: 1}}`, true},
		{`{name: {$gt: 'repo'}}`, true},
		{`{name: {$lt: 'Z'}}`, false},
		{`{name: {$gt: 5}}`, false},
		{`{name: {$et: 'report'}}`, true},
		{`{name: {$ne: 'x'}}`, true},
		{`{name: {$ne: 'report'}}`, false},
		{`{nope: {$ne: 'x'}}`, false},
		{`{nope: {$nin: ['x']}}`, false},
		{`{name: {$nin: ['x']}}`, true},
		{`{name: {$in: ['x', 'report']}}`, true},
		{`{name: {$in: []}}`, false},
		{`{nope: {$exists: 1}}`, false},
		{`{nope: {$exists: 0}}`, true},
		{`{none: {$exists: 1}}`, true},
		{`{none: {$isnull: 1}}`, true},
		{`{nope: {$isnull: 1}}`, true},
		{`{name: {$isnull: 0}}`, true},
		{`{name: {$isnull: 1}}`, false},
		{`{$and: [{name: 'report'}, {size: 10}]}`, true},
		{`{$and: [{name: 'report'}, {size: 11}]}`, false},
		{`{$or: [{name: 'x'}, {size: 10}]}`, true},
		{`{$or: [{name: 'x'}, {size: 11}]}`, false},
		{`{$not: [{name: 'report'}, {size: 11}]}`, true},
		{`{$not: [{name: 'report'}, {size: 10}]}`, false},
		{`{$and: [{$or: [{size: 1}, {size: 10}]}, {$not: [{flag: false}]}]}`, true},
		{`{tags: 'a'}`, true},
		{`{tags: ['a', 'b']}`, true},
		{`{tags: 'c'}`, false},
		{`{tags: {$all: ['a', 'b']}}`, true},
		{`{tags: {$all: ['a', 'c']}}`, false},
		{`{tags: {$size: 2}}`, true},
		{`{empty: {$size: 0}}`, true},
		{`{name: {$size: 1}}`, false},
		{`{'class_properties.k.deep': 'v'}`, true},
		{`{'class_properties.k.nope': 'v'}`, false},
		{`{'site_list.$1.site_id': 2}`, true},
		{`{'site_list.$0.site_id': 2}`, false},
		{`{'site_list.$7.site_id': 2}`, false},
		{`{'site_list.site_id': 2}`, true},
		{`{site_list: {$elemMatch: {site_id: 1, n: 5}}}`, true},
		{`{site_list: {$elemMatch: {site_id: 1, n: 7}}}`, false},
		{`{class_properties: {k: {deep: 'v'}}}`, true},
		{`{name: {$regex: '^REP', $options: 'i'}}`, true},
		{`{name: {$regex: '^REP'}}`, false},
		{`{name: {$regex: 'port$'}}`, true},
		{`{size: {$mod: [4, 2]}}`, true},
		{`{size: {$mod: [4, 1]}}`, false},
	}
	for _, tt := range tests {
		t.Run(tt.filter, func(t *testing.T) {
			m, err := compile(parse(t, tt.filter))
			require.NoError(t, err)
			assert.Equal(t, tt.want, m(docRow(rec)))
		})
	}
}

func TestBadFilters(t *testing.T) {
	for _, filter := range []string{`{name: {$nope: 1}}`, `{$nope: []}`, `{$nor: [{}]}`, `{$and: {}}`, `{$and: [1]}`, `{$or: [{a: {$nope: 1}}]}`,
		`{a: {$in: 'x'}}`, `{a: {$exists: 'x'}}`, `{a: {$elemMatch: 1}}`, `{a: {$elemMatch: {$nope: 1}}}`, `{a: {$mod: 3}}`,
		`{a: {$mod: [0, 1]}}`, `{a: {$mod: ['x', 1]}}`, `{a: {$regex: '('}}`} {
		t.Run(filter, func(t *testing.T) {
			_, err := compile(parse(t, filter))
			requireCode(t, wire.CodeMetasourceError, err)
		})
	}
}

// Whatever index a filter selects, the rows are those of a scan with the same
// filter: the index only narrows.
func TestIndexesOnlyNarrow(t *testing.T) {
	f := newFixture(t, Options{})
	dirs := []string{f.mkdir("/a"), f.mkdir("/b"), wire.RootDirID}
	var ids []string
	for _, dir := range dirs {
		for _, n := range []string{"a", "ab", "b", "ä", "z\x01"} {
			d := f.put("ws", named(n, dir), n)
			f.put("flat", named(n, ""), n)
			ids = append(ids, str(d, "id"))
		}
	}
	f.update("ws", ids[3], Current, "22")
	filters := []string{
		`{directory_id: 'D0'}`, `{directory_id: {$in: ['D1', 'D0', 'D1']}}`, `{directory_id: {$et: 'D2'}, name: {$gt: 'a'}}`,
		`{directory_id: 'D0', name: 'ab'}`, `{directory_id: 'D0', name: {$in: ['b', 'a', 'b', 'no']}}`, `{directory_id: 'D0', name: {$gte: 'ab', $lt: 'z'}}`,
		`{$and: [{directory_id: 'D1'}, {name: {$lte: 'b'}}]}`, `{$or: [{directory_id: 'D1'}, {name: 'a'}]}`, `{directory_id: 'D1', $not: [{name: 'a'}]}`,
		`{id: 'I0'}`, `{id: {$in: ['I3', 'I1', 'I3', 'bad', '']}}`, `{id: 'I2', directory_id: 'D1'}`, `{id: {$gt: 'I4'}}`, `{directory_id: 'none'}`,
		`{name: 'a'}`, `{name: {$gt: 'ab'}}`, `{name: {$gt: 'ab', $lte: 'z'}}`, `{name: {$in: ['a', 'z\u0001']}}`, `{size: 2}`, `{directory_id: {$ne: 'D0'}}`, `{}`,
	}
	orders := []string{``, `{name: 1}`, `{name: -1}`, `{name: 1, id: -1}`, `{id: 1}`, `{id: -1}`, `{size: -1, id: 1}`, `{directory_id: 1, name: -1}`}
	for _, ws := range []string{"ws", "flat"} {
		all := collect(t, f.Files(admin, ws, wire.ScopeCurrent, Query{Limit: -1, Selector: selectorOf("id", "name", "directory_id", "size")}))
		require.Len(t, all, 15)
		for _, text := range filters {
			for i, d := range dirs {
				text = strings.ReplaceAll(text, fmt.Sprintf("'D%d'", i), "'"+d+"'")
			}
			for i, id := range ids {
				text = strings.ReplaceAll(text, fmt.Sprintf("'I%d'", i), "'"+id+"'")
			}
			filter := parse(t, text)
			m, err := compile(filter)
			require.NoError(t, err)
			var want []any
			for _, d := range all {
				if m(docRow(d)) {
					want = append(want, str(d, "id"))
				}
			}
			for _, order := range orders {
				q := Query{Filter: filter, Limit: -1}
				if order != "" {
					q.OrderBy = parse(t, order)
				}
				got := collect(t, f.Files(admin, ws, wire.ScopeCurrent, q))
				var gotIDs []any
				for i, d := range got {
					gotIDs = append(gotIDs, str(d, "id"))
					if i > 0 && len(q.OrderBy) == 1 && q.OrderBy[0].Key == "name" {
						c := compareKeys([]any{str(got[i-1], "name")}, []any{str(d, "name")}, q.OrderBy)
						assert.LessOrEqual(t, c, 0, "%s %s", text, order)
					}
				}
				assert.ElementsMatch(t, want, gotIDs, "%s %s %s", ws, text, order)
				// Every window is a part of the whole.
				for skip := int64(0); skip < 3; skip++ {
					q.Skip, q.Limit = skip, 2
					window := collect(t, f.Files(admin, ws, wire.ScopeCurrent, q))
					from := min(skip, int64(len(got)))
					assert.Equal(t, fmt.Sprint(got[from:min(from+2, int64(len(got)))]), fmt.Sprint(window), "%s %s skip %d", text, order, skip)
				}
			}
		}
	}
}
