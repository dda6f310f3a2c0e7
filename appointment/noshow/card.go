package noshow

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/aimass/aimass/train"
	"github.com/aimass/aimass/train/evaluate"
)

// Card is the model card, as model_card.json holds it.
type Card struct {
	Model    string             `json:"model"`
	Version  int                `json:"version"`
	Created  time.Time          `json:"created"`
	Task     string             `json:"task"`
	Moment   string             `json:"moment"`
	Inputs   []train.CardTensor `json:"inputs"`
	Outputs  []train.CardTensor `json:"outputs"`
	Features []CardFeature      `json:"features"`
	Places   []string           `json:"neighbourhoods"`
	Data     CardData           `json:"data"`
	Split    []CardPart         `json:"split"`
	Training CardTraining       `json:"training"`
	Bands    CardBands          `json:"risk_bands"`
	Metrics  []CardMetric       `json:"metrics"`
	Gates    string             `json:"gates"`
	Groups   []GroupMetric      `json:"groups"`
	Bins     []CardBin          `json:"calibration"`
	Platt    CardCalibration    `json:"platt"`
	Limits   []string           `json:"limits"`
	Ethics   []string           `json:"ethics"`
}

// CardFeature describes a feature and its values in training.
type CardFeature struct {
	Name    string `json:"name"`
	Meaning string `json:"meaning"`
	// Kind is "numeric" or "categorical"; Used is false for what was left out.
	Kind string `json:"kind"`
	Used bool   `json:"used"`
	// Min, Max and Mean are over the training rows; of a categorical feature
	// they are null.
	Min  *float64 `json:"min"`
	Max  *float64 `json:"max"`
	Mean *float64 `json:"mean"`
	// Gain is the share of the gain of all splits, Splits their number.
	Gain   float64 `json:"importance"`
	Splits int     `json:"splits"`
}

// CardData describes the file.
type CardData struct {
	SHA256       string  `json:"sha256"`
	Bytes        int64   `json:"bytes"`
	RowsRead     int     `json:"rows_read"`
	RowsUsed     int     `json:"rows_used"`
	BadAge       int     `json:"rows_dropped_age"`
	BadLead      int     `json:"rows_dropped_lead"`
	Patients     int     `json:"patients"`
	NoShowRate   float64 `json:"no_show_rate"`
	FirstBooking string  `json:"first_booking"`
	FirstDay     string  `json:"first_day"`
	LastDay      string  `json:"last_day"`
	Simulated    bool    `json:"simulated"`
}

// CardPart describes one part of the split.
type CardPart struct {
	Name   string  `json:"name"`
	From   string  `json:"from"`
	To     string  `json:"to"`
	Rows   int     `json:"rows"`
	NoShow float64 `json:"no_show_rate"`
}

// CardTraining tells how the trees were grown.
type CardTraining struct {
	Method          string  `json:"method"`
	Trees           int     `json:"trees"`
	Members         int     `json:"members"`
	LearningRate    float64 `json:"learning_rate"`
	Leaves          int     `json:"leaves"`
	MinRows         int     `json:"min_rows_a_leaf"`
	L2              float64 `json:"l2"`
	RowFraction     float64 `json:"row_fraction"`
	ColumnFraction  float64 `json:"column_fraction"`
	CategorySmooth  float64 `json:"category_smoothing"`
	CategoryMax     int     `json:"category_max"`
	EarlyStop       int     `json:"early_stop_rounds"`
	Seed            uint64  `json:"seed"`
	Seconds         float64 `json:"seconds"`
	UsePlace        bool    `json:"uses_neighbourhood"`
	UseScholarship  bool    `json:"uses_scholarship"`
	ValidLogLoss    float64 `json:"valid_log_loss"`
	TestMeasuredFor string  `json:"test_days_used_for"`
}

// CardBands are the risk bands: 0 below Medium, 1 from Medium, 2 from High.
type CardBands struct {
	Medium float64 `json:"medium_from"`
	High   float64 `json:"high_from"`
}

// CardMetric is a figure with its interval and bar.
type CardMetric struct {
	Name   string   `json:"name"`
	Set    string   `json:"set"`
	Value  float64  `json:"value"`
	Low    *float64 `json:"low95"`
	High   *float64 `json:"high95"`
	Gate   string   `json:"gate,omitempty"`
	Passed bool     `json:"passed"`
}

// CardBin is a calibration bin of the test days.
type CardBin struct {
	Low       float64 `json:"low"`
	High      float64 `json:"high"`
	Rows      int     `json:"rows"`
	Predicted float64 `json:"predicted"`
	Observed  float64 `json:"observed"`
	ObsLow    float64 `json:"observed_low95"`
	ObsHigh   float64 `json:"observed_high95"`
}

// CardCalibration is the last step of the model: p = sigmoid(slope·score +
// intercept).
type CardCalibration struct {
	Slope     float64 `json:"slope"`
	Intercept float64 `json:"intercept"`
}

// meanings explains the features.
var meanings = map[string]string{
	"age":           "age in years",
	"male":          "1 for men, 0 for women",
	"lead":          "days from the day of booking to the appointment (UTC dates)",
	"same_day":      "1 where lead is 0",
	"sched_hour":    "hour of booking, with minutes as a fraction (UTC)",
	"sched_dow":     "weekday of booking, Monday 0",
	"appt_dow":      "weekday of the appointment, Monday 0",
	"scholarship":   "1 where the family receives the social benefit Bolsa Família",
	"hipertension":  "1 with hypertension",
	"diabetes":      "1 with diabetes",
	"alcoholism":    "1 with alcoholism",
	"handcap":       "number of disabilities, 0 to 4",
	"p_cnt":         "the patient's earlier appointments, on days before the cut, with known outcome",
	"p_ns":          "how many of those were no-shows",
	"p_last":        "share of no-shows on the latest of those days, -1 without any",
	"p_since":       "days from that day to the cut, -1 without any",
	"p_open":        "the patient's other appointments that are booked and still to come",
	reminderName:    "1 where a text message was sent before the day",
	"neighbourhood": "number of the clinic's neighbourhood in the card's list, -1 unknown",
}

// cardLimits and cardEthics are what a user must know.
var (
	cardLimits = []string{
		"Figures are of the days after training, at the clinics of the data; at other sites such models are known to do much worse. Train on your own data and " +
			"look at the calibration before use.",
		"The rate of no-shows drifts (in the reference file from 21.1 % to 18.5 % within six weeks): calibrate again on recent days.",
		"A test row that was booked before the last training day is scored by a model that knows later days; figures are a little too good for that.",
		"p_interval is the 95 % Wilson interval of the no-show rate among appointments of like probability on the validation days, widened to hold p_noshow. It " +
			"says how well the rate is known, not whether this patient comes.",
		"Differences in AUC below .005 mean nothing here. Compare models by log loss or Brier score.",
		"aimass refuses rows that no appointment can have: NaN, an age outside of 0 to 120, a day before the booking, more no-shows than appointments. Other " +
			"runtimes answer something to them.",
	}
	cardEthics = []string{
		"Meant for reminders, calls and help with transport. Overbooking by predicted risk made those of high risk wait some 30 % longer in a published study " +
			"(Samorani et al.): prefer reminders to double booking and report waiting by group.",
		"Risk goes along with poverty. neighbourhood and scholarship can be left out of training at little cost; the group table shows how often each group " +
			"lands in the high band.",
		"Never move a confirmed patient earlier, or refuse one, because of this number.",
	}
)

// newCard describes a run.
func newCard(r *run) *Card {
	o := r.options
	width := len(FeatureNames(o.Moment))
	c := &Card{
		Model: ModelName(o.Moment), Created: r.job.Now.UTC().Truncate(time.Second), Moment: o.Moment.String(),
		Task: "probability that a patient does not show up for an appointment, as known at " + momentPhrase(o.Moment),
		Inputs: []train.CardTensor{
			{Name: "numeric", Type: "FP32", Shape: []int{-1, width}, Meaning: "the numeric features in the order of the list"},
			{Name: "neighbourhood", Type: "INT64", Shape: []int{-1}, Meaning: "number in the list of neighbourhoods; any other number is unknown"},
		},
		Outputs: []train.CardTensor{
			{Name: "p_noshow", Type: "FP32", Shape: []int{-1}, Meaning: "calibrated probability of a no-show"},
			{Name: "p_interval", Type: "FP32", Shape: []int{-1, 2}, Meaning: "95 % interval of the no-show rate among like appointments, widened to hold p_noshow"},
			{Name: "risk_band", Type: "INT32", Shape: []int{-1}, Meaning: "0 low, 1 medium, 2 high"},
		},
		Places: r.model.Places, Data: describeData(r.table), Gates: r.gates.Name,
		Bands: CardBands{o.Medium, o.High}, Groups: r.groups,
		Platt:  CardCalibration{r.model.Platt.Slope, r.model.Platt.Intercept},
		Limits: cardLimits, Ethics: cardEthics,
	}
	c.Features = describeFeatures(r)
	c.Split = []CardPart{part("train", r.fit.records), part("valid", r.valid.records), part("test", r.test.records)}
	t := o.Trees
	c.Training = CardTraining{
		Method: "histogram gradient boosting on log loss, Platt scaling on the validation days", Trees: len(r.model.Trees.Trees),
		Members: o.Members, LearningRate: t.LearningRate, Leaves: t.Leaves, MinRows: t.MinRows, L2: t.L2,
		RowFraction: t.RowFraction, ColumnFraction: t.ColumnFraction, CategorySmooth: t.CategorySmoothing, CategoryMax: t.CategoryMax,
		EarlyStop: t.EarlyStop, Seed: t.Seed, Seconds: math.Round(r.seconds*100) / 100,
		UsePlace: o.UsePlace, UseScholarship: o.UseScholarship,
		ValidLogLoss:    evaluate.LogLoss(r.valid.data.Labels, r.model.predict(r.valid)),
		TestMeasuredFor: "the figures alone; every choice was made on the validation days",
	}
	for _, m := range r.metrics {
		cm := CardMetric{Name: m.Name, Set: m.Set, Value: m.Value, Gate: m.Gate, Passed: m.Passed}
		if m.Low < m.High {
			cm.Low, cm.High = &m.Low, &m.High
		}
		c.Metrics = append(c.Metrics, cm)
	}
	for _, b := range evaluate.Calibration(r.test.data.Labels, r.predicted, evaluate.Quantiles(r.predicted, eceBins)) {
		if b.Rows == 0 {
			continue
		}
		low, high := evaluate.Wilson(b.Observed*float64(b.Rows), float64(b.Rows), wilsonZ)
		c.Bins = append(c.Bins, CardBin{b.Low, b.High, b.Rows, b.Predicted, b.Observed, low, high})
	}
	return c
}

func momentPhrase(m Moment) string {
	if m == DayOf {
		return "the beginning of its day"
	}
	return "the time of booking"
}

func describeData(t *Table) CardData {
	d := CardData{SHA256: t.SHA256, Bytes: t.Bytes, RowsRead: t.Read, RowsUsed: len(t.Records), BadAge: t.BadAge, BadLead: t.BadLead, Simulated: t.Simulated}
	first := t.Records[0].Booked
	seen := make(map[float64]bool)
	for i := range t.Records {
		r := &t.Records[i]
		first = min(first, r.Booked)
		seen[r.Patient] = true
		d.NoShowRate += float64(flag(r.NoShow)) / float64(len(t.Records))
	}
	d.Patients = len(seen)
	d.FirstBooking, d.FirstDay, d.LastDay = Date(dayOf(first)), Date(t.Records[0].Day), Date(t.Records[len(t.Records)-1].Day)
	return d
}

func part(name string, rows []Record) CardPart {
	p := CardPart{Name: name, From: Date(rows[0].Day), To: Date(rows[len(rows)-1].Day), Rows: len(rows)}
	for i := range rows {
		p.NoShow += float64(flag(rows[i].NoShow)) / float64(len(rows))
	}
	return p
}

func describeFeatures(r *run) []CardFeature {
	var out []CardFeature
	for f, imp := range r.model.Trees.Importance() {
		c := CardFeature{Name: imp.Feature, Meaning: meanings[imp.Feature], Kind: "numeric", Used: true, Gain: imp.Gain, Splits: imp.Splits}
		if r.model.Trees.Features[f].Categorical() {
			c.Kind = "categorical"
			c.Used = r.options.UsePlace
		} else {
			c.Used = f != scholarshipFeature || r.options.UseScholarship
			lo, hi, mean := math.Inf(1), math.Inf(-1), 0.0
			for _, v := range r.fit.data.Columns[f] {
				lo, hi = min(lo, float64(v)), max(hi, float64(v))
				mean += float64(v) / float64(len(r.fit.records))
			}
			c.Min, c.Max, c.Mean = &lo, &hi, &mean
		}
		out = append(out, c)
	}
	return out
}

// Markdown writes the card for people.
func (c *Card) Markdown() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# %s, version %d\n", c.Model, c.Version)
	line("%s. Written %s.\n", strings.ToUpper(c.Task[:1])+c.Task[1:], c.Created.Format(time.DateOnly))
	if c.Data.Simulated {
		line("**Trained on a simulated clinic: for demonstration only, not for use with patients.**\n")
	}
	line("## Figures on the test days\n")
	line("| figure | value | 95 %% interval | bar |\n|---|---|---|---|")
	for _, m := range c.Metrics {
		ci := ""
		if m.Low != nil {
			ci = fmt.Sprintf("%.4f to %.4f", *m.Low, *m.High)
		}
		line("| %s | %.4f | %s | %s |", m.Name, m.Value, ci, m.Gate)
	}
	line("\nBars: %s. Intervals by bootstrap over patients.\n", c.Gates)
	line("## Data\n")
	d := c.Data
	line("sha256 `%s`, %d bytes; %d rows read, %d used (left out: %d for their age, %d for an appointment day before the booking), %d patients, %.2f %% "+
		"no-shows; appointments from %s to %s, booked from %s on.\n",
		d.SHA256, d.Bytes, d.RowsRead, d.RowsUsed, d.BadAge, d.BadLead, d.Patients, 100*d.NoShowRate, d.FirstDay, d.LastDay, d.FirstBooking)
	line("| part | days | rows | no-shows |\n|---|---|---|---|")
	for _, p := range c.Split {
		line("| %s | %s to %s | %d | %.2f %% |", p.Name, p.From, p.To, p.Rows, 100*p.NoShow)
	}
	line("\n## Features\n")
	line("| feature | meaning | range in training | mean | importance |\n|---|---|---|---|---|")
	for _, f := range c.Features {
		rng, mean := fmt.Sprintf("%d known", len(c.Places)), ""
		if f.Min != nil {
			rng, mean = fmt.Sprintf("%.4g to %.4g", *f.Min, *f.Max), fmt.Sprintf("%.3f", *f.Mean)
		}
		if !f.Used {
			rng += " (left out)"
		}
		line("| %s | %s | %s | %s | %.1f %% |", f.Name, f.Meaning, rng, mean, 100*f.Gain)
	}
	c.markdownModel(line)
	return b.String()
}

func (c *Card) markdownModel(line func(string, ...any)) {
	t := c.Training
	line("\n## Model\n")
	line("%s: %d trees of up to %d leaves (%d or more rows a leaf), learning rate %g, L2 %g, %g of the rows and %g of the features a tree, seed %d; trained "+
		"in %.1f s. Log loss of the validation days %.4f.\n",
		t.Method, t.Trees, t.Leaves, t.MinRows, t.LearningRate, t.L2, t.RowFraction, t.ColumnFraction, t.Seed, t.Seconds, t.ValidLogLoss)
	line("Risk bands: low below %g, medium from %g, high from %g.\n", c.Bands.Medium, c.Bands.Medium, c.Bands.High)
	line("## Groups, on the test days\n")
	line("| group | rows | observed | predicted | AUC | in the high band |\n|---|---|---|---|---|---|")
	for _, g := range c.Groups {
		auc := ""
		if g.AUC != nil {
			auc = fmt.Sprintf("%.3f", *g.AUC)
		}
		line("| %s | %d | %.3f | %.3f | %s | %.1f %% |", g.Group, g.Rows, g.Observed, g.Predicted, auc, 100*g.HighShare)
	}
	line("\n## Limits\n")
	for _, l := range c.Limits {
		line("- %s", l)
	}
	line("\n## Ethics\n")
	for _, l := range c.Ethics {
		line("- %s", l)
	}
}
