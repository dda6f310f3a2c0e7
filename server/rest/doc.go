// Package rest is the v2 protocol over HTTP: it reads requests (fasthttp), has them answered by service, and writes JSON
// or binary tensors.
//
// Neighbours: server runs its Handler on a listener; service, wire and encoding do the work.
//
// Ownership: fasthttp reuses a request's memory when the handler returns. Bodies are therefore read into buffers of the
// job, which goes back to its pool only after the model has let go of the inputs; responses are written into fasthttp's
// own buffer.
//
// Concurrency: a Handler serves any number of connections.
package rest
