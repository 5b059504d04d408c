package integration

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
)

// Texts that are not easy enough to read against what is behind them (WCAG 2.2 AA),
// and what is wider than the window.
const unreadable = `(width => {
  const rgb = s => (s.match(/[\d.]+/g) || []).map(Number);
  const lum = c => { const [r, g, b] = c.map(v => { v /= 255; return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }); return .2126 * r + .7152 * g + .0722 * b; };
  const back = el => { for (let e = el; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] > 0) return c.slice(0, 3); } return [255, 255, 255]; };
  const bad = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n = walk.nextNode(); n; n = walk.nextNode()) {
    const el = n.parentElement;
    if (!n.data.trim() || !el.checkVisibility() || el.closest(".unseen, .skip, script, style, :disabled")) continue;
    const st = getComputedStyle(el), a = lum(rgb(st.color).slice(0, 3)), b = lum(back(el));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05), size = parseFloat(st.fontSize);
    const need = size >= 24 || size >= 18.66 && +st.fontWeight >= 700 ? 3 : 4.5;
    if (ratio < need) bad.push(n.data.trim().slice(0, 40) + ": contrast " + ratio.toFixed(2));
    if (size < 12) bad.push(n.data.trim().slice(0, 40) + ": only " + size + " px");
    const box = el.getBoundingClientRect();
    if (box.right > width + 1 || box.left < -1) bad.push(n.data.trim().slice(0, 40) + ": out of the window");
  }
  for (const el of document.querySelectorAll("button, input, a")) {
    const box = el.getBoundingClientRect();
    if (el.checkVisibility() && !el.closest(".skip") && box.height && box.height < 24) bad.push((el.textContent || el.id) + ": only " + box.height + " px high");
  }
  if (document.documentElement.scrollWidth > width) bad.push("the page is " + document.documentElement.scrollWidth + " px wide, the window " + width);
  return bad;
})`

// The status page in a browser, with something of everything on it.
func TestStatusPageInABrowser(t *testing.T) {
	// The first file of all is refused; everything else is taken.
	s := newServer(t, "--fault", "error=-109@POST /files#1")
	m := newMount(t, s, "--write-mode", "async", "--upload-limit", "1MiB", "--increment-size", "5MiB")
	b := newBrowser(t)
	sh(t, "mkdir -p %s && echo refused > '%s'", m.ws("2026/invoices"), m.ws("2026/invoices/an unusually long name of a scanned invoice from a supplier abroad.pdf"))
	require.Eventually(t, func() bool { return strings.Contains(scmfs(t, "status %s", m.dir), "1 STUCK") }, patience, 100e6)
	_, err := s.api().Workspace("default").CreateBreakpointFile(t.Context(), "camera-roll.mov", client.BreakpointOptions{ChecksumType: client.ChecksumCRC32})
	require.NoError(t, err)
	sh(t, "echo complete > %s && echo held > %s", m.ws(".partial", "complete.bin"), m.ws("report.part"))
	scmfs(t, "wait %s", m.ws(".partial", "complete.bin"))
	sh(t, "cp %s %s && cp %s %s", content(t, 60*mib), m.ws("2026", "video.mkv"), content(t, 30*mib), m.ws("backup.tar"))

	token := regexp.MustCompile(`token (\w+)`).FindStringSubmatch(scmfs(t, "status %s", m.dir))[1]
	page := "http://" + m.http + "/"
	b.look(1200, "light")
	b.open(page + "#token=" + token)
	b.until(`document.querySelectorAll("#queue li").length === 3 && document.querySelectorAll("#stuck li").length === 1`)
	b.until(`document.querySelectorAll("#partials li").length === 2`)
	b.until(`[...document.querySelectorAll("#queue progress")].some(p => p.value > 0 && p.value < 1)`)
	var text, hash string
	b.eval(`document.body.innerText`, &text)
	for _, want := range []string{"live", "2026/video.mkv", "on the way", "of 60 MiB", "closed under a temporary name", "camera-roll.mov", "complete.bin", "-109", s.seed, m.dir} {
		assert.Contains(t, text, want)
	}
	b.eval(`location.hash`, &hash)
	assert.Empty(t, hash, "the token does not stay in the address")

	for _, look := range []struct {
		name, scheme string
		width        int
	}{{"light", "light", 1200}, {"dark", "dark", 1200}, {"narrow", "light", 390}, {"narrow-dark", "dark", 390}, {"zoomed", "light", 320}} {
		b.look(look.width, look.scheme)
		var bad []string
		b.eval(fmt.Sprintf("%s(%d)", unreadable, look.width), &bad)
		assert.Empty(t, bad, look.name)
		b.shoot(look.name)
	}

	t.Run("keyboard", func(t *testing.T) {
		b.eval(`document.activeElement.blur(); scrollTo(0, 0)`, nil)
		var order []string
		for range 16 {
			b.press("Tab", 9)
			var at string
			b.eval(`(e => { const f = getComputedStyle(e); return (e.getAttribute("aria-label") || e.textContent.trim() || e.id) + (parseFloat(f.outlineWidth) >= 2 ? "" : " (focus not seen)"); })(document.activeElement)`, &at)
			order = append(order, at)
		}
		name := "default/2026/invoices/an unusually long name of a scanned invoice from a supplier abroad.pdf"
		assert.Equal(t, []string{"Skip to content", "Retry " + name, "Export " + name, "Discard " + name,
			"Publish default/report.part", "Export default/report.part", "Discard default/report.part",
			"Resume camera-roll.mov", "Delete camera-roll.mov", "Convert complete.bin", "Delete complete.bin", "token", "Use", "metrics", "health", "ready"}, order)
	})

	t.Run("screen reader", func(t *testing.T) {
		var tree struct {
			Nodes []struct {
				Ignored    bool
				Role, Name struct{ Value json.RawMessage }
			}
		}
		b.call("Accessibility.getFullAXTree", nil, &tree)
		seen := map[string]int{}
		for _, n := range tree.Nodes {
			role, name := strings.Trim(string(n.Role.Value), `"`), strings.Trim(string(n.Name.Value), `"`)
			switch role {
			case "button", "textbox", "progressbar", "link", "image", "heading", "region", "dialog":
				seen[role]++
				assert.True(t, n.Ignored || name != "", "a %s without a name", role)
			}
		}
		assert.Equal(t, 4, seen["progressbar"], "one a file that is not published")
		assert.Equal(t, 2, seen["image"], "the charts")
		assert.GreaterOrEqual(t, seen["region"], 6)
	})

	t.Run("actions", func(t *testing.T) {
		b.look(1200, "light")
		// By the keyboard: the focus must not get lost while the page changes every second.
		b.eval(`document.querySelector("[aria-label='Delete camera-roll.mov']").focus()`, nil)
		b.until(`new Promise(r => setTimeout(() => r(document.activeElement.getAttribute("aria-label") === "Delete camera-roll.mov"), 2500))`)
		b.press("Enter", 13)
		b.until(`document.getElementById("ask").open`)
		b.shoot("dialog")
		b.eval(`document.getElementById("ask-yes").click()`, nil)
		b.until(`document.querySelectorAll("#partials li").length === 1`)
		b.eval(`document.querySelector("#stuck button.main").click()`, nil)
		b.until(`document.getElementById("stuck-card").hidden`)
		b.eval(`document.querySelector("[aria-label='Publish default/report.part']").click()`, nil)
		b.until(`!document.body.innerText.includes("temporary name")`)
		b.eval(`document.querySelector("[aria-label='Convert complete.bin']").click()`, nil)
		b.until(`document.getElementById("ask").open`)
		b.eval(`document.getElementById("ask-input").value = "2026/complete.bin"; document.getElementById("ask-yes").click()`, nil)
		b.until(`!document.getElementById("partials-none").hidden`)
		assert.Equal(t, "complete\n", read(t, m.ws("2026", "complete.bin")))
	})
	assert.Empty(t, b.trouble, "the console is silent")
	for _, p := range regexp.MustCompile(`"id":"([0-9a-f]{16})"`).FindAllStringSubmatch(scmfs(t, "pending list %s --json", m.dir), -1) {
		_, _ = try(patience, binary+" pending discard --yes "+m.dir+" "+p[1]) // not to wait for it
	}
}
