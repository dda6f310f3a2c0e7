package compress

import (
	"fmt"
	"slices"

	"github.com/aimass/aimass/runtime/tensor"
)

// metric is accuracy where the output has several columns, AUC where it has one.
func metric(labels []float64, before, after []*tensor.Tensor) (*Metric, error) {
	a, columns, err := rowsOf(before)
	if err != nil {
		return nil, err
	}
	b, _, err := rowsOf(after)
	if err != nil {
		return nil, err
	}
	if len(a)/columns != len(labels) || len(a) != len(b) {
		return nil, fmt.Errorf("labels: expected one for each of %d rows, got %d", len(a)/columns, len(labels))
	}
	if columns > 1 {
		return &Metric{"accuracy", accuracy(labels, a, columns), accuracy(labels, b, columns)}, nil
	}
	positives := 0
	for _, l := range labels {
		if l != 0 && l != 1 {
			return nil, fmt.Errorf("labels: expected 0 or 1 for an output of one column, got %v", l)
		}
		positives += int(l)
	}
	if positives == 0 || positives == len(labels) {
		return nil, fmt.Errorf("labels: both 0 and 1 must occur")
	}
	return &Metric{"AUC", auc(labels, a), auc(labels, b)}, nil
}

func rowsOf(outs []*tensor.Tensor) (v []float64, columns int, err error) {
	columns = 1
	for _, t := range outs {
		if t == nil {
			return nil, 0, fmt.Errorf("labels: the first output is no tensor")
		}
		x, err := tensor.Float64s(t)
		if err != nil {
			return nil, 0, fmt.Errorf("labels: the first output: %w", err)
		}
		if t.Rank() > 1 && t.Shape[0] > 0 {
			columns = t.Elements() / t.Shape[0]
		}
		v = append(v, x...)
	}
	return v, max(columns, 1), nil
}

func accuracy(labels, v []float64, columns int) float64 {
	right := 0
	for i, l := range labels {
		row := v[i*columns : (i+1)*columns]
		best := 0
		for k, x := range row {
			if x > row[best] {
				best = k
			}
		}
		if float64(best) == l {
			right++
		}
	}
	return float64(right) / float64(len(labels))
}

// auc is the chance that a positive row scores above a negative one, ties half.
func auc(labels, v []float64) float64 {
	order := make([]int, len(v))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		switch {
		case v[a] < v[b]:
			return -1
		case v[a] > v[b]:
			return 1
		}
		return 0
	})
	ranks, positives := 0.0, 0.0
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && v[order[j]] == v[order[i]] {
			j++
		}
		for _, k := range order[i:j] {
			if labels[k] == 1 {
				ranks += float64(i+1+j) / 2
				positives++
			}
		}
		i = j
	}
	return (ranks - positives*(positives+1)/2) / (positives * (float64(len(v)) - positives))
}
