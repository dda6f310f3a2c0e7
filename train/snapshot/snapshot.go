// Package snapshot keeps training data apart from models: each file once, under the SHA-256 of
// its content, with the columns' types and statistics. A snapshot does not change; a model's
// features.json names the one that it was trained on.
//
// Neighbours: table and features below; jobs and server above.
//
// Concurrency: a Store is safe for concurrent use, also by several processes on one folder.
package snapshot

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/runtime/feed"
	"github.com/aimass/aimass/train"
	"github.com/aimass/aimass/train/features"
	"github.com/aimass/aimass/train/table"
)

// The files of a snapshot's folder.
const describeName = "snapshot.json"

// Kind is the form of stored data.
type Kind string

// The kinds.
const (
	// Table is a CSV with a header.
	Table Kind = "table"
	// Requests are inference requests, one in a line.
	Requests Kind = "requests"
)

// file is the name of the data of a kind.
func (k Kind) file() string {
	if k == Requests {
		return "data.jsonl"
	}
	return "data.csv"
}

// Snapshot describes stored data.
type Snapshot struct {
	// ID is the SHA-256 of the content, in hex.
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	Bytes   int64     `json:"bytes"`
	Kind    Kind      `json:"kind"`
	// Rows counts the rows of a table, or the requests.
	Rows int `json:"rows"`
	// Columns are a table's.
	Columns []Column `json:"columns"`
}

// Column describes a column as it is read where nothing is declared.
type Column struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	// Distinct counts the texts of a categorical column; Categories are the most frequent.
	Distinct   int                 `json:"distinct,omitempty"`
	Categories []string            `json:"categories,omitempty"`
	Statistics features.Statistics `json:"statistics"`
}

// Store is a folder of snapshots.
type Store struct{ dir string }

// Open gives the store in a folder, which is made when something is stored.
func Open(dir string) *Store { return &Store{dir} }

// Path is the file of a snapshot's data.
func (s *Store) Path(id string) string {
	requests := filepath.Join(s.dir, id, Requests.file())
	if _, err := os.Stat(requests); err == nil {
		return requests
	}
	return filepath.Join(s.dir, id, Table.file())
}

// Add stores what r holds, of at most limit bytes, and describes it. Content that is there
// already is stored once; what can't be read as its kind is not stored.
func (s *Store) Add(name string, kind Kind, r io.Reader, limit int64) (*Snapshot, error) {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, train.WriteError(err, "the snapshot can't be stored")
	}
	tmp, err := os.MkdirTemp(s.dir, ".new-")
	if err != nil {
		return nil, train.WriteError(err, "the snapshot can't be stored")
	}
	defer os.RemoveAll(tmp)
	file := filepath.Join(tmp, kind.file())
	id, err := write(file, r, limit)
	if err != nil {
		return nil, err
	}
	if known, err := s.Get(id); err == nil {
		return known, nil
	}
	snap, err := describe(file, kind)
	if err != nil {
		return nil, err
	}
	snap.ID, snap.Name, snap.Created = id, name, time.Now().UTC().Truncate(time.Millisecond)
	js, err := json.MarshalIndent(snap, "", "  ")
	if err == nil {
		err = train.WriteFile(filepath.Join(tmp, describeName), js)
	}
	if err == nil {
		err = os.Chmod(tmp, 0o755)
	}
	if err == nil {
		if err = os.Rename(tmp, filepath.Join(s.dir, id)); err != nil {
			if known, gone := s.Get(id); gone == nil {
				return known, nil // another stored it in the meantime
			}
		}
	}
	if err != nil {
		return nil, train.WriteError(err, "the snapshot can't be stored")
	}
	return snap, nil
}

// write copies r to a file and hashes it.
func write(path string, r io.Reader, limit int64) (id string, err error) {
	f, err := os.Create(path)
	if err != nil {
		return "", train.WriteError(err, "the snapshot can't be stored")
	}
	sum := sha256.New()
	in := &source{r: io.LimitReader(r, limit+1)}
	n, err := io.Copy(io.MultiWriter(f, sum), in)
	if in.err != nil {
		_ = f.Close()
		return "", api.Errorf(api.CodeMalformedRequest, "the data could not be received: %w", in.err)
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", train.WriteError(err, "the snapshot can't be stored")
	}
	if n > limit {
		return "", api.Errorf(api.CodeBodyTooLarge, "the data have more than %d bytes, the limit; --train-upload-bytes raises it", limit)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// source tells failures to read from failures to write.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// shownCategories bounds the categories that a description lists.
const shownCategories = 50

func describe(file string, kind Kind) (*Snapshot, error) {
	if kind == Requests {
		return describeRequests(file)
	}
	t, err := table.Open(file, table.Options{})
	if err != nil {
		return nil, err
	}
	return describeTable(t), nil
}

func describeRequests(file string) (*Snapshot, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, api.Wrap(api.CodeInternal, err, "the snapshot can't be read")
	}
	defer f.Close()
	s := &Snapshot{Kind: Requests, Columns: []Column{}}
	if err := feed.ReadRequests(f, func(*feed.Request) error { s.Rows++; return nil }); err != nil {
		return nil, api.Errorf(api.CodeTrainingDataUnreadable, "the requests: %w", err)
	}
	if s.Rows == 0 {
		return nil, api.Errorf(api.CodeTrainingDataUnreadable, "the data hold no requests")
	}
	if st, err := f.Stat(); err == nil {
		s.Bytes = st.Size()
	}
	return s, nil
}

func describeTable(t *table.Table) *Snapshot {
	s := &Snapshot{Kind: Table, Bytes: t.Bytes, Rows: t.Rows, Columns: []Column{}}
	for i := range t.Columns {
		c := &t.Columns[i]
		out := Column{Name: c.Name, Kind: string(c.Kind), Distinct: len(c.Texts)}
		var f features.Feature
		if c.Kind == table.Numeric {
			f.DescribeNumbers(c.Numbers)
		} else {
			codes, names := byFrequency(c)
			f.DescribeCodes(codes, names[:min(len(names), shownCategories)])
			out.Categories = f.Categories
		}
		out.Statistics = f.Statistics
		s.Columns = append(s.Columns, out)
	}
	return s
}

// byFrequency numbers a column's categories anew, the most frequent first.
func byFrequency(c *table.Column) (codes []int32, names []string) {
	count := make([]int, len(c.Texts))
	for _, k := range c.Codes {
		if k >= 0 {
			count[k]++
		}
	}
	order := make([]int, len(c.Texts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(count[b], count[a]) })
	place := make([]int32, len(order))
	for at, k := range order {
		place[k] = int32(at)
		names = append(names, c.Texts[k])
	}
	codes = make([]int32, len(c.Codes))
	for i, k := range c.Codes {
		if codes[i] = -1; k >= 0 {
			codes[i] = place[k]
		}
	}
	return codes, names
}

// valid says whether a text is an id.
func valid(id string) bool {
	b, err := hex.DecodeString(id)
	return err == nil && len(b) == sha256.Size
}

// Get describes a snapshot.
func (s *Store) Get(id string) (*Snapshot, error) {
	notFound := api.Errorf(api.CodeSnapshotNotFound, "there is no snapshot '%.80s'", id)
	if !valid(id) {
		return nil, notFound
	}
	b, err := os.ReadFile(filepath.Join(s.dir, id, describeName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notFound
	}
	snap := &Snapshot{}
	if err == nil {
		err = json.Unmarshal(b, snap)
	}
	if snap.Kind == "" { // stored before there were kinds
		snap.Kind = Table
	}
	if err != nil {
		return nil, api.Wrap(api.CodeInternal, err, "the snapshot can't be read")
	}
	return snap, nil
}

// List lists the snapshots, the newest first.
func (s *Store) List() []*Snapshot {
	out := []*Snapshot{}
	entries, _ := os.ReadDir(s.dir)
	for _, e := range entries {
		if snap, err := s.Get(e.Name()); err == nil {
			out = append(out, snap)
		}
	}
	slices.SortFunc(out, func(a, b *Snapshot) int { return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID)) })
	return out
}

// Remove deletes a snapshot.
func (s *Store) Remove(id string) error {
	if _, err := s.Get(id); err != nil {
		return err
	}
	// Out of sight first, so that half of one is never seen.
	gone := filepath.Join(s.dir, ".gone-"+id)
	if err := os.Rename(filepath.Join(s.dir, id), gone); err != nil {
		return train.WriteError(err, "the snapshot can't be removed")
	}
	return os.RemoveAll(gone)
}
