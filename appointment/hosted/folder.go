package hosted

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aimass/aimass/appointment/recommend"
	"github.com/aimass/aimass/runtime/native"
	"github.com/aimass/aimass/train"
)

// maxRows bounds one request's rows: a row of appt-schedule can be seconds of work.
const maxRows = 64

// Folder is what serves a model that needs no training: its configuration and the files
// of its version 1.
type Folder struct {
	Model  string
	Config []byte
	Files  map[string][]byte
}

// Folders gives appt-schedule, appt-schedule-fair, appt-day, appt-assign and recommend, the last with a clinic of
// twenty doctors that does not exist. The same seed gives the same bytes.
func Folders(seed uint64) ([]Folder, error) {
	clinic, err := recommend.Demo(seed).File()
	if err != nil {
		return nil, err
	}
	list := []struct {
		card     *train.Card
		in, out  []native.Port
		rows     int
		optional []string
		files    map[string][]byte
	}{
		{scheduleCard(), scheduleIn, scheduleOut, maxRows, nil, nil},
		{fairCard(), fairIn, fairOut, maxRows, nil, nil},
		{dayCard(), dayIn, dayOut, maxRows, []string{"limits"}, nil},
		{assignCard(), assignIn, assignOut, 0, nil, nil},
		{recommendCard(), recommendIn, recommendOut, maxRows, []string{"text", "diary"}, map[string][]byte{recommend.FileName: clinic}},
	}
	var out []Folder
	for _, m := range list {
		m.card.Version = 1
		m.card.Inputs, m.card.Outputs = describe(m.in, m.card.Inputs), describe(m.out, m.card.Outputs)
		files, err := m.card.Files()
		if err != nil {
			return nil, err
		}
		for name, b := range m.files {
			files[name] = b
		}
		out = append(out, Folder{m.card.Model, configText(m.card.Model, m.in, m.out, m.rows, m.optional), files})
	}
	return out, nil
}

// describe completes a card's tensors, which have the meanings only, from the ports.
func describe(ports []native.Port, meanings []train.CardTensor) []train.CardTensor {
	out := make([]train.CardTensor, len(ports))
	for i, p := range ports {
		out[i] = train.CardTensor{Name: p.Name, Type: p.Type.DType.V2(), Shape: extents(p), Meaning: meanings[i].Meaning}
	}
	return out
}

func extents(p native.Port) []int {
	s := make([]int, len(p.Type.Shape))
	for k, d := range p.Type.Shape {
		s[k] = int(d.Size)
	}
	return s
}

// configText is a model's config.pbtxt. rows 0 means that there is no batch axis.
func configText(model string, in, out []native.Port, rows int, optional []string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "name: %q\nbackend: \"native\"\nmax_batch_size: %d\n", model, rows)
	port := func(kind string, p native.Port) {
		s := extents(p)
		if rows > 0 {
			s = s[1:]
		}
		dims := strings.ReplaceAll(strings.Trim(fmt.Sprint(s), "[]"), " ", ", ")
		dtype := "TYPE_" + strings.Replace(p.Type.DType.V2(), "BYTES", "STRING", 1)
		more := ""
		if slices.Contains(optional, p.Name) {
			more = " optional: true"
		}
		fmt.Fprintf(&b, "%s { name: %q data_type: %s dims: [%s]%s }\n", kind, p.Name, dtype, dims, more)
	}
	for _, p := range in {
		port("input", p)
	}
	for _, p := range out {
		port("output", p)
	}
	return []byte(b.String())
}
