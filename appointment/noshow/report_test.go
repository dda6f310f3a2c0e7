package noshow

import (
	"html"
	"strings"
	"testing"
)

// TestReportEscapes: a name of a place or a sentence of the card adds no markup to the
// report, and is shown as it was written.
func TestReportEscapes(t *testing.T) {
	const hostile = `"><script>alert('1')</script>&amp;`
	low, high := .1, .2
	c := &Card{
		Model: hostile, Task: hostile, Limits: []string{hostile}, Ethics: []string{hostile}, Groups: []GroupMetric{{Group: hostile, AUC: &low}},
		Metrics: []CardMetric{{Name: hostile, Gate: hostile, Low: &low, High: &high}}, Data: CardData{FirstDay: hostile, LastDay: hostile, SHA256: hostile},
	}
	p := plot{Line: hostile, Ticks: []plotTick{{Label: hostile, LabelY: hostile}}}
	page := reportPage(&reportData{Card: c, Calibration: p, Loss: p, Bars: []reportBar{{Name: hostile, Meaning: hostile}}})
	if strings.Contains(page, "<script") || strings.Contains(page, "alert('") {
		t.Errorf("a text became markup: %s", page)
	}
	if n := strings.Count(html.UnescapeString(page), hostile); n != 19 {
		t.Errorf("%d of 19 texts are shown: %s", n, page)
	}
}
