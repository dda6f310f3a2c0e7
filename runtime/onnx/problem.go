package onnx

import (
	"errors"
	"fmt"
)

// Problem says what kind of thing is wrong with a file, for who must tell its owner.
type Problem uint8

// The kinds. Malformed is every breach of the format that no other kind names.
const (
	Malformed   Problem = iota
	Truncated           // the file ends too early
	Cyclic              // a node depends on its own output
	TooLarge            // a limit of size, nesting or number
	Weights             // bytes of a tensor that disagree with its shape, or are absent
	Unsupported         // valid, and not implemented here
)

type problem struct {
	Problem
	error
}

func (p *problem) Unwrap() error { return p.error }

// problemf makes an error of a kind.
func problemf(k Problem, format string, args ...any) error {
	return &problem{k, fmt.Errorf(format, args...)}
}

// ProblemOf gives the kind of an error of Open and Read.
func ProblemOf(err error) Problem {
	var p *problem
	if errors.As(err, &p) {
		return p.Problem
	}
	return Malformed
}
