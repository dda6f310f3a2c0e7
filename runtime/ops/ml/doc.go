// Package ml holds the operators of ai.onnx.ml: tree ensembles, linear and support vector
// models, and the preparation of features that scikit-learn pipelines need.
//
// Where the standard leaves an answer open (two classes with one score, base values,
// transforms of a single target), the answer is ONNX Runtime's, since that is what users
// compare with. Thresholds are compared in the precision of the inputs: float32 features
// with float32 thresholds, float64 with float64.
//
// Neighbours: runtime/ops defines the contract; runtime/cpu lowers tree ensembles and the
// feature operators to kernels, from the exported Ensemble. Operators with dictionaries,
// trees or vectors in their attributes are written as Bind.
//
// Ownership: as runtime/ops. An Ensemble and the functions that Bind gives are read-only
// once made and safe for concurrent use.
package ml
