package noshow

import (
	"fmt"
	"slices"
)

//go:generate go tool qtc -dir=. -skipLineComments

// reportHTML draws the report of a run: one self-contained page with the
// figures, the calibration on the test days, the importance of the features,
// the course of the training and the groups.
func reportHTML(c *Card, r *run) []byte {
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
	return []byte(reportPage(&data))
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
