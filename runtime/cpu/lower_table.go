package cpu

// lowerings lists the operators that have a fast path.
var lowerings = map[string]lowering{
	"Gemm":   lowerGemm,
	"MatMul": lowerMatMul,
}

// lowerWaves orders the matching: what absorbs most goes first.
var lowerWaves = []map[string]bool{
	{"Gemm": true, "MatMul": true},
}
