package integration

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// browser is a headless Chromium with one tab, driven over pipes by the DevTools
// protocol: messages in JSON, each ended by a zero byte.
type browser struct {
	t       *testing.T
	to      io.Writer
	answers chan cdpMessage
	last    int
	session string
	// trouble is what the page's console, its script or its policy complained of.
	trouble []string
}

type cdpMessage struct {
	ID        int             `json:"id,omitempty"`
	Method    string          `json:"method,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Params    json.RawMessage `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     *cdpError       `json:"error,omitempty"`
}

type cdpError struct{ Message string }

func newBrowser(t *testing.T) *browser {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Skipf("the page is looked at in Debian's chromium, which is not here: %v", err)
	}
	toChild, write, err := os.Pipe()
	require.NoError(t, err)
	readEnd, fromChild, err := os.Pipe()
	require.NoError(t, err)
	cmd := exec.Command(program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
		"--disable-background-networking", "--remote-debugging-pipe", "--user-data-dir="+t.TempDir(), "about:blank")
	cmd.ExtraFiles = []*os.File{toChild, fromChild} // 3 and 4
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, cmd.Start())
	_, _ = toChild.Close(), fromChild.Close()
	b := &browser{t: t, to: write, answers: make(chan cdpMessage, 1000)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(b.answers)
		in := bufio.NewReaderSize(readEnd, 1<<20)
		for {
			text, err := in.ReadBytes(0)
			if err != nil {
				return
			}
			var m cdpMessage
			if json.Unmarshal(text[:len(text)-1], &m) == nil {
				b.answers <- m
			}
		}
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		_, _ = write.Close(), readEnd.Close()
		for range b.answers {
		}
		<-done
	})
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var at struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &at)
	b.session = at.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Accessibility"} {
		b.call(domain+".enable", nil, nil)
	}
	return b
}

// call makes a call and waits for its answer.
func (b *browser) call(method string, params, result any) {
	b.t.Helper()
	b.last++
	if params == nil {
		params = struct{}{}
	}
	raw, err := json.Marshal(params)
	require.NoError(b.t, err)
	text, err := json.Marshal(cdpMessage{ID: b.last, Method: method, SessionID: b.session, Params: raw})
	require.NoError(b.t, err)
	_, err = b.to.Write(append(text, 0))
	require.NoError(b.t, err)
	late := time.After(patience)
	for {
		select {
		case m, ok := <-b.answers:
			require.True(b.t, ok, "chromium ended")
			if m.ID != b.last {
				b.note(m)
				continue
			}
			require.Nil(b.t, m.Error, method)
			if result != nil {
				require.NoError(b.t, json.Unmarshal(m.Result, result))
			}
			return
		case <-late:
			require.Fail(b.t, "chromium does not answer", method)
		}
	}
}

func (b *browser) note(m cdpMessage) {
	switch m.Method {
	case "Runtime.exceptionThrown", "Log.entryAdded":
		b.trouble = append(b.trouble, string(m.Params))
	case "Runtime.consoleAPICalled":
		if strings.Contains(string(m.Params), `"type":"error"`) {
			b.trouble = append(b.trouble, string(m.Params))
		}
	}
}

// eval runs an expression in the page; a promise is awaited.
func (b *browser) eval(expression string, to any) {
	b.t.Helper()
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &r)
	require.Empty(b.t, string(r.ExceptionDetails), expression)
	if to != nil {
		require.NoError(b.t, json.Unmarshal(r.Result.Value, to), expression)
	}
}

// until waits until an expression is true in the page.
func (b *browser) until(expression string) {
	b.t.Helper()
	for end := time.Now().Add(patience); ; {
		ok, text := false, ""
		b.eval("new Promise(r => setTimeout(async () => r(!!(await ("+expression+"))), 100))", &ok)
		if ok {
			return
		}
		if time.Now().After(end) {
			b.eval("document.body.innerText", &text)
			require.Fail(b.t, "not in time: "+expression, "%s\n%s", text, b.trouble)
		}
	}
}

// look sets the size of the window and the colours that the user prefers.
func (b *browser) look(width int, scheme string) {
	b.t.Helper()
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}, nil)
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

func (b *browser) open(url string) {
	b.t.Helper()
	b.call("Page.navigate", map[string]any{"url": url}, nil)
}

// press presses a key.
func (b *browser) press(key string, code int) {
	b.t.Helper()
	for _, kind := range []string{"keyDown", "keyUp"} {
		event := map[string]any{"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code}
		if key == "Enter" {
			event["text"] = "\r"
		}
		b.call("Input.dispatchKeyEvent", event, nil)
	}
}

// shoot writes a picture of the whole page into $SCMFS_SCREENSHOTS, if that is set.
func (b *browser) shoot(name string) {
	b.t.Helper()
	dir := os.Getenv("SCMFS_SCREENSHOTS")
	if dir == "" {
		return
	}
	var shot struct{ Data string }
	b.call("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true, "format": "png"}, &shot)
	png, err := base64.StdEncoding.DecodeString(shot.Data)
	require.NoError(b.t, err)
	require.NoError(b.t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("status-%s.png", name)), png, 0o600))
}
