package year

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Markdown is the report in figures.
func (r *Report) Markdown() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	c := r.Config
	line("A simulated year: %d doctors, %d days, seed %d. %.1f %% stayed away, the model expected %.1f %%. A minute of waiting costs %g, of idle time "+
		"%g, of overtime %g.\n",
		c.Doctors, c.Days, c.Seed, 100*r.NoShow, 100*r.Risk, c.Weights.Wait, c.Weights.Idle, c.Weights.Overtime)
	line("| policy | cost a half-day | of first come | mean wait | idle | overtime | kept their doctor |\n|---|---|---|---|---|---|---|")
	for p := range r.Outcomes {
		o := &r.Outcomes[p]
		n := float64(o.Sessions)
		line("| %s | %.1f | %.3f | %.2f | %.1f | %.1f | %.1f %% |", o.Policy, o.Cost/n, o.Cost/r.Outcomes[FirstCome].Cost, o.MeanWait(), o.Idle/n, o.Overtime/n,
			100*float64(o.Kept)/float64(max(o.Regulars, 1)))
	}
	line("\nMean wait by group, in minutes (patients seen under the last policy):\n")
	b.WriteString("| group |")
	for p := range numPolicies {
		fmt.Fprintf(&b, " %s |", p)
	}
	line(" patients |")
	line("|---|%s---|", strings.Repeat("---|", int(numPolicies)))
	for g, name := range GroupNames() {
		fmt.Fprintf(&b, "| %s |", name)
		for p := range r.Outcomes {
			fmt.Fprintf(&b, " %.2f |", r.Outcomes[p].Groups[g].MeanWait())
		}
		line(" %d |", r.Outcomes[Models].Groups[g].Seen)
	}
	return b.String()
}

// HTML is the report as one page with plots and nothing from elsewhere.
func (r *Report) HTML() string {
	var b strings.Builder
	b.WriteString("<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>A simulated year</title>\n" +
		"<style>body{font:15px/1.5 system-ui,sans-serif;max-width:52em;margin:2em auto;padding:0 1em;color:#1b2733}" +
		"table{border-collapse:collapse;margin:1em 0}td,th{padding:.25em .7em;border-bottom:1px solid " +
		"#d6dde4;text-align:right}td:first-child,th:first-child{text-align:left}" +
		"svg{display:block;margin:1em 0;max-width:100%}text{font:12px system-ui,sans-serif;fill:#1b2733}</style>\n<h1>A simulated year</h1>\n")
	verdict := "Both bars are held: at least 15 % below each rule, and no group waits more than 10 % longer than the mean."
	if err := r.Gate(); err != nil {
		verdict = "A bar is missed: " + err.Error() + "."
	}
	fmt.Fprintf(&b, "<p>%s</p>\n", html.EscapeString(verdict))
	b.WriteString(htmlTables(r.Markdown()))
	b.WriteString("<h2>Cost of a half-day</h2>\n" + r.costBars())
	b.WriteString("<h2>Cost over the year</h2>\n" + r.monthLines())
	b.WriteString("<h2>Mean wait by group, models</h2>\n" + r.groupBars())
	b.WriteString("</html>\n")
	return b.String()
}

// htmlTables turns the report's own Markdown (paragraphs and tables) into HTML.
func htmlTables(markdown string) string {
	var b strings.Builder
	open := false
	for text := range strings.Lines(markdown) {
		text = strings.TrimSpace(text)
		cells, row := strings.CutPrefix(text, "|")
		switch {
		case strings.HasPrefix(text, "|---"):
			continue
		case row:
			tag := "td"
			if !open {
				b.WriteString("<table>\n")
				tag, open = "th", true
			}
			b.WriteString("<tr>")
			for c := range strings.SplitSeq(strings.TrimSuffix(cells, "|"), "|") {
				fmt.Fprintf(&b, "<%s>%s</%s>", tag, html.EscapeString(strings.TrimSpace(c)), tag)
			}
			b.WriteString("</tr>\n")
			continue
		}
		if open {
			b.WriteString("</table>\n")
			open = false
		}
		if text != "" {
			fmt.Fprintf(&b, "<p>%s</p>\n", html.EscapeString(text))
		}
	}
	if open {
		b.WriteString("</table>\n")
	}
	return b.String()
}

// Colours of the plots: waiting, idle, overtime; and one for each policy.
var (
	partColours   = [...]string{"#3b7dd8", "#e0a030", "#c8503c"}
	policyColours = [numPolicies]string{"#8a949e", "#c8503c", "#e0a030", "#3b7dd8"}
)

const (
	plotWidth = 760
	barLeft   = 210
)

// costBars shows each policy's cost by its parts.
func (r *Report) costBars() string {
	var b strings.Builder
	top := 0.0
	for p := range r.Outcomes {
		top = math.Max(top, r.Outcomes[p].Cost/float64(r.Outcomes[p].Sessions))
	}
	fmt.Fprintf(&b, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"cost of a half-day by policy\">\n", plotWidth, 40*int(numPolicies)+30)
	w := r.Config.Weights
	for p := range r.Outcomes {
		o := &r.Outcomes[p]
		n := float64(o.Sessions)
		x, y := float64(barLeft), 40*p+8
		fmt.Fprintf(&b, "<text x=\"0\" y=\"%d\">%s</text>\n", y+17, html.EscapeString(o.Policy.String()))
		for k, part := range []float64{w.Wait * o.Wait / n, w.Idle * o.Idle / n, w.Overtime * o.Overtime / n} {
			width := part / top * (plotWidth - barLeft - 60)
			fmt.Fprintf(&b, "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"26\" fill=\"%s\"/>\n", x, y, width, partColours[k])
			x += width
		}
		fmt.Fprintf(&b, "<text x=\"%.1f\" y=\"%d\">%.0f</text>\n", x+6, y+17, o.Cost/n)
	}
	for k, name := range []string{"waiting", "idle time", "overtime"} {
		x, y := barLeft+110*k, 40*int(numPolicies)+8
		fmt.Fprintf(&b, "<rect x=\"%d\" y=\"%d\" width=\"12\" height=\"12\" fill=\"%s\"/><text x=\"%d\" y=\"%d\">%s</text>\n", x, y, partColours[k], x+18, y+11, name)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// monthLines shows the cost of a half-day in each twelfth of the year.
func (r *Report) monthLines() string {
	const height, left, bottom = 260, 46, 24
	var b strings.Builder
	top := 0.0
	cost := func(p, m int) float64 {
		t := &r.Outcomes[p].Months[m]
		return t.Cost / float64(max(t.Sessions, 1))
	}
	for p := range r.Outcomes {
		for m := range months {
			top = math.Max(top, cost(p, m))
		}
	}
	top = math.Ceil(top/100) * 100
	at := func(v float64) float64 { return 10 + (1-v/top)*(height-bottom-10) }
	fmt.Fprintf(&b, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"cost of a half-day over the year\">\n", plotWidth, height+22*int(numPolicies))
	for v := 0.0; v <= top; v += top / 4 {
		fmt.Fprintf(&b, "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#d6dde4\"/><text x=\"0\" y=\"%.1f\">%.0f</text>\n", left, plotWidth, at(v), at(v),
			at(v)+4, v)
	}
	step := float64(plotWidth-left-20) / (months - 1)
	for p := range r.Outcomes {
		fmt.Fprintf(&b, "<polyline fill=\"none\" stroke-width=\"2\" stroke=\"%s\" points=\"", policyColours[p])
		for m := range months {
			fmt.Fprintf(&b, "%.1f,%.1f ", left+step*float64(m), at(cost(p, m)))
		}
		y := height + 22*p
		fmt.Fprintf(&b, "\"/>\n<rect x=\"%d\" y=\"%d\" width=\"12\" height=\"12\" fill=\"%s\"/><text x=\"%d\" y=\"%d\">%s</text>\n", left, y, policyColours[p], left+
			18, y+11, html.EscapeString(Policy(p).String()))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// groupBars shows the groups' mean waits under the models, longest first, with the mean
// of all and 10 % above it.
func (r *Report) groupBars() string {
	var b strings.Builder
	o := &r.Outcomes[Models]
	order := o.sorted()
	mean := o.MeanWait()
	top := 1.25 * mean
	for _, g := range order {
		top = math.Max(top, o.Groups[g].MeanWait())
	}
	x := func(v float64) float64 { return barLeft + v/top*(plotWidth-barLeft-60) }
	height := 24*len(order) + 30
	fmt.Fprintf(&b, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"mean wait by group\">\n", plotWidth, height)
	for k, g := range order {
		v := o.Groups[g].MeanWait()
		fmt.Fprintf(&b, "<text x=\"0\" y=\"%d\">%s</text><rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"16\" fill=\"%s\"/><text x=\"%.1f\" y=\"%d\">%.1f</text>\n",
			24*k+17, html.EscapeString(GroupNames()[g]), barLeft, 24*k+4, x(v)-barLeft, partColours[0], x(v)+6, 24*k+17, v)
	}
	for _, l := range []struct {
		v    float64
		text string
	}{{mean, "mean"}, {1.1 * mean, "+10 %"}} {
		fmt.Fprintf(&b, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"0\" y2=\"%d\" stroke=\"#1b2733\" stroke-dasharray=\"4 3\"/><text x=\"%.1f\" y=\"%d\">%s</text>\n", x(l.v),
			x(l.v), height-18, x(l.v)-14, height-4, l.text)
	}
	b.WriteString("</svg>\n")
	return b.String()
}
