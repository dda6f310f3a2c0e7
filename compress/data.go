package compress

import (
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"

	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/feed"
	"github.com/aimass/aimass/runtime/tensor"
)

// Data are the inputs that a compressed model is compared on.
type Data struct {
	// Dir holds test_data_set_N folders, in order; empty: inputs are generated.
	Dir string
	// Shapes of generated inputs, by name; an extent that is left open needs one.
	Shapes map[string]tensor.Shape
	// Sets is how many inputs are generated; default 8.
	Sets int
	// Labels is a CSV file with one number a row of the batch axis, the sets in order. The
	// first output is held against it: by accuracy of the largest column, or by AUC
	// where it has one column.
	Labels string
}

type input = tensor.Value

func (d Data) load(m *runtime.Model, rng *rand.Rand) ([][]input, error) {
	var sets [][]input
	if d.Dir != "" {
		for k := 0; ; k++ {
			dir := filepath.Join(d.Dir, "test_data_set_"+strconv.Itoa(k))
			if _, err := os.Stat(dir); err != nil {
				if k == 0 {
					return nil, fmt.Errorf("%s holds no test_data_set_0", d.Dir)
				}
				break
			}
			var in []input
			for i, p := range m.Inputs {
				v, err := feed.Read(dir, i, p.Name, p.Type)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", filepath.Base(dir), err)
				}
				if err := m.Check(i, v); err != nil {
					return nil, fmt.Errorf("%s: %w", filepath.Base(dir), err)
				}
				in = append(in, v)
			}
			sets = append(sets, in)
		}
		return sets, nil
	}
	n := d.Sets
	if n <= 0 {
		n = 8
	}
	for range n {
		var in []input
		for i, p := range m.Inputs {
			s, ok := d.Shapes[p.Name]
			if !ok {
				var err error
				if s, err = feed.DefaultShape(p.Name, p.Type); err != nil {
					return nil, err
				}
			}
			t, err := feed.Random(rng, p.Name, p.Type, s)
			if err != nil {
				return nil, err
			}
			if err := m.Check(i, t); err != nil {
				return nil, err
			}
			in = append(in, t)
		}
		sets = append(sets, in)
	}
	for name := range d.Shapes {
		known := false
		for _, p := range m.Inputs {
			known = known || p.Name == name
		}
		if !known {
			return nil, fmt.Errorf("--shape %s: the model has no such input", name)
		}
	}
	return sets, nil
}

// labels reads the labels' file.
func (d Data) labels() ([]float64, error) {
	if d.Labels == "" {
		return nil, nil
	}
	f, err := os.Open(d.Labels)
	if err != nil {
		return nil, fmt.Errorf("labels: %w", err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("labels: %w", err)
	}
	out := make([]float64, len(rows))
	for i, r := range rows {
		if out[i], err = strconv.ParseFloat(r[0], 64); err != nil {
			return nil, fmt.Errorf("labels, line %d: %q is no number", i+1, r[0])
		}
	}
	return out, nil
}
