// Package text holds the operators on string tensors of the standard domain: normalising,
// joining, splitting, matching, and counting n-grams.
//
// Neighbours: runtime/ops defines the contract. Strings are Go strings; operators that
// change case read them as UTF-8.
//
// Ownership and concurrency: as runtime/ops. What Bind gives is read-only once made.
package text
