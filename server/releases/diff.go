package releases

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/aimass/aimass/api"
)

// cardName is the file of a version that says what it is and what was measured.
const cardName = "model_card.json"

// Diff is what differs between two versions.
type Diff struct {
	Model string `json:"model"`
	From  int64  `json:"from"`
	To    int64  `json:"to"`
	// Card lists what the model cards say differently, Files what lies in the folders.
	Card  []CardChange `json:"card"`
	Files []FileChange `json:"files"`
}

// CardChange is one place of the cards; an absent value is null.
type CardChange struct {
	Path string `json:"path"`
	From any    `json:"from"`
	To   any    `json:"to"`
}

// FileChange is one file; an absent one has no hash.
type FileChange struct {
	Path       string `json:"path"`
	FromSize   int64  `json:"from_size"`
	ToSize     int64  `json:"to_size"`
	FromSHA256 string `json:"from_sha256,omitempty"`
	ToSHA256   string `json:"to_sha256,omitempty"`
}

// Diff compares two versions, named by number or alias.
func (r *Releases) Diff(model, from, to string) (*Diff, error) {
	a, err := r.Version(model, from)
	if err != nil {
		return nil, err
	}
	b, err := r.Version(model, to)
	if err != nil {
		return nil, err
	}
	d := &Diff{Model: model, From: a, To: b, Card: []CardChange{}, Files: []FileChange{}}
	cardA, err := r.card(model, a)
	if err != nil {
		return nil, err
	}
	cardB, err := r.card(model, b)
	if err != nil {
		return nil, err
	}
	for _, path := range union(cardA, cardB) {
		if x, y := cardA[path], cardB[path]; x != y {
			d.Card = append(d.Card, CardChange{path, x, y})
		}
	}
	filesA, err := r.files(model, a)
	if err != nil {
		return nil, err
	}
	filesB, err := r.files(model, b)
	if err != nil {
		return nil, err
	}
	for _, path := range union(filesA, filesB) {
		x, y := filesA[path], filesB[path]
		if x != y {
			d.Files = append(d.Files, FileChange{path, x.size, y.size, x.hash, y.hash})
		}
	}
	return d, nil
}

func union[T any](a, b map[string]T) []string {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(keys)
	return slices.Compact(keys)
}

type fileOf struct {
	size int64
	hash string
}

func (r *Releases) files(model string, version int64) (map[string]fileOf, error) {
	s, _, err := r.repo.Bundle(model, version)
	if err != nil {
		return nil, err
	}
	m, err := s.Manifest()
	if err != nil {
		return nil, api.Wrap(api.CodeStorageFailed, err, "the version's files can't be read")
	}
	out := map[string]fileOf{}
	for _, f := range m.Files {
		out[f.Path] = fileOf{f.Size, f.SHA256}
	}
	return out, nil
}

// card gives a card's values by path; none where a version has no card.
func (r *Releases) card(model string, version int64) (map[string]any, error) {
	out := map[string]any{}
	b, err := r.repo.File(model, version, cardName)
	if err != nil {
		return out, nil
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return nil, api.Errorf(api.CodeModelInvalid, "version %d: %s is not valid JSON", version, cardName)
	}
	flatten(out, "", v)
	return out, nil
}

// flatten spells every value's place; what is in a list is named by its name and set,
// where it has them, so that an entry more does not move the others.
func flatten(out map[string]any, path string, v any) {
	switch x := v.(type) {
	case map[string]any:
		for k, e := range x {
			flatten(out, join(path, k), e)
		}
	case []any:
		for i, e := range x {
			key := strconv.Itoa(i)
			if m, ok := e.(map[string]any); ok && m["name"] != nil {
				key = fmt.Sprint(m["name"])
				if m["set"] != nil {
					key += "@" + fmt.Sprint(m["set"])
				}
			}
			flatten(out, path+"["+key+"]", e)
		}
	default:
		out[path] = v
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
