package repo

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSmoke(t *testing.T) {
	f := newFixture(t, Options{})
	d := f.mkdir("/a")
	doc := f.put("ws", named("x", d), "hello")
	require.Equal(t, "hello", f.content("ws", str(doc, "id"), Current))
	big := strings.Repeat("abc", 100000)
	doc = f.update("ws", str(doc, "id"), Version{1, 0}, big)
	require.Equal(t, big, f.content("ws", str(doc, "id"), Current))
	f.bp("b", big, NewBreakpoint{})
	_, err := f.convert("b", named("y", d), UploadConfig{})
	require.NoError(t, err)
	_, err = f.Breakpoint(context.Background(), admin, "ws", "b")
	requireCode(t, -262, err)
	require.Len(t, collect(t, f.FilesOf(admin, "ws", d, All)), 2)
	f.reopen()
	require.Equal(t, []any{"x", "y"}, values(t, "name", f.FilesOf(admin, "ws", d, All)))
}
