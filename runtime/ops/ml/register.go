package ml

import "github.com/aimass/aimass/runtime/ops"

// Domain is the domain of this family's operators.
const Domain = "ai.onnx.ml"

// Register adds the operators of ai.onnx.ml.
func Register(r *ops.Registry) {
	r.Add(arrayFeatureExtractor()...)
	r.Add(binarizer()...)
	r.Add(castMap()...)
	r.Add(categoryMapper()...)
	r.Add(dictVectorizer()...)
	r.Add(featureVectorizer()...)
	r.Add(imputer()...)
	r.Add(labelEncoder()...)
	r.Add(linearClassifier()...)
	r.Add(linearRegressor()...)
	r.Add(normalizer()...)
	r.Add(oneHotEncoder()...)
	r.Add(scaler()...)
	r.Add(svmClassifier()...)
	r.Add(svmRegressor()...)
	r.Add(treeEnsemble()...)
	r.Add(treeEnsembleClassifier()...)
	r.Add(treeEnsembleRegressor()...)
	r.Add(zipMap()...)
}
