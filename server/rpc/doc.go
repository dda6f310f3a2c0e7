// Package rpc is the v2 protocol over gRPC: it reads requests, has them answered by service, and sends the answers.
//
// Neighbours: server runs what New returns on a listener; service does the work.
//
// Ownership: a request's bytes belong to its message, which the garbage collector owns. Outputs are copied into the
// response, since gRPC encodes it after the handler has returned.
//
// Concurrency: everything is safe for concurrent use.
package rpc
