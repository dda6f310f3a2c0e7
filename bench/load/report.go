package load

import (
	"fmt"
	"io"
	"sort"
)

//go:generate go tool qtc -dir=. -skipLineComments

type table struct {
	Head []string
	Rows [][]string
}

type document struct {
	Title  string
	Tables []table
	Charts []string // markup
}

func (d *document) write(w io.Writer) error {
	_, err := io.WriteString(w, page(d))
	return err
}

func ms(ns int64) string { return fmt.Sprintf("%.3f", float64(ns)/1e6) }

// HTML writes the report of a run.
func (r *Result) HTML(w io.Writer) error {
	offered := fmt.Sprintf("closed loop, %d in flight", r.Concurrency)
	if r.Loop == "open" {
		offered = fmt.Sprintf("open loop, %.0f/s", r.Rate)
	}
	d := document{Title: fmt.Sprintf("Load on %s: %v, %s, %s", r.URL, r.Models, r.Protocol, offered)}
	d.Tables = append(d.Tables, table{Head: []string{"requests", "errors", "throughput /s", "goodput /s", "mean ms", "p50", "p90", "p95", "p99", "p99.9", "max"},
		Rows: [][]string{{fmt.Sprint(r.Requests), fmt.Sprint(r.ErrorCount()), fmt.Sprintf("%.1f", r.RPS), fmt.Sprintf("%.1f", r.GoodRPS),
			ms(r.Latency.Mean), ms(r.Latency.P50), ms(r.Latency.P90), ms(r.Latency.P95), ms(r.Latency.P99), ms(r.Latency.P999), ms(r.Latency.Max)}}})
	if len(r.Targets) > 1 {
		t := table{Head: []string{"model", "tenant", "requests", "errors", "p50 ms", "p99 ms"}}
		for _, g := range r.Targets {
			t.Rows = append(t.Rows, []string{g.Model, g.Tenant, fmt.Sprint(g.Requests), fmt.Sprint(g.Errors), ms(g.Latency.P50), ms(g.Latency.P99)})
		}
		d.Tables = append(d.Tables, t)
	}
	if len(r.Errors) > 0 {
		t := table{Head: []string{"error", "count", "example"}}
		for _, code := range sortedKeys(r.Errors) {
			t.Rows = append(t.Rows, []string{code, fmt.Sprint(r.Errors[code]), r.ErrorTexts[code]})
		}
		d.Tables = append(d.Tables, t)
	}
	d.Charts = append(d.Charts, r.percentileChart().render())
	d.Charts = append(d.Charts, r.timeCharts()...)
	for i := range r.Server {
		d.Charts = append(d.Charts, r.Server[i].charts()...)
	}
	return d.write(w)
}

func sortedKeys(m map[string]int64) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

func (r *Result) percentileChart() *chart {
	s := series{}
	for _, p := range r.Percentiles {
		s.x, s.y = append(s.x, 1/(1-p[0])), append(s.y, p[1]/1e6)
	}
	return &chart{title: "Latency by percentile", x: "percentile", y: "ms", logX: true, mark: -1, series: []series{s}, labels: []string{}}
}

func (r *Result) timeCharts() []string {
	rate, bad := series{name: "answers"}, series{name: "errors"}
	p50, p99 := series{name: "p50"}, series{name: "p99"}
	for _, w := range r.Windows {
		rate.x, rate.y = append(rate.x, w.End), append(rate.y, w.RPS)
		bad.x, bad.y = append(bad.x, w.End), append(bad.y, float64(w.Errors))
		p50.x, p50.y = append(p50.x, w.End), append(p50.y, float64(w.P50)/1e6)
		p99.x, p99.y = append(p99.x, w.End), append(p99.y, float64(w.P99)/1e6)
	}
	a := chart{title: "Throughput over time", x: "s", y: "requests/s", mark: -1, series: []series{rate, bad}}
	b := chart{title: "Latency over time", x: "s", y: "ms", mark: -1, series: []series{p50, p99}}
	return []string{a.render(), b.render()}
}

func (s *Stages) charts() []string {
	name := s.Model + " version " + s.Version
	var sizes series
	sizes.bars = true
	for _, b := range s.Batches {
		sizes.x, sizes.y = append(sizes.x, float64(b.Rows)), append(sizes.y, float64(b.Count))
	}
	stage := series{bars: true, x: []float64{0, 1, 2, 3}, y: []float64{s.Queue, s.Input, s.Infer, s.Output}}
	a := chart{title: name + ": batches by rows", x: "rows in a batch", y: "batches", mark: -1, series: []series{sizes}}
	b := chart{title: fmt.Sprintf("%s: stages on the server, mean of %.0f µs", name, s.Total), x: "stage", y: "µs a request", mark: -1,
		series: []series{stage}, labels: []string{"queue", "input", "infer", "output"}}
	return []string{a.render(), b.render()}
}

// HTML writes the report of a sweep.
func (r *SweepResult) HTML(w io.Writer) error {
	d := document{Title: fmt.Sprintf("Sweep of %s: %v, %s", r.URL, r.Models, r.Protocol)}
	t := table{Head: []string{"offered", "throughput /s", "goodput /s", "p50 ms", "p99 ms", "errors", ""}}
	p50, p99 := series{name: "p50"}, series{name: "p99"}
	for _, p := range r.Points {
		mark := ""
		if p.Knee {
			mark = "knee"
		}
		t.Rows = append(t.Rows, []string{p.offered(), fmt.Sprintf("%.1f", p.RPS), fmt.Sprintf("%.1f", p.GoodRPS), ms(p.P50), ms(p.P99), fmt.Sprint(p.Errors), mark})
		p50.x, p50.y = append(p50.x, p.RPS), append(p50.y, float64(p.P50)/1e6)
		p99.x, p99.y = append(p99.x, p.RPS), append(p99.y, float64(p.P99)/1e6)
	}
	c := chart{title: "Latency by throughput", x: "requests/s", y: "ms", logY: true, mark: r.Knee, series: []series{p99, p50}}
	d.Tables, d.Charts = []table{t}, []string{c.render()}
	return d.write(w)
}

func (p *Point) offered() string {
	if p.Rate > 0 {
		return fmt.Sprintf("%.0f/s", p.Rate)
	}
	return fmt.Sprintf("%d in flight", p.Concurrency)
}

// Text writes a run in a few lines.
func (r *Result) Text(w io.Writer) {
	fmt.Fprintf(w, "%d answers in %.1f s: %.1f/s", r.Requests, r.Duration, r.RPS)
	if r.Good != r.Requests {
		fmt.Fprintf(w, ", %.1f/s within the deadline", r.GoodRPS)
	}
	l := &r.Latency
	fmt.Fprintf(w, "\nlatency ms: mean %s  p50 %s  p90 %s  p95 %s  p99 %s  p99.9 %s  max %s\n", ms(l.Mean), ms(l.P50), ms(l.P90), ms(l.P95), ms(l.P99), ms(l.P999), ms(l.Max))
	for _, code := range sortedKeys(r.Errors) {
		fmt.Fprintf(w, "error %-20s %d  %s\n", code, r.Errors[code], r.ErrorTexts[code])
	}
	if len(r.Targets) > 1 {
		for _, t := range r.Targets {
			fmt.Fprintf(w, "  %s %s: %d answers, %d errors, p50 %s, p99 %s\n", t.Model, t.Tenant, t.Requests, t.Errors, ms(t.Latency.P50), ms(t.Latency.P99))
		}
	}
	for _, s := range r.Server {
		if s.Executions == 0 {
			continue
		}
		fmt.Fprintf(w, "server, %s version %s: %d batches of %.2f rows; µs a request: queue %.0f, input %.0f, infer %.0f, output %.0f, total %.0f\n",
			s.Model, s.Version, s.Executions, float64(s.Inferences)/float64(s.Executions), s.Queue, s.Input, s.Infer, s.Output, s.Total)
	}
}

// PointHeader and Text write a sweep as a table.
func PointHeader(w io.Writer) {
	fmt.Fprintf(w, "%-16s %12s %12s %10s %10s %8s\n", "offered", "answers/s", "good/s", "p50 ms", "p99 ms", "errors")
}

// Text writes one line of the table.
func (p *Point) Text(w io.Writer) {
	fmt.Fprintf(w, "%-16s %12.1f %12.1f %10s %10s %8d\n", p.offered(), p.RPS, p.GoodRPS, ms(p.P50), ms(p.P99), p.Errors)
}
