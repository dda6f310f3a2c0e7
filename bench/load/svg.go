package load

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// series is a line or, with bars, a histogram.
type series struct {
	name string
	x, y []float64
	bars bool
}

// chart draws series as an SVG of its own, without scripts or styles from elsewhere.
type chart struct {
	title, x, y string
	logX, logY  bool
	series      []series
	mark        int // index of a point to mark in the first series, −1 for none
	labels      []string
}

const (
	chartW, chartH = 640.0, 300.0
	left, right    = 64.0, 12.0
	top, bottom    = 28.0, 44.0
)

var colours = [...]string{"#1f5fa8", "#c2571a", "#2b7a3d", "#7a3d8f", "#8a6d00", "#555555"}

// axis maps values to pixels.
type axis struct {
	lo, hi   float64
	from, to float64
	log      bool
}

func newAxis(values []float64, log, zero bool, from, to float64) axis {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if log && v <= 0 || math.IsNaN(v) || math.IsInf(v, 0) {
			continue
		}
		lo, hi = min(lo, v), max(hi, v)
	}
	if lo > hi {
		lo, hi = 0, 1
		if log {
			lo = 0.1
		}
	}
	if zero && !log {
		lo = min(lo, 0)
	}
	if lo == hi {
		hi = lo + max(math.Abs(lo)/2, 1)
	}
	if log {
		lo, hi = math.Pow(10, math.Floor(math.Log10(lo))), math.Pow(10, math.Ceil(math.Log10(hi)))
		if lo == hi {
			hi *= 10
		}
	} else {
		hi += (hi - lo) * 0.05
	}
	return axis{lo, hi, from, to, log}
}

func (a axis) at(v float64) float64 {
	t := (v - a.lo) / (a.hi - a.lo)
	if a.log {
		t = math.Log(max(v, a.lo)/a.lo) / math.Log(a.hi/a.lo)
	}
	return a.from + min(max(t, 0), 1)*(a.to-a.from)
}

func (a axis) ticks() []float64 {
	var out []float64
	if a.log {
		for v := a.lo; v <= a.hi*1.0001; v *= 10 {
			out = append(out, v)
		}
		return out
	}
	step := math.Pow(10, math.Floor(math.Log10((a.hi-a.lo)/4)))
	for _, m := range []float64{1, 2, 5, 10} {
		if (a.hi-a.lo)/(step*m) <= 6 {
			step *= m
			break
		}
	}
	for v := math.Ceil(a.lo/step) * step; v <= a.hi; v += step {
		out = append(out, v)
	}
	return out
}

// short writes a number with a unit prefix.
func short(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1e6:
		return fmt.Sprintf("%.3gM", v/1e6)
	case a >= 1e4:
		return fmt.Sprintf("%.3gk", v/1e3)
	}
	return fmt.Sprintf("%.4g", v)
}

func (c *chart) render() string {
	var xs, ys []float64
	bars := false
	for _, s := range c.series {
		xs, ys = append(xs, s.x...), append(ys, s.y...)
		bars = bars || s.bars
	}
	ax := newAxis(xs, c.logX, false, left, chartW-right)
	ay := newAxis(ys, c.logY, true, chartH-bottom, top)
	if bars {
		ax = axis{-0.5, float64(len(xs)) - 0.5, left, chartW - right, false}
	}
	var b strings.Builder
	esc := html.EscapeString
	fmt.Fprintf(&b, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s"><text x="%g" y="16" class="t">%s</text>`, chartW, chartH, esc(c.title), left, esc(c.title))
	for _, v := range ay.ticks() {
		fmt.Fprintf(&b, `<line x1="%g" x2="%g" y1="%.1f" y2="%.1f" class="g"/><text x="%g" y="%.1f" text-anchor="end">%s</text>`, left, chartW-right, ay.at(v), ay.at(v), left-6, ay.at(v)+4, short(v))
	}
	if !bars {
		for _, v := range ax.ticks() {
			text := short(v)
			if c.labels != nil && c.logX {
				text = percentileLabel(v)
			}
			fmt.Fprintf(&b, `<text x="%.1f" y="%g" text-anchor="middle">%s</text>`, ax.at(v), chartH-bottom+16, esc(text))
		}
	}
	fmt.Fprintf(&b, `<text x="%g" y="%g" text-anchor="middle">%s</text><text x="12" y="%g" text-anchor="middle" transform="rotate(-90 12 %g)">%s</text>`,
		(left+chartW-right)/2, chartH-6, esc(c.x), (top+chartH-bottom)/2, (top+chartH-bottom)/2, esc(c.y))
	for k, s := range c.series {
		colour := colours[k%len(colours)]
		if s.bars {
			c.drawBars(&b, &s, ax, ay, colour)
			continue
		}
		b.WriteString(`<polyline fill="none" stroke-width="1.6" stroke="` + colour + `" points="`)
		for i := range s.x {
			fmt.Fprintf(&b, "%.1f,%.1f ", ax.at(s.x[i]), ay.at(s.y[i]))
		}
		b.WriteString(`"/>`)
		if k == 0 && c.mark >= 0 && c.mark < len(s.x) {
			x, y := ax.at(s.x[c.mark]), ay.at(s.y[c.mark])
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="5" fill="none" stroke="#c00" stroke-width="2"/><text x="%.1f" y="%.1f">knee</text>`, x, y, x+8, y-6)
		}
		if s.name != "" {
			fmt.Fprintf(&b, `<text x="%g" y="%g" text-anchor="end" fill="%s" style="fill:%s">%s</text>`, chartW-right, 16+14*float64(k), colour, colour, esc(s.name))
		}
	}
	b.WriteString(`</svg>`)
	return b.String()
}

func (c *chart) drawBars(b *strings.Builder, s *series, ax, ay axis, colour string) {
	w := (ax.to - ax.from) / float64(max(len(s.x), 1))
	every := (len(s.x) + 15) / 16
	for i := range s.x {
		x, y := ax.from+w*(float64(i)+0.1), ay.at(s.y[i])
		fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"><title>%s: %s</title></rect>`,
			x, y, w*0.8, max(ay.from-y, 0), colour, short(s.x[i]), short(s.y[i]))
		if i%every == 0 {
			label := short(s.x[i])
			if i < len(c.labels) {
				label = c.labels[i]
			}
			fmt.Fprintf(b, `<text x="%.1f" y="%g" text-anchor="middle">%s</text>`, x+w*0.4, chartH-bottom+16, html.EscapeString(label))
		}
	}
}

// percentileLabel names a place on the axis 1/(1−q).
func percentileLabel(v float64) string {
	return fmt.Sprintf("%.6g%%", 100*(1-1/v))
}
