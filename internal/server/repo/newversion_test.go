package repo

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/internal/wire"
)

func TestUpdateContent(t *testing.T) {
	f := newFixture(t, Options{})
	desc := parse(t, `{name: 'x', title: 't', author: 'a', mime_type: 'm', tags: ['g'], custom_tag: {k: 'v'}, custom_metadata: {p: 'q'}, class_id: 'c'}`)
	first := f.put("ws", desc, "one")
	id := str(first, "id")
	other := f.user("other", [3]string{"workspace", "ws", "READ|UPDATE"})
	t.Run("C100 C101 C105 next version", func(t *testing.T) {
		now := f.tick(5000)
		d, err := f.UpdateContent(other, "ws", id, Version{1, 0}, false, strings.NewReader("second"))
		require.NoError(t, err)
		want := append(wire.Doc{}, first...)
		want.Set("major_version", int64(2))
		want.Set("update_user", "other")
		want.Set("data_create_time", now)
		want.Set("size", int64(6))
		for _, key := range []string{"data_id", "site_list", "access_history"} {
			v, _ := d.Get(key)
			assert.NotEqual(t, str(first, key), v)
			want.Set(key, v)
		}
		assert.Equal(t, want, d, "everything else is carried over, update_time is create_time again")
		assert.Equal(t, "one", f.content("ws", id, Version{1, 0}))
		assert.Equal(t, "second", f.content("ws", id, Version{2, 0}))
		assert.EqualValues(t, 3, num(t, f.update("ws", id, Current, ""), "major_version"))
	})
	tests := []struct {
		name string
		id   string
		v    Version
		code wire.Code
	}{
		{"stale", id, Version{1, 0}, -264},
		{"never existed", id, Version{9, 0}, -264},
		{"wrong minor", id, Version{3, 1}, -264},
		{"half given is not compared", id, Version{9, -1}, 0},
		{"unknown file", "6553f100510003001a2b3cff", Current, -262},
		{"C73 malformed id", "x", Current, -102},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body := &countingReader{Reader: strings.NewReader("body")}
			_, err := f.UpdateContent(admin, "ws", tt.id, tt.v, false, body)
			requireCode(t, tt.code, err)
			if tt.code != 0 {
				assert.Zero(t, body.n, "refused before the body was read")
			}
		})
	}
	t.Run("directory privilege looks the version up", func(t *testing.T) {
		c := f.user("dironly", [3]string{"directory", "ws:/", "ALL"})
		_, err := f.UpdateContent(c, "ws", id, Version{99, 0}, false, strings.NewReader(""))
		requireCode(t, -262, err)
		_, err = f.UpdateContent(c, "ws", id, Version{1, 0}, false, strings.NewReader(""))
		requireCode(t, -264, err)
	})
}

type countingReader struct {
	*strings.Reader
	n int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

func TestUpdateTimeNow(t *testing.T) {
	f := newFixture(t, Options{UpdateTimeNow: true})
	id := str(f.put("ws", named("x", ""), "1"), "id")
	now := f.tick(7000)
	assert.Equal(t, now, num(t, f.update("ws", id, Current, "2"), "update_time"))
}

// C106: the expected version is compared before the body and not again.
func TestUpdateRace(t *testing.T) {
	f := newFixture(t, Options{})
	id := str(f.put("ws", named("x", ""), "1"), "id")
	reading, proceed := make(chan struct{}, 2), make(chan struct{})
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() {
			body := gate{strings.NewReader(strings.Repeat("x", i+2)), func() { reading <- struct{}{}; <-proceed }}
			_, err := f.UpdateContent(admin, "ws", id, Version{1, 0}, false, &body)
			assert.NoError(t, err)
		})
	}
	<-reading
	<-reading
	close(proceed)
	wg.Wait()
	d, err := f.File(admin, "ws", FileRef{ID: id}, Current)
	require.NoError(t, err)
	assert.EqualValues(t, 3, num(t, d, "major_version"), "both succeed, as 2.0 and 3.0")
}

// gate calls wait once before the first byte.
type gate struct {
	*strings.Reader
	wait func()
}

func (g *gate) Read(p []byte) (int, error) {
	if g.wait != nil {
		g.wait()
		g.wait = nil
	}
	return g.Reader.Read(p)
}

// C108 and "content update vs rename" of part 2 section 7.3.
func TestChangeDuringUpdate(t *testing.T) {
	f := newFixture(t, Options{})
	during := func(id string, fn func()) (wire.Doc, error) {
		return f.UpdateContent(admin, "ws", id, Current, false, &gate{strings.NewReader(pattern(50000)), fn})
	}
	t.Run("C108 deleted meanwhile", func(t *testing.T) {
		id := str(f.put("ws", named("x", ""), "1"), "id")
		_, err := during(id, func() { require.NoError(t, f.DeleteFile(admin, "ws", FileRef{ID: id})) })
		requireCode(t, -262, err)
	})
	t.Run("C109 read meanwhile", func(t *testing.T) {
		id := str(f.put("ws", named("c109", ""), pattern(60000)), "id")
		_, err := during(id, func() { assert.Equal(t, pattern(60000), f.content("ws", id, Current)) })
		require.NoError(t, err)
		assert.Equal(t, pattern(60000), f.content("ws", id, Version{1, 0}))
	})
	t.Run("renamed meanwhile", func(t *testing.T) {
		id := str(f.put("ws", named("y", ""), "1"), "id")
		d, err := during(id, func() {
			_, err := f.UpdateFile(admin, "ws", id, Current, parse(t, `{name: 'z'}`))
			require.NoError(t, err)
		})
		require.NoError(t, err)
		assert.Equal(t, "z", str(d, "name"))
	})
	t.Run("parent deleted during create", func(t *testing.T) {
		dir := f.mkdir("/gone")
		_, err := f.CreateFile(admin, "ws", named("x", dir), UploadConfig{}, &gate{strings.NewReader(pattern(50000)), func() {
			require.NoError(t, f.DeleteDirectory(admin, "ws", DirRef{ID: dir}))
		}})
		requireCode(t, -241, err)
	})
	f.reopen()
	assert.Zero(t, f.Checked().Orphans, "the losers' content was removed at once")
}

func TestVersionLookup(t *testing.T) {
	f := newFixture(t, Options{})
	dir := f.mkdir("/d")
	id := str(f.put("ws", named("x", dir), "1"), "id")
	f.update("ws", id, Current, "22")
	tests := []struct {
		name string
		ref  FileRef
		v    Version
		code wire.Code
		size int64
	}{
		{"C113 by path and version", FileRef{Path: "/d/x"}, Version{1, 0}, 0, 1},
		{"C113 by path, current", FileRef{Path: "/d/x/"}, Current, 0, 2},
		{"C113 by path, unknown version", FileRef{Path: "/d/x"}, Version{3, 0}, -262, 0},
		{"C72 by id, unknown version", FileRef{ID: id}, Version{3, 0}, -262, 0},
		{"C72 version 0.0", FileRef{ID: id}, Version{}, -262, 0},
		{"C72 minor 1", FileRef{ID: id}, Version{1, 1}, -262, 0},
		{"C73 malformed id", FileRef{ID: "abc"}, Current, -102, 0},
		{"unknown id", FileRef{ID: "6553f100510003001a2b3cff"}, Current, -262, 0},
		{"missing parent", FileRef{Path: "/none/x"}, Current, -262, 0},
		{"a directory", FileRef{Path: "/d"}, Current, -262, 0},
		{"the root", FileRef{Path: "/"}, Current, -262, 0},
		{"below a file", FileRef{Path: "/d/x/y"}, Current, -262, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := f.File(admin, "ws", tt.ref, tt.v)
			requireCode(t, tt.code, err)
			if err == nil {
				assert.Equal(t, tt.size, num(t, d, "size"), "C63")
			}
		})
	}
	_, err := f.File(admin, "flat", FileRef{Path: "/x"}, Current)
	requireCode(t, -244, err)
	_, err = f.File(admin, "none", FileRef{ID: id}, Current)
	requireCode(t, -205, err)
}
