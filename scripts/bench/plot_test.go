package main

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPlotIsWellFormed(t *testing.T) {
	p := newPlot("a < b", "x", "y")
	p.add("one", 1, 10)
	p.add("one", 4, 40)
	p.add("two & three", 1, 0)
	svg := p.svg()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		_, err := d.Token()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
	}
	assert.Contains(t, svg, `<polyline points="64.0,244.0 490.0,40.0"`, "the line does not go from its first value to the top")
}

func TestPlotOfNothing(t *testing.T) {
	assert.NotContains(t, newPlot("t", "x", "y").svg(), "NaN")
}

func TestNiceStep(t *testing.T) {
	for top, want := range map[float64]float64{0: 1, 5: 1, 7: 2, 40: 10, 1000: 200, 0.9: 0.2} {
		assert.InDelta(t, want, niceStep(top), 1e-9, "%v", top)
	}
}
