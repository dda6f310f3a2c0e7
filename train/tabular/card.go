package tabular

import (
	"fmt"
	"strings"
	"time"

	"github.com/aimass/aimass/train"
)

// card describes the model for people.
func (r *run) card(rep *report, d description) *train.Card {
	p := r.p
	set := func(name string, v any) train.CardSetting { return train.CardSetting{Name: name, Value: fmt.Sprint(v)} }
	c := &train.Card{
		Model: r.job.Model, Created: r.job.Now.UTC().Format(time.DateOnly),
		Task:   fmt.Sprintf("%s of `%s`%s.", strings.ToUpper(p.task[:1])+p.task[1:], p.columns.Target, p.classText()),
		Method: d.method,
		Data: fmt.Sprintf("sha256 `%s`, %d bytes, %d rows: %d to fit, %d to stop early, %d to calibrate, %d to test, parted %s.%s", p.table.SHA256, p.table.Bytes,
			p.table.Rows,
			len(p.fit.rows), len(p.valid.rows), len(p.calibrate.rows), len(p.test.rows), p.partText(), prefixed(" Left out: ", strings.Join(p.dropped, ", "))),
		Settings: append(d.settings, set("seed", r.job.Seed)),
		Metrics:  train.CardMetrics(r.metrics),
		Limits: []string{
			"The figures are of the test rows: they hold for rows drawn like them, and not after what the data describe has changed. GET /v2/models/" + r.job.Model +
				"/drift tells whether it has.",
		},
		Ethics:  []string{"What is correlated in the data is not thereby a cause. Look at the errors by group before decisions about people rest on the model."},
		Sources: d.sources,
	}
	if r.foreign {
		r.foreignTensors(c)
	} else {
		p.ownTensors(c)
	}
	if rep.Interval != "" {
		c.Outputs = append(c.Outputs, train.CardTensor{Name: "interval", Type: "FP32", Shape: []int{-1, 2}, Meaning: rep.Interval})
		c.Limits = append(c.Limits, "Intervals are of one width; they cover on average, not for each kind of row.")
	}
	if rep.Outliers != "" {
		c.Outputs = append(c.Outputs, train.CardTensor{Name: "outlier_score", Type: "FP32", Shape: []int{-1}, Meaning: "how unusual the row is"},
			train.CardTensor{Name: "outlier", Type: "BOOL", Shape: []int{-1}, Meaning: rep.Outliers})
	}
	for i, imp := range d.importance {
		if i < 30 {
			c.Settings = append(c.Settings, set("importance of "+imp.Feature, fmt.Sprintf("%.1f %%", 100*imp.Share)))
		}
	}
	return c
}

func (p *problem) classText() string {
	if p.classes == nil {
		return ""
	}
	if len(p.classes) > 20 {
		return fmt.Sprintf(", %d classes", len(p.classes))
	}
	return ", classes " + strings.Join(p.classes, ", ")
}

func (p *problem) partText() string {
	how := "at random"
	if p.columns.Order != "" {
		how = "by `" + p.columns.Order + "`, the last to test"
	}
	if p.columns.Group != "" {
		how += ", rows of one `" + p.columns.Group + "` together"
	}
	return how
}

// ownTensors lists the tensors that all models of our learners have.
func (p *problem) ownTensors(c *train.Card) {
	if n := len(p.numeric); n > 0 {
		c.Inputs = append(c.Inputs, train.CardTensor{Name: numericInput, Type: "FP32", Shape: []int{-1, n}, Meaning: "NaN where missing; in this order: " +
			strings.Join(p.numeric, ", ")})
	}
	if n := len(p.categorical); n > 0 {
		c.Inputs = append(c.Inputs, train.CardTensor{Name: categoricalInput, Type: "BYTES", Shape: []int{-1, n}, Meaning: "empty where missing; in this order: " +
			strings.Join(p.categorical, ", ")})
	}
	if p.classes != nil {
		c.Outputs = append(c.Outputs, train.CardTensor{Name: "label", Type: "INT64 or BYTES", Shape: []int{-1}, Meaning: "the most probable class"},
			train.CardTensor{Name: "probabilities", Type: "FP32", Shape: []int{-1, len(p.classes)}, Meaning: "of the classes in their order"})
	} else {
		c.Outputs = append(c.Outputs, train.CardTensor{Name: "prediction", Type: "FP32", Shape: []int{-1}, Meaning: "the predicted " + p.columns.Target})
	}
}

// foreignTensors lists a program's by where the features lie.
func (r *run) foreignTensors(c *train.Card) {
	names := map[string][]string{}
	var order []string
	for _, f := range r.schema.Features {
		if names[f.Tensor] == nil {
			order = append(order, f.Tensor)
		}
		names[f.Tensor] = append(names[f.Tensor], f.Name)
	}
	for _, tensor := range order {
		c.Inputs = append(c.Inputs, train.CardTensor{Name: tensor, Type: "as the model's metadata says", Shape: []int{-1, len(names[tensor])},
			Meaning: strings.Join(names[tensor], ", ")})
	}
	if q := r.schema.Prediction; q != nil {
		c.Outputs = append(c.Outputs, train.CardTensor{Name: q.Tensor, Type: "FP32", Shape: []int{-1, max(1, len(r.p.classes))}, Meaning: "what the figures are of"})
	}
}
