// Package ragged has the operators of our own that run sequences of different length one
// behind the other, without padding. No file asks for them: the pass Ragged puts them in.
//
// The positions of the tokens tell where sequences end: one begins wherever the position is 0.
//
// Neighbours: runtime/pass writes them, runtime/cpu has the fast path.
package ragged
