// Package cache is the hot prediction cache: equal requests are answered from memory, and
// of equal requests in flight only one runs.
//
// The key covers all that decides an answer: tenant, model version (by a generation that
// every load renews, so a reload empties its entries), the inputs' positions, types,
// shapes and bytes, the requested outputs and the parameters. The 64-bit xxhash of this
// canonical form finds an entry; the entry holds the form and compares it, so that no
// collision can answer. Forms above 64 KiB are compared by a HighwayHash-128 keyed with a
// secret of the process instead.
//
// A second tier in Redis or Valkey, if configured, is asked on a miss and given what was
// computed. Replicas share it: there the model is named by the digest of its files, and a
// request by SHA-256 of its canonical form. It may be slow or gone without a request failing.
//
// Neighbours: pipeline calls Do; a miss goes on to the version's batcher.
//
// Ownership: as in batcher; outputs of a hit are the entry's own, immutable and shared.
//
// Concurrency: a Cache is safe for concurrent use. ristretto buffers its sets and may drop
// them: nothing relies on one.
package cache
