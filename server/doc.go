// Package server is the edge: listeners for HTTP, gRPC and metrics, and their orderly end. Bytes become requests in rest
// and rpc (with wire and encoding), requests are answered by service.
//
// Neighbours: pipeline below, cmd above; the repository comes in as a service.Control.
//
// Ownership: New opens listeners, Run serves and closes them. The pipeline belongs to the caller and must outlive Run.
//
// Concurrency: Run once; Addrs any time.
package server
