package noshow

import (
	"bytes"
	"fmt"
	"html/template"
	"slices"
)

// reportHTML draws the report of a run: one self-contained page with the
// figures, the calibration on the test days, the importance of the features,
// the course of the training and the groups.
func reportHTML(c *Card, r *run) ([]byte, error) {
	data := reportData{Card: c, Calibration: calibrationPlot(c.Bins), Loss: lossPlot(r)}
	for _, f := range c.Features {
		data.Bars = append(data.Bars, reportBar{f.Name, f.Meaning, 100 * f.Gain, f.Splits, 0})
	}
	slices.SortStableFunc(data.Bars, func(a, b reportBar) int {
		switch {
		case a.Percent > b.Percent:
			return -1
		case a.Percent < b.Percent:
			return 1
		}
		return 0
	})
	for i := range data.Bars {
		if top := data.Bars[0].Percent; top > 0 {
			data.Bars[i].Width = 300 * data.Bars[i].Percent / top
		}
	}
	var b bytes.Buffer
	if err := reportTemplate.Execute(&b, data); err != nil {
		return nil, fmt.Errorf("the report can't be drawn: %w", err)
	}
	return b.Bytes(), nil
}

type reportData struct {
	Card        *Card
	Calibration plot
	Loss        plot
	Bars        []reportBar
}

type reportBar struct {
	Name, Meaning string
	Percent       float64
	Splits        int
	Width         float64
}

// Size of a plot's frame and its margin, in pixels.
const (
	plotSize   = 360.0
	plotMargin = 50.0
)

// plot is a frame with points, bars of error and a line, in pixels.
type plot struct {
	Points []plotPoint
	Line   string
	Ticks  []plotTick
}

type plotPoint struct{ X, Y, Low, High float64 }

type plotTick struct {
	At     float64
	AtY    float64
	Label  string
	LabelY string
}

// calibrationPlot sets observed against predicted rates, on equal axes from 0.
func calibrationPlot(bins []CardBin) plot {
	top := 0.1
	for _, b := range bins {
		top = max(top, b.Predicted, b.ObsHigh)
	}
	top *= 1.05
	x := func(v float64) float64 { return plotMargin + v/top*plotSize }
	y := func(v float64) float64 { return plotMargin + plotSize - v/top*plotSize }
	var p plot
	for _, b := range bins {
		p.Points = append(p.Points, plotPoint{x(b.Predicted), y(b.Observed), y(b.ObsLow), y(b.ObsHigh)})
	}
	p.Line = fmt.Sprintf("%.1f,%.1f %.1f,%.1f", x(0), y(0), x(top), y(top))
	for i := range 5 {
		v := top * float64(i) / 4
		s := fmt.Sprintf("%.2f", v)
		p.Ticks = append(p.Ticks, plotTick{x(v), y(v), s, s})
	}
	return p
}

// lossPlot draws the first member's validation loss by round.
func lossPlot(r *run) plot {
	loss := r.model.members[0].Loss
	lo, hi := slices.Min(loss), slices.Max(loss)
	if hi <= lo {
		hi = lo + 1e-9
	}
	x := func(i float64) float64 { return plotMargin + i/float64(max(1, len(loss)-1))*plotSize }
	y := func(v float64) float64 { return plotMargin + plotSize - (v-lo)/(hi-lo)*plotSize }
	var p plot
	for i, v := range loss {
		p.Line += fmt.Sprintf("%.1f,%.1f ", x(float64(i)), y(v))
	}
	for i := range 5 {
		f := float64(i) / 4
		at := f * float64(len(loss)-1)
		p.Ticks = append(p.Ticks, plotTick{x(at), y(lo + f*(hi-lo)), fmt.Sprintf("%.0f", at+1), fmt.Sprintf("%.4f", lo+f*(hi-lo))})
	}
	return p
}

var reportTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"percent": func(v float64) string { return fmt.Sprintf("%.2f %%", 100*v) },
	"number":  func(v float64) string { return fmt.Sprintf("%.4f", v) },
	"deref":   func(v *float64) float64 { return *v },
}).Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{.Card.Model}} version {{.Card.Version}}</title>
<style>
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .7rem;border-bottom:1px solid #ddd;text-align:left}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}svg text{font-size:11px;fill:#555}
.warn{background:#fff3cd;padding:.6rem 1rem}
</style></head><body>
<h1>{{.Card.Model}}, version {{.Card.Version}}</h1>
<p>{{.Card.Task}}. {{.Card.Data.RowsUsed}} appointments of {{.Card.Data.Patients}} patients, {{.Card.Data.FirstDay}} to {{.Card.Data.LastDay}}; data sha256 <code>{{.Card.Data.SHA256}}</code>.</p>
{{if .Card.Data.Simulated}}<p class="warn">Trained on a simulated clinic: for demonstration only, not for use with patients.</p>{{end}}
<h2>Figures on the test days</h2>
<table><tr><th>figure</th><th class="n">value</th><th class="n">95 % interval</th><th>bar</th></tr>
{{range .Card.Metrics}}<tr><td>{{.Name}}</td><td class="n">{{number .Value}}</td><td class="n">{{if .Low}}{{number (deref .Low)}} to {{number (deref .High)}}{{end}}</td><td>{{.Gate}}</td></tr>
{{end}}</table>
<h2>Calibration on the test days</h2>
<svg width="460" height="460" role="img" aria-label="observed against predicted no-show rate">
{{template "frame" .Calibration}}
<polyline points="{{.Calibration.Line}}" fill="none" stroke="#aaa" stroke-dasharray="4 3"/>
{{range .Calibration.Points}}<line x1="{{.X}}" x2="{{.X}}" y1="{{.Low}}" y2="{{.High}}" stroke="#1f77b4"/><circle cx="{{.X}}" cy="{{.Y}}" r="4" fill="#1f77b4"/>
{{end}}<text x="180" y="455">predicted probability</text><text x="10" y="30">observed rate</text></svg>
<table><tr><th class="n">from</th><th class="n">to</th><th class="n">rows</th><th class="n">predicted</th><th class="n">observed</th><th class="n">95 % interval</th></tr>
{{range .Card.Bins}}<tr><td class="n">{{number .Low}}</td><td class="n">{{number .High}}</td><td class="n">{{.Rows}}</td><td class="n">{{number .Predicted}}</td><td class="n">{{number .Observed}}</td><td class="n">{{number .ObsLow}} to {{number .ObsHigh}}</td></tr>
{{end}}</table>
<h2>What the trees ask</h2>
<table><tr><th>feature</th><th>share of the gain</th><th class="n">splits</th><th>meaning</th></tr>
{{range .Bars}}<tr><td>{{.Name}}</td><td><svg width="370" height="14"><rect width="{{.Width}}" height="14" fill="#1f77b4"/><text x="{{.Width}}" dx="5" y="11">{{printf "%.1f %%" .Percent}}</text></svg></td><td class="n">{{.Splits}}</td><td>{{.Meaning}}</td></tr>
{{end}}</table>
<h2>Log loss of the validation days, by round</h2>
<svg width="460" height="460" role="img" aria-label="validation loss by round">
{{template "frame" .Loss}}
<polyline points="{{.Loss.Line}}" fill="none" stroke="#d62728"/></svg>
<h2>Groups, on the test days</h2>
<table><tr><th>group</th><th class="n">rows</th><th class="n">observed</th><th class="n">predicted</th><th class="n">AUC</th><th class="n">in the high band</th></tr>
{{range .Card.Groups}}<tr><td>{{.Group}}</td><td class="n">{{.Rows}}</td><td class="n">{{percent .Observed}}</td><td class="n">{{percent .Predicted}}</td><td class="n">{{if .AUC}}{{number (deref .AUC)}}{{end}}</td><td class="n">{{percent .HighShare}}</td></tr>
{{end}}</table>
<h2>Limits</h2><ul>{{range .Card.Limits}}<li>{{.}}</li>{{end}}</ul>
<h2>Ethics</h2><ul>{{range .Card.Ethics}}<li>{{.}}</li>{{end}}</ul>
</body></html>
{{define "frame"}}<rect x="50" y="50" width="360" height="360" fill="none" stroke="#ccc"/>
{{range .Ticks}}<text x="{{.At}}" y="426" text-anchor="middle">{{.Label}}</text><text x="44" y="{{.AtY}}" dy="4" text-anchor="end">{{.LabelY}}</text>
{{end}}{{end}}`))
