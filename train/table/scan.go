package table

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/aimass/aimass/api"
)

// scan goes over a file once.
type scan struct {
	o       *Options
	csv     *csv.Reader
	header  []string
	kinds   []Kind
	missing map[string]bool
	rows    int
}

var byteOrderMark = []byte("\xef\xbb\xbf")

func newScan(r io.ReadSeeker, o *Options) (*scan, error) {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, api.Errorf(api.CodeTrainingDataUnreadable, "the training data can't be read twice: %w", err)
	}
	b := bufio.NewReaderSize(r, 1<<16)
	if mark, _ := b.Peek(len(byteOrderMark)); bytes.Equal(mark, byteOrderMark) {
		_, _ = b.Discard(len(byteOrderMark))
	}
	s := &scan{o: o, csv: csv.NewReader(b), missing: map[string]bool{}}
	s.csv.ReuseRecord = true
	s.csv.Comma = separator(b)
	list := o.Missing
	if list == nil {
		list = DefaultMissing
	}
	for _, m := range list {
		s.missing[m] = true
	}
	return s, s.readHeader()
}

// separator is that of the header line: the most frequent of comma, semicolon and tab.
func separator(b *bufio.Reader) rune {
	line, _ := b.Peek(1 << 15)
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		line = line[:i]
	}
	best, most := ',', 0
	for _, c := range []rune{',', ';', '\t'} {
		if n := bytes.Count(line, []byte(string(c))); n > most {
			best, most = c, n
		}
	}
	return best
}

func unreadable(err error) error {
	if errors.Is(err, csv.ErrFieldCount) {
		return api.Errorf(api.CodeTrainingDataUnreadable, "the CSV can't be read: %w: a row has more or fewer fields than the header", err)
	}
	return api.Errorf(api.CodeTrainingDataUnreadable, "the CSV can't be read: %w", err)
}

func (s *scan) readHeader() error {
	h, err := s.csv.Read()
	if err == io.EOF {
		return api.Errorf(api.CodeTrainingDataUnreadable, "the CSV is empty, expected a header row")
	}
	if err != nil {
		return unreadable(err)
	}
	if len(h) > MaxColumns {
		return api.Errorf(api.CodeTrainingDataUnreadable, "the CSV has %d columns, the limit is %d", len(h), MaxColumns)
	}
	for i, name := range h {
		name = strings.TrimSpace(strings.Clone(name))
		if name == "" {
			return api.Errorf(api.CodeTrainingDataUnreadable, "column %d of the CSV has no name in the header", i+1)
		}
		if slices.Contains(s.header, name) {
			return api.Errorf(api.CodeTrainingDataUnreadable, "the CSV has two columns called %q, by its first line, which has to name them", name)
		}
		s.header = append(s.header, name)
	}
	for name, k := range s.o.Types {
		if !slices.Contains(s.header, name) {
			return api.Errorf(api.CodeTrainingColumnMissing, "a type is given for column %q, which the data lack; they have: %s", name, strings.Join(s.header, ", "))
		}
		if k != Numeric && k != Categorical && k != Ignore {
			return api.Errorf(api.CodeTrainingParameterInvalid, "the type of column %q is %q, must be numeric, categorical or ignore", name, k)
		}
	}
	return nil
}

// each calls f for every row with its line in the file.
func (s *scan) each(f func(line int, row []string) error) error {
	for {
		row, err := s.csv.Read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return unreadable(err)
		}
		if s.rows++; s.rows > MaxRows {
			return api.Errorf(api.CodeTrainingDataUnreadable, "the CSV has more than %d rows", MaxRows)
		}
		line, _ := s.csv.FieldPos(0)
		if err := f(line, row); err != nil {
			return err
		}
	}
}

// number reads a finite number. Hexadecimal and underscores, which Go would take, are texts.
func number(text string) (float64, bool) {
	for i := range len(text) {
		if c := text[i]; (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E' {
			return 0, false
		}
	}
	v, err := strconv.ParseFloat(text, 64)
	return v, err == nil && !math.IsInf(v, 0)
}

// strayShare is the share of numbers above which a text among them is taken for a mistake
// rather than for a sign that the column holds categories.
const strayShare = 0.95

// infer finds the kinds of the columns. A column is numeric if all that is there are
// numbers.
func (s *scan) infer() error {
	type tally struct {
		numbers, texts int
		line           int
		text           string
	}
	seen := make([]tally, len(s.header))
	err := s.each(func(line int, row []string) error {
		for i, v := range row {
			v = strings.TrimSpace(v)
			if s.missing[v] {
				continue
			}
			if _, ok := number(v); ok {
				seen[i].numbers++
				continue
			}
			if seen[i].texts++; seen[i].texts == 1 {
				seen[i].line, seen[i].text = line, strings.Clone(v)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.kinds = make([]Kind, len(s.header))
	for i, c := range seen {
		given, declared := s.o.Types[s.header[i]]
		switch {
		case declared:
			s.kinds[i] = given
		case c.texts == 0:
			s.kinds[i] = Numeric
		default:
			s.kinds[i] = Categorical
		}
		if c.texts > 0 && (given == Numeric || !declared && float64(c.numbers) >= strayShare*float64(c.numbers+c.texts)) {
			return api.Errorf(api.CodeTrainingValueInvalid,
				"line %d, column %q: expected a number, as in %d other rows, got %q; declare the column categorical, or list the text among the missing values",
				c.line, s.header[i], c.numbers, shorten(c.text))
		}
	}
	return nil
}

func shorten(text string) string {
	if len(text) > 60 {
		return text[:60] + "…"
	}
	return text
}

// fill reads the values.
func (s *scan) fill(t *Table, kinds []Kind) error {
	codes := make([]map[string]int32, len(kinds))
	place := make([]int, len(kinds))
	for i, k := range kinds {
		if place[i] = -1; k == Ignore {
			continue
		}
		place[i] = len(t.Columns)
		c := Column{Name: s.header[i], Kind: k}
		if k == Numeric {
			c.Numbers = make([]float64, 0, t.Rows)
		} else {
			c.Codes = make([]int32, 0, t.Rows)
			codes[i] = map[string]int32{}
		}
		t.Columns = append(t.Columns, c)
	}
	err := s.each(func(_ int, row []string) error {
		for i, v := range row {
			if place[i] < 0 {
				continue
			}
			c := &t.Columns[place[i]]
			v = strings.TrimSpace(v)
			if c.Kind == Numeric {
				x := math.NaN()
				if !s.missing[v] {
					x, _ = number(v)
				}
				c.Numbers = append(c.Numbers, x)
				continue
			}
			code := int32(-1)
			if !s.missing[v] {
				var known bool
				if code, known = codes[i][v]; !known {
					code = int32(len(c.Texts))
					v = strings.Clone(v)
					codes[i][v] = code
					c.Texts = append(c.Texts, v)
				}
			}
			c.Codes = append(c.Codes, code)
		}
		return nil
	})
	if err == nil && s.rows != t.Rows {
		err = api.Errorf(api.CodeTrainingDataUnreadable, "the data changed while they were read: %s", fmt.Sprintf("%d rows, then %d", t.Rows, s.rows))
	}
	return err
}
