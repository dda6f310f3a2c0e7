// Package pipeline knows what a model name means at this moment: which version answers,
// with which cache and batcher behind it.
//
// Neighbours: server resolves a name to a Served and calls Infer; repository attaches
// versions when they are ready and detaches them when they are gone. Behind a Served
// stand cache (where its config asks for it) and batcher, or the steps of an ensemble: other
// models, each behind its own cache and batcher, or on another server.
//
// Rules say which version answers requests that name none: stable, a canary for its share,
// and copies for a shadow whose answers are compared. A change of rules holds from the next
// request on and touches none that runs.
//
// Ownership: Resolve gives a reference, to be returned with Served.Done once the outputs
// have been read; a version that is detached goes on serving those who hold one.
// Otherwise as in batcher.
//
// Concurrency: everything is safe for concurrent use; Resolve takes no lock.
package pipeline
