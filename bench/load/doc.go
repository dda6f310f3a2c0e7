// Package load puts load on a server that speaks the v2 protocol and measures what comes back,
// from outside: closed loop (so many requests always in flight) or open loop (requests start
// when an arrival process says so, whether or not others have been answered, and their
// latency counts from that moment, so that a stalled server can't hide what it made others
// wait: no coordinated omission).
//
// Requests are built before the clock starts. HTTP runs in one thread over an epoll set of its own
// with raw sockets, since the generator often shares its cores with the server; gRPC goes
// through grpc-go with messages that are already encoded.
//
// Neighbours: `aimass bench load` and `aimass bench sweep`; bench/model makes the values;
// server/wire encodes them.
//
// A Plan may be run several times, but by one goroutine at a time.
package load
