package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/storetest"
)

// The examples run against an embedded server with the workspace "ws".
func example(fn func(ctx context.Context, seed string)) {
	seed, stop := storetest.ServeExample()
	defer stop()
	fn(context.Background(), seed)
}

func connect(seed string) *client.Client {
	c, err := client.New([]string{seed}, client.Options{User: "admin", Password: client.StaticPassword("admin")})
	if err != nil {
		panic(err)
	}
	return c
}

// Log in at one of several gateways and list what there is.
func Example() {
	example(func(ctx context.Context, seed string) {
		c, err := client.New([]string{seed, "127.0.0.1:1/rootsite"}, client.Options{
			User:     "admin",
			Password: client.StaticPassword("admin"),
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		defer c.Close()
		defer c.Logout(ctx)
		for w, err := range c.Workspaces(ctx) {
			if err != nil {
				fmt.Println(err)
				return
			}
			fmt.Println(w.Name, w.Directories)
		}
		ws := c.Workspace("ws")
		if _, err := ws.CreateDirectory(ctx, client.RootDir, "reports"); err != nil {
			fmt.Println(err)
			return
		}
		for d, err := range ws.Directories(ctx, client.RootDir, "") {
			if err != nil {
				fmt.Println(err)
				return
			}
			fmt.Println(d.Name + "/")
		}
	})
	// Output:
	// flat false
	// ws true
	// reports/
}

// A small file takes one request. What comes back is read as a stream.
func ExampleStore_CreateFile() {
	example(func(ctx context.Context, seed string) {
		c := connect(seed)
		defer c.Close()
		ws := c.Workspace("ws")
		f, err := ws.CreateFile(ctx, client.NewFile{Name: "hello.txt", MimeType: "text/plain"}, client.BytesBody([]byte("hello scm\n")))
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(f.Name, f.Size, f.Version)
		r, err := ws.Open(ctx, f.Content(), 6)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer r.Close()
		b, err := io.ReadAll(r)
		fmt.Printf("%q %v\n", b, err)

		_, err = ws.CreateFile(ctx, client.NewFile{Name: "hello.txt"}, client.Body{})
		fmt.Println(client.KindOf(err) == client.Exist)
	})
	// Output:
	// hello.txt 10 1.0
	// "scm\n" <nil>
	// true
}

// Part of a file, without its beginning.
func ExampleStore_ReadRange() {
	example(func(ctx context.Context, seed string) {
		c := connect(seed)
		defer c.Close()
		ws := c.Workspace("ws")
		f, err := ws.CreateFile(ctx, client.NewFile{Name: "f"}, client.ReaderBody(strings.NewReader("0123456789")))
		if err != nil {
			fmt.Println(err)
			return
		}
		p := make([]byte, 4)
		n, err := ws.ReadRange(ctx, f.Content(), p, 3)
		fmt.Printf("%q %v\n", p[:n], err)
		n, err = ws.ReadRange(ctx, f.Content(), p, 8)
		fmt.Printf("%q %v\n", p[:n], err)
	})
	// Output:
	// "3456" <nil>
	// "89" <nil>
}

// New content is a new version; the older ones stay.
func ExampleStore_UpdateContent() {
	example(func(ctx context.Context, seed string) {
		c := connect(seed)
		defer c.Close()
		ws := c.Workspace("ws")
		f, err := ws.CreateFile(ctx, client.NewFile{Name: "f"}, client.BytesBody([]byte("one")))
		if err != nil {
			fmt.Println(err)
			return
		}
		g, err := ws.UpdateContent(ctx, f.ID, f.Version, client.BytesBody([]byte("two")))
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(g.Version, g.Version == f.Version.Next())
		_, err = ws.UpdateContent(ctx, f.ID, f.Version, client.BytesBody([]byte("late")))
		fmt.Println(client.KindOf(err))
		versions, err := ws.Versions(ctx, f.ID)
		fmt.Println(len(versions), versions[0].Version, err)
	})
	// Output:
	// 2.0 true
	// version mismatch
	// 2 2.0 <nil>
}

// Content of unknown length goes up piece by piece and becomes a file at the
// end.
func ExampleBreakpointFile_IncrementalUpload() {
	example(func(ctx context.Context, seed string) {
		c := connect(seed)
		defer c.Close()
		ws := c.Workspace("ws")
		b, err := ws.CreateBreakpointFile(ctx, "host1.log", client.BreakpointOptions{ChecksumType: client.ChecksumCRC32})
		if err != nil {
			fmt.Println(err)
			return
		}
		for i, line := range []string{"first\n", "second\n", "third\n"} {
			if err := b.IncrementalUpload(ctx, strings.NewReader(line), i == 2, client.UploadOptions{}); err != nil {
				fmt.Println(err)
				return
			}
			fmt.Println(b.Size, b.Completed)
		}
		f, err := b.CreateFile(ctx, client.NewFile{Name: "host1.log"})
		fmt.Println(f.Name, f.Size, err)
	})
	// Output:
	// 6 false
	// 13 false
	// 19 true
	// host1.log 19 <nil>
}

// A breakpoint file is found again by its name, and Upload sends what is still
// missing. Content that does not begin with what the store has is refused.
func ExampleBreakpointFile_Upload() {
	example(func(ctx context.Context, seed string) {
		c := connect(seed)
		defer c.Close()
		ws := c.Workspace("ws")
		scan := bytes.Repeat([]byte("scan "), 1000)
		b, err := ws.CreateBreakpointFile(ctx, "host1.scan", client.BreakpointOptions{ChecksumType: client.ChecksumCRC32})
		if err != nil {
			fmt.Println(err)
			return
		}
		// The first attempt does not get far.
		if err := b.IncrementalUpload(ctx, bytes.NewReader(scan[:1234]), false, client.UploadOptions{}); err != nil {
			fmt.Println(err)
			return
		}

		b, err = ws.BreakpointFile(ctx, "host1.scan")
		fmt.Println(b.Size, b.Completed, err)
		err = b.Upload(ctx, strings.NewReader("something else"), client.UploadOptions{})
		fmt.Println(client.KindOf(err))
		err = b.Upload(ctx, bytes.NewReader(scan), client.UploadOptions{})
		fmt.Println(b.Size, b.Completed, err)
	})
	// Output:
	// 1234 false <nil>
	// invalid argument
	// 5000 true <nil>
}

// A completed breakpoint file becomes the next version of a file without moving
// a byte. It is consumed by that.
func ExampleBreakpointFile_UpdateContent() {
	example(func(ctx context.Context, seed string) {
		c := connect(seed)
		defer c.Close()
		ws := c.Workspace("ws")
		f, err := ws.CreateFile(ctx, client.NewFile{Name: "f"}, client.BytesBody([]byte("old")))
		if err != nil {
			fmt.Println(err)
			return
		}
		b, err := ws.CreateBreakpointFile(ctx, "host1.f", client.BreakpointOptions{})
		if err != nil {
			fmt.Println(err)
			return
		}
		if err := b.Upload(ctx, strings.NewReader("new content"), client.UploadOptions{}); err != nil {
			fmt.Println(err)
			return
		}
		g, err := b.UpdateContent(ctx, f.ID, f.Version)
		fmt.Println(g.Version, g.Size, g.Data == b.Data, err)
		err = b.Refresh(ctx)
		fmt.Println(client.KindOf(err))
	})
	// Output:
	// 2.0 11 true <nil>
	// does not exist
}

// Errors have a kind to branch on, the store's own code, and a story.
func ExampleError() {
	example(func(ctx context.Context, seed string) {
		c := connect(seed)
		defer c.Close()
		_, err := c.WorkspaceInfo(ctx, "none")
		var e *client.Error
		fmt.Println(errors.As(err, &e), e.Kind == client.NoWorkspace, e.Code)
	})
	// Output:
	// true true WORKSPACE_NOT_EXIST(-205)
}
