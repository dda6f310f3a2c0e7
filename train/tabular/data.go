package tabular

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/train"
	"github.com/aimass/aimass/train/features"
	"github.com/aimass/aimass/train/table"
)

// Names of the tensors.
const (
	numericInput     = "numeric"
	categoricalInput = "categorical"
)

// set is a part of the rows as features.
type set struct {
	rows    []int // in the table
	numeric [][]float32
	codes   [][]int32 // places in the categories, -1 for missing and unknown
	labels  []float64
	weights []float64 // nil for all 1
	groups  []int
}

// problem is what is to be learned.
type problem struct {
	settings
	table   *table.Table
	columns train.Columns
	classes []string
	// numeric and categorical name the features; categories are those of the latter.
	numeric     []string
	categorical []string
	categories  [][]string
	dropped     []string // columns left out, with the reason
	labels      []float64
	groups      []int // of each row

	fit, valid, calibrate, test set
}

// fewestRows is the least that can be parted into four and measured.
const fewestRows = 60

// newProblem reads the columns' roles and parts the rows.
func newProblem(t *table.Table, c train.Columns, s settings, seed uint64) (*problem, error) {
	p := &problem{settings: s, table: t, columns: c}
	for role, name := range map[string]string{"target": c.Target, "weight": c.Weight, "order": c.Order, "group": c.Group} {
		if name != "" && t.Find(name) == nil {
			return nil, api.Errorf(api.CodeTrainingColumnMissing, "the data lack the %s column %q; they have: %s", role, name, columnNames(t))
		}
	}
	if t.Rows < fewestRows {
		return nil, api.Errorf(api.CodeTrainingTooFewRows, "the data have %d rows, expected %d at least", t.Rows, fewestRows)
	}
	if err := p.readTarget(); err != nil {
		return nil, err
	}
	weights, err := p.readWeights()
	if err != nil {
		return nil, err
	}
	parts := p.part(seed)
	p.chooseFeatures(parts[0])
	if len(p.numeric)+len(p.categorical) == 0 {
		return nil, api.Errorf(api.CodeTrainingColumnMissing, "no column is left as a feature: %s", strings.Join(p.dropped, "; "))
	}
	if err := p.checkSizes(); err != nil {
		return nil, err
	}
	for i, to := range []*set{&p.fit, &p.valid, &p.calibrate, &p.test} {
		*to = p.encode(parts[i], weights)
	}
	return p, p.checkParts()
}

func columnNames(t *table.Table) string {
	var names []string
	for _, c := range t.Columns {
		names = append(names, c.Name)
	}
	return strings.Join(names, ", ")
}

// readTarget turns the target into labels and decides the task where none is given: two
// distinct values or texts are classes, other numbers are regressed on.
func (p *problem) readTarget() error {
	c := p.table.Find(p.columns.Target)
	if n := c.Missing(); n > 0 {
		return api.Errorf(api.CodeTrainingValueInvalid, "%d rows have no value in the target column %q: leave them out", n, c.Name)
	}
	p.labels = make([]float64, p.table.Rows)
	if p.task == "" {
		p.task = Regression
		if distinct := distinctValues(c, 3); distinct <= 2 {
			p.task = Binary
		} else if c.Kind == table.Categorical {
			p.task = Multiclass
		}
	}
	if p.task == Regression || p.task == Quantile {
		if c.Kind != table.Numeric {
			return api.Errorf(api.CodeTrainingValueInvalid, "the target column %q holds texts such as %.60q, %s needs numbers", c.Name, c.Texts[0], p.task)
		}
		copy(p.labels, c.Numbers)
		return nil
	}
	return p.readClasses(c)
}

// distinctValues counts up to limit.
func distinctValues(c *table.Column, limit int) int {
	if c.Kind == table.Categorical {
		return len(c.Texts)
	}
	seen := map[float64]bool{}
	for _, v := range c.Numbers {
		if seen[v] = true; len(seen) >= limit {
			break
		}
	}
	return len(seen)
}

// maxClasses bounds the classes of a target.
const maxClasses = 1000

// readClasses numbers the target's values: numbers by size, texts by order.
func (p *problem) readClasses(c *table.Column) error {
	if c.Kind == table.Numeric {
		seen := map[float64]int{}
		for _, v := range c.Numbers {
			if seen[v]++; len(seen) > maxClasses {
				return api.Errorf(api.CodeTrainingValueInvalid, "the target column %q has more than %d distinct values, which are too many classes", c.Name, maxClasses)
			}
		}
		var order []float64
		for v := range seen {
			order = append(order, v)
		}
		slices.Sort(order)
		for k, v := range order {
			seen[v] = k
			p.classes = append(p.classes, strconv.FormatFloat(v, 'g', -1, 64))
		}
		for i, v := range c.Numbers {
			p.labels[i] = float64(seen[v])
		}
	} else {
		if len(c.Texts) > maxClasses {
			return api.Errorf(api.CodeTrainingValueInvalid, "the target column %q has %d distinct values, which are too many classes", c.Name, len(c.Texts))
		}
		p.classes = slices.Sorted(slices.Values(c.Texts))
		for i, code := range c.Codes {
			k, _ := slices.BinarySearch(p.classes, c.Texts[code])
			p.labels[i] = float64(k)
		}
	}
	if len(p.classes) < 2 {
		return api.Errorf(api.CodeTrainingOneClass, "the target column %q has one value alone, %q", c.Name, p.classes[0])
	}
	if p.task == Binary && len(p.classes) > 2 {
		return api.Errorf(api.CodeTrainingValueInvalid, "the target column %q has %d classes, binary needs two: set task to multiclass", c.Name, len(p.classes))
	}
	return nil
}

// readWeights joins the weight column and the class weights; nil means all 1.
func (p *problem) readWeights() ([]float64, error) {
	var out []float64
	if p.columns.Weight != "" {
		c := p.table.Find(p.columns.Weight)
		if c.Kind != table.Numeric {
			return nil, api.Errorf(api.CodeTrainingValueInvalid, "the weight column %q holds texts", c.Name)
		}
		for i, v := range c.Numbers {
			if !(v > 0) {
				return nil, api.Errorf(api.CodeTrainingValueInvalid, "row %d of the data has the weight %v, must be above 0", i+1, v)
			}
		}
		out = slices.Clone(c.Numbers)
	}
	if p.classWeights == "" {
		return out, nil
	}
	byClass, err := p.readClassWeights()
	if err != nil {
		return nil, err
	}
	if out == nil {
		out = make([]float64, p.table.Rows)
		for i := range out {
			out[i] = 1
		}
	}
	for i, y := range p.labels {
		out[i] *= byClass[int(y)]
	}
	return out, nil
}

func (p *problem) readClassWeights() ([]float64, error) {
	bad := func(format string, args ...any) ([]float64, error) {
		return nil, api.Errorf(api.CodeTrainingParameterInvalid, "class_weights is %q: %s", p.classWeights, fmt.Sprintf(format, args...))
	}
	if p.classes == nil {
		return bad("a %s has no classes", p.task)
	}
	out := make([]float64, len(p.classes))
	if p.classWeights == "balanced" {
		for _, y := range p.labels {
			out[int(y)]++
		}
		for k := range out {
			out[k] = float64(len(p.labels)) / (float64(len(out)) * out[k])
		}
		return out, nil
	}
	for k := range out {
		out[k] = 1
	}
	for _, part := range strings.Split(p.classWeights, ",") {
		i := strings.LastIndexByte(part, ':')
		if i < 0 {
			return bad("expected balanced or class:weight by commas")
		}
		k := slices.Index(p.classes, strings.TrimSpace(part[:i]))
		w, err := strconv.ParseFloat(strings.TrimSpace(part[i+1:]), 64)
		if k < 0 || err != nil || !(w > 0) || math.IsInf(w, 1) {
			return bad("%q must be one of the classes %v and a weight above 0", part, p.classes)
		}
		out[k] = w
	}
	return out, nil
}

// part deals the rows out: by the order column the last are tested on; else at random, whole
// groups together. Rows of a part are in the table's order.
func (p *problem) part(seed uint64) [4][]int {
	n := p.table.Rows
	p.groups = make([]int, n)
	units := n
	if p.columns.Group == "" {
		for i := range n {
			p.groups[i] = i
		}
	} else {
		units = p.numberGroups()
	}
	order := make([]int, units) // of the groups
	for i := range order {
		order[i] = i
	}
	if p.columns.Order != "" {
		p.sortGroups(order)
	} else {
		rng := rand.New(rand.NewPCG(seed, 0x706172747321))
		rng.Shuffle(units, func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	size := make([]int, units)
	for _, g := range p.groups {
		size[g]++
	}
	valid := 1 - p.validShare - p.calibrateShare - p.testShare // where its rows begin
	ends := []float64{valid, valid + p.validShare, 1 - p.testShare, 2}
	of := make([]int, units)
	done := 0
	for _, g := range order {
		middle := (float64(done) + float64(size[g])/2) / float64(n)
		for of[g] = 0; middle > ends[of[g]]; of[g]++ {
		}
		done += size[g]
	}
	var parts [4][]int
	for i, g := range p.groups {
		parts[of[g]] = append(parts[of[g]], i)
	}
	return parts
}

// numberGroups numbers the values of the group column; a missing one is a group of its own.
func (p *problem) numberGroups() int {
	c := p.table.Find(p.columns.Group)
	next := len(c.Texts)
	seen := map[float64]int{}
	for i := range p.groups {
		if c.Kind == table.Categorical {
			if p.groups[i] = int(c.Codes[i]); c.Codes[i] < 0 {
				p.groups[i] = next
				next++
			}
			continue
		}
		v := c.Numbers[i]
		g, known := seen[v]
		if !known || math.IsNaN(v) {
			g = next
			next++
			seen[v] = g
		}
		p.groups[i] = g
	}
	return next
}

// sortGroups orders the groups by the first value of the order column in them; texts, such as
// dates in ISO form, by their bytes.
func (p *problem) sortGroups(order []int) {
	c := p.table.Find(p.columns.Order)
	first := make([]int, len(order))
	for i := range first {
		first[i] = -1
	}
	less := func(a, b int) int {
		if c.Kind == table.Numeric {
			return cmp.Compare(c.Numbers[a], c.Numbers[b])
		}
		text := func(i int) string {
			if c.Codes[i] < 0 {
				return ""
			}
			return c.Texts[c.Codes[i]]
		}
		return strings.Compare(text(a), text(b))
	}
	for i, g := range p.groups {
		if first[g] < 0 || less(i, first[g]) < 0 {
			first[g] = i
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return less(first[a], first[b]) })
}

// A column of texts is taken for an identifier and left out where nearly all of them differ, or
// half of them do and they are more than max_categories.
const (
	nearlyAll  = 0.9
	halfOfThem = 0.5
)

func (p *problem) identifies(c *table.Column) bool {
	distinct, rows := float64(len(c.Texts)), float64(p.table.Rows)
	return distinct > nearlyAll*rows || distinct > halfOfThem*rows && len(c.Texts) > p.maxCategories
}

// almostNumbers says what keeps a column of texts, most of which are numbers, from being one of
// numbers.
func almostNumbers(texts []string) string {
	numbers, commas, other := 0, 0, ""
	for _, t := range texts {
		if v, err := strconv.ParseFloat(t, 64); err == nil && !math.IsInf(v, 0) {
			numbers++
		} else if _, err := strconv.ParseFloat(strings.Replace(t, ",", ".", 1), 64); err == nil && strings.Contains(t, ",") {
			commas++
		} else if other == "" {
			other = t
		}
	}
	switch {
	case 2*(numbers+commas) <= len(texts):
		return ""
	case commas > 0:
		return " (numbers with a decimal comma are read as text: write a point)"
	}
	return fmt.Sprintf(" (most values are numbers, but %.40q is not one: correct it, or name it as missing)", other)
}

// chooseFeatures picks the columns that are features and the categories that the fitted rows
// have, most frequent first.
func (p *problem) chooseFeatures(fit []int) {
	for i := range p.table.Columns {
		c := &p.table.Columns[i]
		switch c.Name {
		case p.columns.Target, p.columns.Weight, p.columns.Order, p.columns.Group:
			continue
		}
		_, declared := p.columns.Types[c.Name]
		if c.Kind == table.Numeric {
			if lowest, highest := rangeOf(c.Numbers, fit); !(lowest < highest) && !declared {
				p.dropped = append(p.dropped, c.Name+" is constant")
				continue
			}
			p.numeric = append(p.numeric, c.Name)
			continue
		}
		if p.identifies(c) && !declared {
			p.dropped = append(p.dropped, c.Name+" looks like an identifier"+almostNumbers(c.Texts))
			continue
		}
		count := make([]int, len(c.Texts))
		for _, r := range fit {
			if c.Codes[r] >= 0 {
				count[c.Codes[r]]++
			}
		}
		var known []int
		for k := range count {
			if count[k] > 0 {
				known = append(known, k)
			}
		}
		if len(known) < 2 && !declared {
			p.dropped = append(p.dropped, c.Name+" is constant")
			continue
		}
		slices.SortFunc(known, func(a, b int) int {
			return cmp.Or(cmp.Compare(count[b], count[a]), strings.Compare(c.Texts[a], c.Texts[b]))
		})
		var names []string
		for _, k := range known[:min(len(known), p.maxCategories)] {
			names = append(names, c.Texts[k])
		}
		p.categorical, p.categories = append(p.categorical, c.Name), append(p.categories, names)
	}
}

func rangeOf(v []float64, rows []int) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, r := range rows {
		if x := v[r]; x == x {
			low, high = min(low, x), max(high, x)
		}
	}
	return low, high
}

// largest is what numbers may be: they are served, and standardised, in float32.
const largest = math.MaxFloat32 / 4

// checkSizes wants features and a target of numbers that float32 can hold.
func (p *problem) checkSizes() error {
	names := p.numeric
	if p.classes == nil {
		names = append(slices.Clone(names), p.columns.Target)
	}
	for _, name := range names {
		for i, v := range p.table.Find(name).Numbers {
			if math.Abs(v) > largest {
				return api.Errorf(api.CodeTrainingValueInvalid,
					"row %d of the data has %g in column %q, expected at most %.1g: models compute in float32; give its logarithm, say, or leave it empty", i+1, v, name,
					largest)
			}
		}
	}
	return nil
}

// encode makes a part's features: the one way from table values to what models take.
func (p *problem) encode(rows []int, weights []float64) set {
	s := set{rows: rows}
	for _, name := range p.numeric {
		from := p.table.Find(name).Numbers
		col := make([]float32, len(rows))
		for i, r := range rows {
			col[i] = float32(from[r])
		}
		s.numeric = append(s.numeric, col)
	}
	for j, name := range p.categorical {
		c := p.table.Find(name)
		place := make([]int32, len(c.Texts))
		known := make(map[string]int32, len(p.categories[j]))
		for k, text := range p.categories[j] {
			known[text] = int32(k)
		}
		for k, text := range c.Texts {
			place[k] = -1
			if at, ok := known[text]; ok {
				place[k] = at
			}
		}
		col := make([]int32, len(rows))
		for i, r := range rows {
			if col[i] = -1; c.Codes[r] >= 0 {
				col[i] = place[c.Codes[r]]
			}
		}
		s.codes = append(s.codes, col)
	}
	for _, r := range rows {
		s.labels = append(s.labels, p.labels[r])
		s.groups = append(s.groups, p.groups[r])
		if weights != nil {
			s.weights = append(s.weights, weights[r])
		}
	}
	return s
}

// checkParts wants rows in every part, and every class where models are fitted.
func (p *problem) checkParts() error {
	for _, x := range []struct {
		name string
		s    *set
	}{{"fit", &p.fit}, {"stop early", &p.valid}, {"calibrate", &p.calibrate}, {"test", &p.test}} {
		if len(x.s.rows) < 5 {
			return api.Errorf(api.CodeTrainingTooFewRows, "%d rows are left to %s, expected 5 at least: give more rows, or more groups", len(x.s.rows), x.name)
		}
	}
	seen := make([]int, len(p.classes))
	for _, y := range p.fit.labels {
		if p.classes != nil {
			seen[int(y)]++
		}
	}
	for k, n := range seen {
		if n == 0 {
			return api.Errorf(api.CodeTrainingOneClass, "class %q does not occur among the rows to fit: leave it out, or give more rows of it", p.classes[k])
		}
	}
	return nil
}

// schema describes the features as the fitted rows have them.
func (p *problem) schema() *features.Schema {
	s := &features.Schema{Task: p.task, Target: p.columns.Target, Classes: p.classes, Rows: len(p.fit.rows), Data: p.table.SHA256}
	for j, name := range p.numeric {
		f := features.Feature{Name: name, Tensor: numericInput, Column: j}
		values := make([]float64, len(p.fit.rows))
		for i, v := range p.fit.numeric[j] {
			values[i] = float64(v)
		}
		f.DescribeNumbers(values)
		s.Features = append(s.Features, f)
	}
	for j, name := range p.categorical {
		f := features.Feature{Name: name, Tensor: categoricalInput, Column: j}
		// What is present and beyond the categories counts as another, not as missing.
		codes := slices.Clone(p.fit.codes[j])
		c := p.table.Find(name)
		for i, r := range p.fit.rows {
			if codes[i] < 0 && c.Codes[r] >= 0 {
				codes[i] = int32(len(p.categories[j]))
			}
		}
		f.DescribeCodes(codes, p.categories[j])
		s.Features = append(s.Features, f)
	}
	return s
}
