// Package verify runs test folders of the ONNX standard against an engine: a model, its
// inputs and the outputs that are expected of it.
//
// A case is a folder with model.onnx and at least one test_data_set_N holding
// input_K.pb and output_K.pb, or a file light_X.onnx with light_X_output_0.pb beside it.
// It passes if all its data sets do. A model without data, or data without a model, has
// failed. Inputs go by position, initialisers left out.
package verify
