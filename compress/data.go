package compress

import (
	"encoding/csv"
	"errors"
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
	// Path is a folder of test_data_set_N folders, or a file of inference requests, one in a
	// line; empty: inputs are generated.
	Path string
	// Shapes of generated inputs, by name; an extent that is left open needs one.
	Shapes map[string]tensor.Shape
	// Sets is how many inputs are generated; default 8.
	Sets int
	// Labels is a CSV file with one number a row of the batch axis, the sets in order. The
	// first output is held against it: by accuracy of the largest column, or by AUC
	// where it has one column. A file of requests may hold its labels itself.
	Labels string
}

type input = tensor.Value

// load gives the sets of inputs, and the labels of their rows, nil where there are none.
func (d Data) load(m *runtime.Model, rng *rand.Rand) (sets [][]input, labels []float64, err error) {
	switch st, serr := os.Stat(d.Path); {
	case d.Path == "":
		sets, err = d.generate(m, rng)
	case serr != nil:
		err = fmt.Errorf("the inputs: %w", serr)
	case st.IsDir():
		sets, err = readFolders(d.Path, m)
	default:
		sets, labels, err = readRequests(d.Path, m)
	}
	if err == nil && d.Labels != "" {
		labels, err = readLabels(d.Labels)
	}
	return sets, labels, err
}

// readRequests reads a file of JSON lines.
func readRequests(path string, m *runtime.Model) (sets [][]input, labels []float64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("the inputs: %w", err)
	}
	defer f.Close()
	err = feed.ReadRequests(f, func(q *feed.Request) error {
		if (q.Labels != nil) != (labels != nil) && len(sets) > 0 {
			return errors.New("some requests have labels, others have none")
		}
		var in []input
		for i, p := range m.Inputs {
			t := q.Inputs[p.Name]
			if t == nil {
				return fmt.Errorf("there is no input %q", p.Name)
			}
			if err := m.Check(i, t); err != nil {
				return err
			}
			in = append(in, t)
		}
		sets, labels = append(sets, in), append(labels, q.Labels...)
		return nil
	})
	if err == nil && len(sets) == 0 {
		err = errors.New("there are none")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("the inputs: %w", err)
	}
	return sets, labels, nil
}

// readFolders reads the standard's test folders.
func readFolders(path string, m *runtime.Model) (sets [][]input, err error) {
	for k := 0; ; k++ {
		dir := filepath.Join(path, "test_data_set_"+strconv.Itoa(k))
		if _, err := os.Stat(dir); err != nil {
			if k == 0 {
				return nil, fmt.Errorf("%s holds no test_data_set_0", path)
			}
			return sets, nil
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
}

func (d Data) generate(m *runtime.Model, rng *rand.Rand) (sets [][]input, err error) {
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

// readLabels reads the labels' file.
func readLabels(path string) ([]float64, error) {
	f, err := os.Open(path)
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
