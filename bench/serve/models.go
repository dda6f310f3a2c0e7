package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/aimass/aimass/runtime/onnx/build"
)

// writeModels fills a repository: mlp (32-64-64-1), gbdt (200 trees of depth 6 on 20 features), each
// also as NAME_cached with a response cache, and heavy (an MLP of some hundred microseconds).
func writeModels(dir string) error {
	rng := rand.New(rand.NewPCG(7, 7))
	mlp, err := mlpModel("mlp", rng, 32, 64, 64, 1).Encode()
	if err != nil {
		return err
	}
	trees, err := treesModel(rng, 200, 6, 20).Encode()
	if err != nil {
		return err
	}
	heavy, err := mlpModel("heavy", rng, 256, 1536, 1536, 256).Encode()
	if err != nil {
		return err
	}
	for name, b := range map[string][]byte{"mlp": mlp, "gbdt": trees, "heavy": heavy} {
		if err := writeModel(dir, name, b, ""); err != nil {
			return err
		}
		if name != "heavy" {
			if err := writeModel(dir, name+"_cached", b, "response_cache { enable: true }\n"); err != nil {
				return err
			}
		}
	}
	return nil
}

func writeModel(dir, name string, b []byte, config string) error {
	place := filepath.Join(dir, name, "1")
	if err := os.MkdirAll(place, 0o755); err != nil {
		return err
	}
	if config != "" {
		if err := os.WriteFile(filepath.Join(dir, name, "config.pbtxt"), []byte(config), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(place, "model.onnx"), b, 0o644)
}

// mlpModel is a stack of dense layers with Relu between them.
func mlpModel(name string, rng *rand.Rand, sizes ...int64) *build.Graph {
	g := build.New(name, 17)
	x := g.Input("input", build.Float, build.Sym("n"), build.Size(sizes[0]))
	for i := 1; i < len(sizes); i++ {
		w := make([]float32, sizes[i-1]*sizes[i])
		for k := range w {
			w[k] = float32(rng.NormFloat64() / 8)
		}
		x = g.Op("MatMul", []string{x, g.Const(fmt.Sprint("w", i), w, sizes[i-1], sizes[i])})
		x = g.Op("Add", []string{x, g.Const(fmt.Sprint("b", i), make([]float32, sizes[i]), sizes[i])})
		if i < len(sizes)-1 {
			x = g.Op("Relu", []string{x})
		}
	}
	g.Output(g.OpAs("output", "Identity", []string{x}), build.Float, build.Sym("n"), build.Size(sizes[len(sizes)-1]))
	return g
}

// treesModel is a regressor of complete trees.
func treesModel(rng *rand.Rand, trees, depth int, features int64) *build.Graph {
	g := build.New("gbdt", 17)
	x := g.Input("input", build.Float, build.Sym("n"), build.Size(features))
	var tree, node, feature, yes, no, targetTree, targetNode, targetID []int64
	var value, weight []float32
	var mode []string
	inner := 1<<depth - 1
	for t := range trees {
		for k := range 2*inner + 1 {
			tree, node = append(tree, int64(t)), append(node, int64(k))
			if k < inner {
				mode, feature, value = append(mode, "BRANCH_LEQ"), append(feature, rng.Int64N(features)), append(value, float32(rng.NormFloat64()))
				yes, no = append(yes, int64(2*k+1)), append(no, int64(2*k+2))
				continue
			}
			mode, feature, value, yes, no = append(mode, "LEAF"), append(feature, 0), append(value, 0), append(yes, 0), append(no, 0)
			targetTree, targetNode, targetID, weight = append(targetTree, int64(t)), append(targetNode, int64(k)), append(targetID, 0),
				append(weight, float32(rng.NormFloat64()))
		}
	}
	g.Opsets["ai.onnx.ml"] = 3
	g.Add(build.Node{Op: "TreeEnsembleRegressor", Domain: "ai.onnx.ml", Inputs: []string{x}, Outputs: []string{"output"}, Attrs: []build.Attr{
		build.I("n_targets", 1), build.Is("nodes_treeids", tree...), build.Is("nodes_nodeids", node...), build.Is("nodes_featureids", feature...),
		build.Fs("nodes_values", value),
		build.Ss("nodes_modes", mode...), build.Is("nodes_truenodeids", yes...), build.Is("nodes_falsenodeids", no...), build.Is("target_treeids", targetTree...),
		build.Is("target_nodeids", targetNode...), build.Is("target_ids", targetID...), build.Fs("target_weights", weight)}})
	g.Output("output", build.Float, build.Sym("n"), build.Size(1))
	return g
}
