package year

import (
	"context"
	"encoding/xml"
	"reflect"
	"slices"
	"strings"
	"testing"

	_ "github.com/aimass/aimass/internal/rapidseed"
	"pgregory.net/rapid"

	"github.com/aimass/aimass/appointment/schedule"
)

// few is a clinic that is played in a moment.
func few(t *testing.T) Config {
	c := DefaultConfig()
	c.Doctors, c.TrainDays, c.Days, c.Scratch = 5, 150, 12, t.TempDir()
	return c
}

func TestYear(t *testing.T) {
	c := few(t)
	c.Workers = 2
	r, err := Run(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	for p := range r.Outcomes {
		o, first := &r.Outcomes[p], &r.Outcomes[FirstCome]
		if o.Booked != first.Booked || o.Seen != first.Seen || o.Sessions != c.Doctors*c.Days || o.Regulars != first.Regulars {
			t.Errorf("%s does not treat the same patients: %+v, %+v", o.Policy, o.Totals, first.Totals)
		}
		w := c.Weights
		if cost := w.Wait*o.Wait + w.Idle*o.Idle + w.Overtime*o.Overtime; o.Cost < .999999*cost || o.Cost > 1.000001*cost {
			t.Errorf("%s: cost %v, its parts make %v", o.Policy, o.Cost, cost)
		}
		var year Totals
		for m := range o.Months {
			year.add(&o.Months[m])
		}
		if year.Seen != o.Seen || year.Sessions != o.Sessions {
			t.Errorf("%s: the months hold %+v of %+v", o.Policy, year, o.Totals)
		}
		for _, parts := range [][]int{{0, 1, 2}, {3, 4, 5}, {6, 7}, {8, 9, 10}} {
			seen := 0
			for _, g := range parts {
				seen += o.Groups[g].Seen
			}
			if seen != o.Seen {
				t.Errorf("%s: groups %v hold %d of %d", o.Policy, parts, seen, o.Seen)
			}
		}
	}
	ours, rule := &r.Outcomes[Models], &r.Outcomes[BaileyWelch]
	if ours.Cost >= .95*rule.Cost || ours.Kept <= rule.Kept {
		t.Errorf("models cost %.0f, Bailey-Welch %.0f; kept %d, %d", ours.Cost, rule.Cost, ours.Kept, rule.Kept)
	}
	if d := r.Risk - r.NoShow; d > .03 || d < -.03 {
		t.Errorf("the model expects %.3f, %.3f stayed away", r.Risk, r.NoShow)
	}
	c.Workers, c.Scratch = 1, t.TempDir()
	again, err := Run(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(again.Outcomes, r.Outcomes) {
		t.Error("the same year came out differently on one worker")
	}
	checkPage(t, r)
}

// checkPage wants every plot to be well-formed and every policy named.
func checkPage(t *testing.T, r *Report) {
	t.Helper()
	page := r.HTML()
	for _, part := range strings.SplitAfter(page, "</svg>") {
		at := strings.Index(part, "<svg")
		if at < 0 {
			continue
		}
		if err := xml.Unmarshal([]byte(part[at:]), new(struct{})); err != nil {
			t.Errorf("a plot is broken: %v", err)
		}
	}
	if strings.Count(page, "<svg") != 3 || strings.Contains(page, "NaN") || strings.Contains(page, "%!") {
		t.Errorf("%d plots, or a figure that is none", strings.Count(page, "<svg"))
	}
	for p := range numPolicies {
		if !strings.Contains(page, p.String()) || !strings.Contains(r.Markdown(), p.String()) {
			t.Errorf("%s is not named", p)
		}
	}
}

func TestGateNamesWhatIsMissed(t *testing.T) {
	r := &Report{}
	for p := range r.Outcomes {
		r.Outcomes[p].Cost, r.Outcomes[p].Groups = 100, make([]Totals, len(GroupNames()))
	}
	ours := &r.Outcomes[Models]
	ours.Cost, ours.Seen, ours.Wait = 85, 10, 100
	if err := r.Gate(); err != nil {
		t.Error(err)
	}
	ours.Groups[2].Seen, ours.Groups[2].Wait = 2, 22.1
	if err := r.Gate(); err == nil || !strings.Contains(err.Error(), GroupNames()[2]) {
		t.Errorf("a group that waits longer: %v", err)
	}
	ours.Groups[2].Wait, ours.Cost = 22, 85.1
	if err := r.Gate(); err == nil || !strings.Contains(err.Error(), "first come") {
		t.Errorf("too dear: %v", err)
	}
}

// TestOverbooked: everybody once, as many different starts as are expected at most, and
// those booked on top are the likeliest to stay away.
func TestOverbooked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &schedule.Problem{Session: 240, Grid: 5}
		expected := 0.0
		for range rapid.IntRange(1, 40).Draw(t, "n") {
			q := schedule.Patient{NoShow: rapid.Float64Range(0, 1).Draw(t, "p"), Mean: 12, CV: .5}
			expected += 1 - q.NoShow
			p.Patients = append(p.Patients, q)
		}
		pl := overbooked(p)
		if err := (schedule.Plan{Order: pl.order, Times: pl.times}).Check(p); err != nil {
			t.Fatalf("%v: %v", err, pl)
		}
		if d := len(slices.Compact(slices.Clone(pl.times))); float64(d) > expected+1 {
			t.Errorf("%d starts for %.1f expected patients", d, expected)
		}
	})
}
