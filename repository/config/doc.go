// Package config reads a model's configuration (config.pbtxt, or the JSON of a load
// request), checks it against the model and derives everything that it leaves out.
//
// Parse and ParseJSON give a File: what is written, with the line of each field. Resolve
// makes a Config of it: what holds, complete, for one version of a model.
//
// Neighbours: repository alone calls it; batcher, pipeline and server read Config. The
// names are those of Triton's model_config.proto, so that existing folders work.
//
// Ownership and concurrency: Files and Configs don't change once made.
package config
