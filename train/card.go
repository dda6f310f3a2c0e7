package train

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Card is a model card: what a model is for, how it was made, what was measured and
// where it stops. Trainers with more to tell have cards of their own.
type Card struct {
	Model   string `json:"model"`
	Version int    `json:"version"`
	// Created is a date, "" where the card describes an algorithm that needs no training.
	Created string       `json:"created,omitempty"`
	Task    string       `json:"task"`
	Method  string       `json:"method"`
	Inputs  []CardTensor `json:"inputs"`
	Outputs []CardTensor `json:"outputs"`
	// Data tells in a sentence what the model was trained on, "" if on nothing.
	Data string `json:"data,omitempty"`
	// Settings are the training's, by name.
	Settings []CardSetting `json:"settings,omitempty"`
	Metrics  []CardMetric  `json:"metrics,omitempty"`
	Limits   []string      `json:"limits"`
	Ethics   []string      `json:"ethics"`
	Sources  []string      `json:"sources"`
}

// CardTensor describes an input or output; −1 is any size.
type CardTensor struct {
	Name    string `json:"name"`
	Type    string `json:"datatype"`
	Shape   []int  `json:"shape"`
	Meaning string `json:"meaning"`
}

// CardSetting is a setting of the training.
type CardSetting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// CardMetric is a figure with its bar.
type CardMetric struct {
	Name   string  `json:"name"`
	Set    string  `json:"set"`
	Value  float64 `json:"value"`
	Gate   string  `json:"gate,omitempty"`
	Passed bool    `json:"passed"`
}

// CardMetrics turns a job's figures into a card's.
func CardMetrics(list []Metric) []CardMetric {
	out := make([]CardMetric, len(list))
	for i, m := range list {
		out[i] = CardMetric{m.Name, m.Set, m.Value, m.Gate, m.Passed}
	}
	return out
}

// Files gives the card as model_card.json and model_card.md.
func (c *Card) Files() (map[string][]byte, error) {
	js, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("the model card of %s can't be written: %w", c.Model, err)
	}
	return map[string][]byte{"model_card.json": append(js, '\n'), "model_card.md": []byte(c.Markdown())}, nil
}

// Markdown writes the card for people.
func (c *Card) Markdown() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	list := func(title string, items []string) {
		if len(items) > 0 {
			line("\n## %s\n", title)
		}
		for _, s := range items {
			line("- %s", s)
		}
	}
	tensors := func(title string, ts []CardTensor) {
		line("\n## %s\n\n| name | type | shape | meaning |\n|---|---|---|---|", title)
		for _, t := range ts {
			line("| `%s` | %s | %v | %s |", t.Name, t.Type, t.Shape, t.Meaning)
		}
	}
	line("# %s, version %d\n", c.Model, c.Version)
	line("%s", c.Task)
	if c.Created != "" {
		line("\nWritten %s.", c.Created)
	}
	line("\n## Method\n\n%s", c.Method)
	if c.Data != "" {
		line("\n## Data\n\n%s", c.Data)
	}
	if len(c.Metrics) > 0 {
		line("\n## Figures\n\n| figure | measured on | value | bar |\n|---|---|---|---|")
		for _, m := range c.Metrics {
			line("| %s | %s | %.4g | %s |", m.Name, m.Set, m.Value, m.Gate)
		}
	}
	if len(c.Settings) > 0 {
		line("\n## Settings\n\n| setting | value |\n|---|---|")
		for _, s := range c.Settings {
			line("| %s | %s |", s.Name, s.Value)
		}
	}
	tensors("Inputs", c.Inputs)
	tensors("Outputs", c.Outputs)
	list("Limits", c.Limits)
	list("Ethics", c.Ethics)
	list("Sources", c.Sources)
	return b.String()
}
