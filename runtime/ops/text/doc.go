// Package text holds the operators on string tensors of the standard domain: normalising,
// joining, splitting, matching, and counting n-grams.
//
// Neighbours: runtime/ops defines the contract. Strings are Go strings; operators that
// change case read them as UTF-8.
//
// Ownership and concurrency: as runtime/ops. What Bind gives is read-only once made.
package text

import "github.com/aimass/aimass/runtime/ops"

// Register adds the operators on strings.
func Register(r *ops.Registry) {
	r.Add(regexFullMatch(), stringConcat(), stringNormalizer(), stringSplit(), tfIdfVectorizer())
}
