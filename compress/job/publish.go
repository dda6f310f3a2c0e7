package job

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/compress"
	"github.com/aimass/aimass/train"
)

const (
	configName   = "config.pbtxt"
	featuresName = "features.json"
	cardName     = "model_card.json"
	cardText     = "model_card.md"
)

// ofTheOriginal are files of a version that do not hold for what was made of it.
var ofTheOriginal = []string{"report.json", "report.txt", "report.html", "job.txt", "signature.json", cardName, cardText, featuresName}

// mostBeside bounds a file that is taken along, such as a vocabulary.
const mostBeside = 64 << 20

// publish writes the new version: the model, its report, and what lies beside the original and
// still holds.
func publish(j train.Job, b base, res train.Result, made *compress.Made, began time.Time) (string, int, error) {
	place := train.Place{Repository: j.Out, Model: res.Model, JobID: j.ID}
	if res.Model != b.model {
		place.Config = configFor(filepath.Join(j.Out, b.model))
	}
	return train.Publish(place, func(version int) (map[string][]byte, error) {
		files := beside(b.dir)
		name := strings.Replace(made.Name, "model.onnx", b.file, 1)
		js, err := reportJSON(report{made.Report, b.String(), res.Metrics, time.Since(began).Seconds()})
		if err != nil {
			return nil, err
		}
		files[name], files["report.json"], files["report.txt"] = made.File, js, []byte(made.Report.Text())
		// Checks of features need the tensors that they were written for.
		if f, err := os.ReadFile(filepath.Join(b.dir, featuresName)); err == nil && made.SamePorts {
			files[featuresName] = f
		}
		return files, cards(files, b, res, version, made.Report)
	})
}

// beside reads what is taken along.
func beside(dir string) map[string][]byte {
	out := map[string][]byte{}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		info, err := e.Info()
		if err != nil || !e.Type().IsRegular() || info.Size() > mostBeside || slices.Contains(ofTheOriginal, e.Name()) || ext != ".json" && ext != ".txt" && ext != ".md" {
			continue
		}
		if b, err := os.ReadFile(filepath.Join(dir, e.Name())); err == nil {
			out[e.Name()] = b
		}
	}
	return out
}

// cards carries the model card on, saying what was done.
func cards(files map[string][]byte, b base, res train.Result, version int, r *compress.Report) error {
	if text, err := os.ReadFile(filepath.Join(b.dir, cardText)); err == nil {
		var s strings.Builder
		s.Write(text)
		fmt.Fprintf(&s, "\n## Compressed\n\nVersion %d of %s was made of %s by `aimass compress`; report.txt has the figures.\n\n", version, res.Model, b)
		for _, step := range r.Steps {
			fmt.Fprintf(&s, "- %s\n", step)
		}
		files[cardText] = []byte(s.String())
	}
	text, err := os.ReadFile(filepath.Join(b.dir, cardName))
	if err != nil {
		return nil
	}
	card := map[string]any{}
	if err := json.Unmarshal(text, &card); err != nil {
		return api.Errorf(api.CodeCompressionFailed, "the original's %s can't be read: %w", cardName, err)
	}
	card["model"], card["version"] = res.Model, version
	card["compressed"] = map[string]any{"base": b.String(), "steps": r.Steps, "figures": train.CardMetrics(res.Metrics)}
	js, err := json.MarshalIndent(card, "", "  ")
	files[cardName] = append(js, '\n')
	return err
}

var nameLine = regexp.MustCompile(`(?m)^\s*name\s*:\s*"[^"]*"\s*$`)

// configFor is the original's configuration for another model, nil where there is none.
func configFor(dir string) []byte {
	text, err := os.ReadFile(filepath.Join(dir, configName))
	if err != nil {
		return nil
	}
	// The first name at the top is the model's; those of inputs stand in blocks after it.
	if at := nameLine.FindIndex(text); at != nil && !strings.Contains(string(text[:at[0]]), "{") {
		text = append(slices.Clone(text[:at[0]]), text[at[1]:]...)
	}
	return text
}
