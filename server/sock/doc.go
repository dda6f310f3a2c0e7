// Package sock is what lies between fasthttp and the network: connections whose timeouts cost no system call and no
// timer a request, and which answer a request whose bytes they know before anything is parsed.
//
// Neighbours: server/rest decides what is remembered and whether it still holds, through Answerer; server wraps its
// listener.
//
// Ownership: a Conn copies what it keeps. An Answerer must not keep what it is given.
//
// Concurrency: a Conn's Read, Write, Single and Learn belong to the goroutine that serves it; Close may come from
// elsewhere. An Answerer is called by many connections at once.
package sock
