// Package client is the Go client of aimass, and of any server of the v2 inference protocol over HTTP: inference with
// binary tensors (the default) or JSON, health, metadata, configuration, statistics, and the calls that load and unload
// models.
//
//	c, err := client.New("http://127.0.0.1:8000", client.Options{})
//	res, err := c.Infer(ctx, &client.Request{
//		Model:  "appt-noshow",
//		Inputs: []client.Tensor{client.Float32("features", []int{1, 23}, features)},
//	})
//	p, err := res.Float32s("probability")
//
// A call that fails returns an *Error where the server answered; errors.As finds in it an *api.Error with the stable code,
// and api.CodeOf gives the code at once. Without an answer the error is that of net/http or of the context.
//
// Retries: an answer whose code is retryable is tried again after a growing, random pause or what Retry-After says,
// whichever is longer, while attempts and the context last; so is a connection that could not be made, and one that broke,
// if the call may be repeated. All calls may, but inference with a sequence_id. No other failure is tried again.
//
// Neighbours: it imports api alone; cmd/aimass and bench reach servers through it.
//
// Ownership: the slices of an input belong to the caller and are read until Infer returns. A Result owns its memory; what
// its accessors return is the caller's, Tensor.Bytes excepted.
//
// Concurrency: a Client is safe for concurrent use and reuses connections; make one a server and keep it.
package client
