package main

import (
	"encoding/xml"
	"fmt"
	"math"
	"strings"
)

// plot draws the ratios of all rows, first contender to second, on a logarithmic axis: left of the line
// means less (of cost), whatever the metric; rates are turned round.
func (r *report) plot() string {
	type bar struct {
		label string
		x     float64
	}
	var bars []bar
	for _, w := range r.Rows {
		if len(r.Contenders) < 2 || len(w.Runs) == 0 {
			continue
		}
		for _, m := range metricsOf(w.Runs[0].Values) {
			x := ratio(w.of(r.Contenders[0], m), w.of(r.Contenders[1], m))
			if x <= 0 || m == clientCPU {
				continue
			}
			if higherIsBetter[m] {
				x = 1 / x
			}
			bars = append(bars, bar{w.Cell + ": " + m, x})
		}
	}
	const (
		height, left, width, right = 18, 420, 480, 80
		decades                    = 2.5 // to the left of 1
		unit                       = width / (decades + 0.5)
	)
	one := float64(left) + decades*unit
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", left+width+right, height*(len(bars)+2))
	b.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	title := "Cost beside Apache Kafka (1 = equal; left is cheaper)"
	fmt.Fprintf(&b, `<text x="%d" y="14" font-weight="bold">%s</text>`+"\n", left, title)
	for i, bar := range bars {
		y := height*(i+1) + 6
		to := one + max(-decades, min(0.5, math.Log10(bar.x)))*unit
		colour := "#2a7f4f"
		if bar.x > 1 {
			colour = "#b03a2e"
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, left-8, y+11, escape(bar.label))
		fmt.Fprintf(&b, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>`, min(one, to), y, math.Abs(to-one), height-5, colour)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d">%s</text>`+"\n", max(one, to)+6, y+11, short(bar.x))
	}
	for _, tick := range []float64{0.01, 0.1, 0.5, 1} {
		x := one + math.Log10(tick)*unit
		fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="20" y2="%d" stroke="#999" stroke-dasharray="2 3"/>`+"\n", x, x, height*(len(bars)+1)+6)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}
