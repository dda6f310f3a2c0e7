package sim

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Read reads a trace in one of two forms, told apart by the first line.
//
// Azure Functions (2019 and 2021 releases): HashOwner,HashApp,HashFunction,Trigger,1,2,…,1440,
// invocations a minute; each row is a model, and the arrivals of a minute are spread over it
// evenly at random.
//
// Timestamps: a header with at least the column "timestamp", in seconds, and perhaps model,
// tenant, deadline_ms, rows, priority; or a bare column of seconds.
//
// faster divides all times. Arrivals come sorted, beginning at 0.
func Read(r io.Reader, rng *rand.Rand, faster float64) (Trace, error) {
	if faster <= 0 {
		return nil, errors.New("a trace can't be played at a speed of zero or less")
	}
	br := bufio.NewReaderSize(r, 1<<16)
	c := csv.NewReader(br)
	c.FieldsPerRecord, c.ReuseRecord, c.TrimLeadingSpace = -1, true, true
	first, err := c.Read()
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	var t Trace
	if len(first) > 4 && strings.EqualFold(first[0], "HashOwner") {
		t, err = readMinutes(c, len(first), rng, faster)
	} else {
		t, err = readStamps(c, first, faster)
	}
	var malformed *csv.ParseError // it names the line itself
	if errors.As(err, &malformed) {
		return nil, fmt.Errorf("trace: %w", err)
	}
	if err != nil {
		line, _ := c.FieldPos(0)
		return nil, fmt.Errorf("trace, line %d: %w", line, err)
	}
	if len(t) == 0 {
		return nil, errors.New("the trace has no arrivals")
	}
	t.sort()
	begin := t[0].At
	for i := range t {
		t[i].At -= begin
		if t[i].Deadline != 0 {
			t[i].Deadline -= begin
		}
	}
	return t, nil
}

// maxArrivals bounds what a file may ask for.
const maxArrivals = 50_000_000

func readMinutes(c *csv.Reader, columns int, rng *rand.Rand, faster float64) (Trace, error) {
	var t Trace
	for model := 0; ; model++ {
		row, err := c.Read()
		if err == io.EOF {
			return t, nil
		}
		if err != nil {
			return nil, err
		}
		if len(row) != columns {
			return nil, fmt.Errorf("%d columns, the header has %d", len(row), columns)
		}
		for m, text := range row[4:] {
			n, err := strconv.Atoi(text)
			if err != nil || n < 0 {
				return nil, fmt.Errorf("minute %d: %q is no number of invocations", m+1, text)
			}
			if len(t)+n > maxArrivals {
				return nil, fmt.Errorf("more than %d arrivals", maxArrivals)
			}
			for range n {
				t = append(t, Arrival{At: int64((float64(m) + rng.Float64()) * 60 * second / faster), Rows: 1, Model: model})
			}
		}
	}
}

// stampReader knows the columns of a timestamp file and the models it has named.
type stampReader struct {
	column map[string]int
	models map[string]int
	faster float64
}

func readStamps(c *csv.Reader, first []string, faster float64) (Trace, error) {
	s := stampReader{column: map[string]int{}, models: map[string]int{}, faster: faster}
	var t Trace
	if _, err := strconv.ParseFloat(first[0], 64); err == nil {
		s.column["timestamp"] = 0
		a, err := s.arrival(first)
		if err != nil {
			return nil, err
		}
		t = append(t, a)
	} else {
		for i, name := range first {
			s.column[strings.ToLower(strings.TrimSpace(name))] = i
		}
		if _, ok := s.column["timestamp"]; !ok {
			return nil, errors.New("neither an Azure Functions file nor one with a column \"timestamp\"")
		}
	}
	for {
		row, err := c.Read()
		if err == io.EOF {
			return t, nil
		}
		if err != nil {
			return nil, err
		}
		a, err := s.arrival(row)
		if err != nil {
			return nil, err
		}
		if len(t) == maxArrivals {
			return nil, fmt.Errorf("more than %d arrivals", maxArrivals)
		}
		t = append(t, a)
	}
}

func (s *stampReader) field(row []string, name string) string {
	if i, ok := s.column[name]; ok && i < len(row) {
		return row[i]
	}
	return ""
}

func (s *stampReader) number(row []string, name string, def float64) (float64, error) {
	text := s.field(row, name)
	if text == "" {
		return def, nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !(v >= 0) || v > 9e9 {
		return 0, fmt.Errorf("column %s: %q is no number from 0 to 9e9", name, text)
	}
	return v, nil
}

func (s *stampReader) arrival(row []string) (a Arrival, err error) {
	if s.field(row, "timestamp") == "" {
		return a, errors.New("no timestamp")
	}
	num := func(name string, def float64) float64 {
		v, e := s.number(row, name, def)
		if e != nil {
			err = e
		}
		return v
	}
	at := num("timestamp", 0) / s.faster
	a = Arrival{Rows: int(num("rows", 1)), Level: int(num("priority", 0)), Tenant: s.field(row, "tenant")}
	// Large stamps are absolute; the microsecond is kept.
	a.At = int64(at*1e6) * 1000
	if ms := num("deadline_ms", 0); ms > 0 {
		a.Deadline = a.At + int64(ms*1e6)
	}
	if name := s.field(row, "model"); name != "" {
		k, ok := s.models[name]
		if !ok {
			k = len(s.models)
			s.models[name] = k
		}
		a.Model = k
	}
	return a, err
}
