// Package table reads CSV files with a header into typed columns. Types are given or
// inferred; what does not fit is an error that names line, column and value.
//
// Neighbours: snapshot and tabular use it; nothing of ours below but api.
//
// Ownership: a Table belongs to its reader. Concurrency: Read keeps no state; a Table is safe
// for concurrent readers.
package table

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math"
	"os"

	"github.com/aimass/aimass/api"
)

// Kind is what a column holds.
type Kind string

// The kinds. An ignored column is left out of the table.
const (
	Numeric     Kind = "numeric"
	Categorical Kind = "categorical"
	Ignore      Kind = "ignore"
)

// Column is a column of the table.
type Column struct {
	Name string
	Kind Kind
	// Numbers are the values of a numeric column, NaN where one is missing.
	Numbers []float64
	// Codes are the values of a categorical column as indices of Texts, -1 where one is
	// missing. Texts are in the order in which they come up.
	Codes []int32
	Texts []string
}

// Missing counts the missing values.
func (c *Column) Missing() int {
	n := 0
	for _, v := range c.Numbers {
		if math.IsNaN(v) {
			n++
		}
	}
	for _, v := range c.Codes {
		if v < 0 {
			n++
		}
	}
	return n
}

// Table is a table by columns.
type Table struct {
	Columns []Column
	Rows    int
	// SHA256 and Bytes are those of the file.
	SHA256 string
	Bytes  int64
}

// Find gives a column by its name, nil if there is none.
func (t *Table) Find(name string) *Column {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return &t.Columns[i]
		}
	}
	return nil
}

// Options of a reading.
type Options struct {
	// Types declares columns that are not to be inferred.
	Types map[string]Kind
	// Missing lists the texts that stand for a missing value; nil means DefaultMissing.
	Missing []string
}

// DefaultMissing are the texts that usually stand for a missing value. The comparison
// heeds case; space around a value does not count.
var DefaultMissing = []string{"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?"}

// Limits of a table.
const (
	MaxColumns = 10_000
	MaxRows    = 1 << 26
)

// Open reads a file.
func Open(path string, o Options) (*Table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, api.Errorf(api.CodeTrainingDataUnreadable, "the training data can't be opened: %w", err)
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, api.Errorf(api.CodeTrainingDataUnreadable, "the training data are no file")
	}
	return Read(f, o)
}

// Read reads a table from the beginning of r, twice: for the types and for the values.
func Read(r io.ReadSeeker, o Options) (*Table, error) {
	sum := sha256.New()
	size, err := io.Copy(sum, r)
	if err != nil {
		return nil, api.Errorf(api.CodeTrainingDataUnreadable, "the training data can't be read: %w", err)
	}
	first, err := newScan(r, &o)
	if err != nil {
		return nil, err
	}
	if err := first.infer(); err != nil {
		return nil, err
	}
	t := &Table{SHA256: hex.EncodeToString(sum.Sum(nil)), Bytes: size, Rows: first.rows}
	second, err := newScan(r, &o)
	if err != nil {
		return nil, err
	}
	return t, second.fill(t, first.kinds)
}
