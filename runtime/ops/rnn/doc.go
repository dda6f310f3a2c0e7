// Package rnn holds the recurrent operators RNN, GRU and LSTM.
//
// Neighbours: runtime/ops (the contract), runtime/ops/form (schemas), runtime/ops/linalg
// (matrix products). Ownership of buffers and concurrency are those of runtime/ops:
// inputs are read only, nothing is kept.
//
// The three share their geometry and the walk over time (cell.go); each has the step of
// its own. With sequence_lens, the outputs behind a sequence's end are 0, its last state
// is that of its own last element, and the reverse direction begins there.
package rnn
