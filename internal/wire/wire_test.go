package wire_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// The vectors of part 1 section 2.3.
func TestSignatureVectors(t *testing.T) {
	for _, v := range []struct{ name, password, salt, date, hash, sig string }{
		{"A", "s3cret-Pass", "$2a$10$Q0pV9uWmEk7tRz3xYb1aNe", "20240115T083000Z",
			"$2a$10$Q0pV9uWmEk7tRz3xYb1aNe0w9h2slSgpdTwtsM0MupSkfLEuGnGM.",
			"69144bffd0e8d815695dc25e36e70b8690aa284bb2fdee43d9cbcd822ec6d1c9"},
		{"B", "admin", "$2a$10$abcdefghijklmnopqrstuu", "20240229T235959Z",
			"$2a$10$abcdefghijklmnopqrstuuQaLxbHNyOkst.5hok/MxsNYsoRyHiAq",
			"1cb739ace6cab181ff62f87c14bb32e2ed0d8420970de76ab865e68ea361322b"},
		{"C", "密码-ü", "$2a$10$abcdefghijklmnopqrstuu", "20240229T235959Z",
			"$2a$10$abcdefghijklmnopqrstuugK0Gj/hy7BRk.N3Sq8IkIoMKvNoab7S",
			"68511619585bfe9111ea0949ab1890ac6603be7785e074e86b28cf943e269597"},
	} {
		t.Run(v.name, func(t *testing.T) {
			h, err := wire.BcryptHash(v.password, v.salt)
			require.NoError(t, err)
			assert.Equal(t, v.hash, h)
			sig, err := wire.Sign(v.password, v.salt, v.date)
			require.NoError(t, err)
			assert.Equal(t, v.sig, sig)
		})
	}
	for _, salt := range []string{"", "$2a$10$short", "$2b$10$abcdefghijklmnopqrstuu", "$2a$31$abcdefghijklmnopqrstuu", "$2a$10$!!!!!!!!!!!!!!!!!!!!!!"} {
		_, err := wire.BcryptHash("x", salt)
		assert.ErrorIs(t, err, wire.ErrBadSalt, "salt %q", salt)
	}
}

// The ids of part 2 section 10.1.
func TestIDVectors(t *testing.T) {
	for _, v := range []struct {
		id   wire.ID
		text string
	}{
		{wire.ID{Seconds: 1700000000, Cluster: 1, Server: 3, Serial: 0x1a2b3c01}, "6553f100510003001a2b3c01"},
		{wire.ID{Seconds: -1, Cluster: 1, Server: 3, Serial: 1}, "ffffffff510003ff00000001"},
		{wire.ID{Seconds: wire.MaxSeconds, Cluster: 1, Server: 3, Serial: 1}, "fc316a005100033a00000001"},
		{wire.ID{Seconds: wire.MinSeconds, Cluster: 1, Server: 3, Serial: 1}, "886af580510003f100000001"},
	} {
		assert.Equal(t, v.text, v.id.String())
		got, err := wire.ParseID(v.text)
		require.NoError(t, err)
		assert.Equal(t, v.id, got)
	}
	assert.Equal(t, "202311", wire.CreateMonth(1700000000))
	for _, bad := range []string{"", "6553f100", "zz53f100510003001a2b3c01", "6553f100510003001a2b3c01/"} {
		assert.False(t, wire.ValidID(bad), bad)
	}
}

// The checksums of part 2 section 10.1.
func TestChecksumVectors(t *testing.T) {
	pattern := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(i % 251)
		}
		return b
	}
	for _, v := range []struct {
		name  string
		data  []byte
		crc   uint32
		adler uint32
	}{
		{"a", []byte("a"), 3904355907, 6422626},
		{"hello", []byte("hello"), 907060870, 103547413},
		{"zero MiB", make([]byte, 1<<20), 2805525020, 15728641},
		{"pattern 1.5 MiB", pattern(1572864), 1054227012, 512397952},
		{"pattern 5 MiB", pattern(5 << 20), 3364617388, 118376003},
	} {
		t.Run(v.name, func(t *testing.T) {
			for typ, want := range map[wire.ChecksumType]uint32{wire.ChecksumCRC32: v.crc, wire.ChecksumAdler32: v.adler, wire.ChecksumNone: 0} {
				h := typ.New()
				_, _ = h.Write(v.data)
				assert.Equal(t, want, h.Sum32(), typ)
				half := len(v.data) / 2
				sum := typ.Extend(0, 0, v.data[:half])
				assert.Equal(t, want, typ.Extend(sum, int64(half), v.data[half:]), "%s extended", typ)
			}
		})
	}
}

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"a b":          "a%20b",
		"A-z.9*_~":     "A-z.9*_%7E",
		"中":            "%E4%B8%AD",
		`{"n":"x/+%"}`: "%7B%22n%22%3A%22x%2F%2B%25%22%7D",
	} {
		assert.Equal(t, want, wire.Escape(in))
		back, err := wire.Unescape(want)
		require.NoError(t, err)
		assert.Equal(t, in, back)
	}
	assert.Equal(t, "a/b%20c/", wire.EscapePath("/a//b c"))
	assert.Equal(t, "", wire.EscapePath("/"))
}

func TestParseDocLenient(t *testing.T) {
	for in, want := range map[string]string{
		`{"a":1}`:                               `{"a":1}`,
		`{'a':'b'}`:                             `{"a":"b"}`,
		`{a:"b", c : [1, true,null ] } rubbish`: `{"a":"b","c":[1,true,null]}`,
		`{"t":{"$oid":"65a4"}, n:{"$numberLong":"5"}}`: `{"t":"65a4","n":5}`,
		`{"s":"\u4e2d\ud83d\ude00\/\f"}`:               `{"s":"中😀/f"}`,
		`{ }`:                                          `{}`,
		`{"a":1.5,"b":3000000000,}`:                    `{"a":1.5,"b":3000000000}`,
	} {
		d, err := wire.ParseDoc(in)
		require.NoError(t, err, in)
		assert.Equal(t, want, string(wire.AppendJSON(nil, d)), in)
	}
	for _, bad := range []string{"", "[]", "5", "{", `{"a"`, `{"a":}`, `{a:b}`, `{"a":"`, `{"a":1 "b":2}`, "nonsense"} {
		_, err := wire.ParseDoc(bad)
		assert.Error(t, err, bad)
	}
	d, err := wire.ParseDoc(`{a:5,b:5000000000}`)
	require.NoError(t, err)
	assert.Equal(t, wire.Doc{{Key: "a", Value: int32(5)}, {Key: "b", Value: int64(5000000000)}}, d)
}

// The wrappers of part 1 section 1.7.
func TestParseDocExtended(t *testing.T) {
	for in, want := range map[string]any{
		`{v:{"$oid":"65a4"}}`:                "65a4",
		`{v:{"$date":1705308600000}}`:        int64(1705308600000),
		`{v:{"$date":5}}`:                    int64(5),
		`{v:{"$date":"2024-01-15"}}`:         wire.Extended{Doc: wire.Doc{{Key: "$date", Value: "2024-01-15"}}},
		`{v:{"$timestamp":{"t":1,"i":2}}}`:   wire.Extended{Doc: wire.Doc{{Key: "$timestamp", Value: wire.Doc{{Key: "t", Value: int32(1)}, {Key: "i", Value: int32(2)}}}}},
		`{v:{"$numberLong":"5"}}`:            int64(5),
		`{v:{"$decimal":"1.5"}}`:             1.5,
		`{v:{"$regex":"^a"}}`:                wire.Regex{Pattern: "^a"},
		`{v:{"$regex":"^a","$options":"i"}}`: wire.Regex{Pattern: "^a", Options: "i"},
		`{v:{"$regex":"^a","$gt":"b"}}`:      wire.Doc{{Key: "$regex", Value: "^a"}, {Key: "$gt", Value: "b"}},
		`{v:{"$minKey":1}}`:                  wire.Extended{Doc: wire.Doc{{Key: "$minKey", Value: int32(1)}}},
		`{v:{"$gt":1}}`:                      wire.Doc{{Key: "$gt", Value: int32(1)}},
		`{v:"$oid"}`:                         "$oid",
	} {
		d, err := wire.ParseDoc(in)
		require.NoError(t, err, in)
		got, _ := d.Get("v")
		assert.Equal(t, want, got, in)
	}
}

func FuzzParseDoc(f *testing.F) {
	f.Add(`{"a":{"$in":["x",'y']},b:[1,{}]}`)
	f.Add(`{"name":{"$regex":"^a","$options":"i"}}`)
	f.Fuzz(func(t *testing.T, s string) {
		d, err := wire.ParseDoc(s)
		if err == nil && !json.Valid(wire.AppendJSON(nil, d)) {
			t.Fatalf("%q printed as invalid JSON %s", s, wire.AppendJSON(nil, d))
		}
	})
}

func TestPrinters(t *testing.T) {
	d := wire.Doc{{Key: "k", Value: "v\x01\n"}, {Key: "n", Value: int64(12)}, {Key: "o", Value: wire.Doc{{Key: "x", Value: true}}}, {Key: "a", Value: []any{1, 2}}, {Key: "z", Value: nil}}
	assert.Equal(t, `{ "k" : "v\n" , "n" : 12 , "o" : { "x" : true } , "a" : [ 1 , 2 ] , "z" : null }`, string(wire.AppendBSONText(nil, d)))
	assert.Equal(t, `{"k":"v\u0001\n","n":12,"o":{"x":true},"a":[1,2],"z":null}`, string(wire.AppendJSON(nil, d)))
}

func TestCodes(t *testing.T) {
	seen := map[wire.Code]bool{}
	for _, c := range wire.Codes() {
		assert.False(t, seen[c], "%d twice", c)
		seen[c] = true
		assert.NotEmpty(t, c.Text())
		assert.Contains(t, []int{400, 403, 404, 500}, c.HTTPStatus())
	}
	assert.Equal(t, 500, wire.CodeFileExist.HTTPStatus())
	assert.Equal(t, 404, wire.CodeDirNotFound.HTTPStatus())
	assert.Equal(t, "FILE_EXIST(-261)", wire.CodeFileExist.String())
}

func TestIntReadsExtendedJSON(t *testing.T) {
	var v struct{ N, M, Z wire.Int }
	require.NoError(t, json.Unmarshal([]byte(`{"N":{"$numberLong":"5"},"M":7,"Z":null}`), &v))
	assert.EqualValues(t, 5, v.N)
	assert.EqualValues(t, 7, v.M)
	assert.Error(t, json.Unmarshal([]byte(`{"N":"x"}`), &v))
	assert.Error(t, json.Unmarshal([]byte(`{"N":1.5}`), &v))
}
