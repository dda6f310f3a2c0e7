// Package repository owns the models on disk: it finds them, reads their configuration,
// loads, warms up, switches and unloads their versions.
//
// Layout, Triton's:
//
//	<dir>/<model>/config.pbtxt            optional
//	<dir>/<model>/<version>/model.onnx    version: a whole number above 0
//
// The file may be compressed (model.onnx.zst) or sealed (internal/seal); a model that is Go code and an
// ensemble need none, their configuration says what they are. With Config.MaxBytes models are loaded when
// they are first asked for, and the least recently used leave: see ondemand.go.
//
// A model file above 16 MiB is mapped: replace it by renaming a new one over it, never
// by writing into it, which changes or kills what serves from the mapping.
//
// The states of a version, as the index tells them:
//
//	stateDiagram-v2
//	    [*] --> LOADING: found, or load called
//	    LOADING --> READY: warmed up, and the listener takes it
//	    LOADING --> UNAVAILABLE: it failed (reason)
//	    READY --> READY: a reload succeeded (switch), or failed (the old one stays)
//	    READY --> UNLOADING: unload called, or another version took its place
//	    UNLOADING --> UNAVAILABLE: nothing uses it any more
//	    UNLOADING --> LOADING: load called
//	    UNAVAILABLE --> LOADING: load called, or its files changed
//	    UNAVAILABLE --> [*]: its folder is gone
//
// A version leaves the served set only when all of what is to take its place stands:
// whatever fails to load leaves what served before.
//
// Neighbours: runtime opens models; of the packages beneath, config reads configurations, store writes
// versions, bundle packs them for transfer, and release keeps what was decided about them.
// Above, pipeline attaches and detaches versions as Listener, and server calls Load,
// Unload and Index.
//
// Ownership: a Version's runtime.Model is closed by this package alone, after
// Listener.Gone has returned. Override files belong to the repository once they are given.
//
// Concurrency: everything is safe for concurrent use. Operations on one model are done
// one after the other, those on several side by side. Repository.mu is never held while
// a listener, the disk or the runtime is called.
//
// Errors: each has a code of package api and a public text in which files are named
// relative to the repository.
package repository
