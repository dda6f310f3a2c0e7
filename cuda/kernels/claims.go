package kernels

import "strings"

// Claim is what the compiled form of a kernel must keep to on every target: registers a
// thread and bytes of static shared memory at most, and instructions that it must hold.
// No kernel may spill or use local memory.
type Claim struct {
	Registers int
	Shared    int
	Opcodes   []string // prefixes of SASS opcodes
}

// Targets are the devices that kernels are checked for: A100, RTX 30, RTX 40 and L4, H100,
// B200, RTX 50.
var Targets = []string{"sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"}

const (
	load16  = "LDG.E.128" // 16-byte loads
	store16 = "STG.E.128"
	async16 = "LDGSTS.E.BYPASS.128"
)

// claims by kernel, or by the beginning of its name with a star.
var claims = map[string]Claim{
	"gemm_nn_128":    {128, 33792, []string{load16, "LDS.128", "FFMA"}},
	"gemm_nt_128":    {128, 33792, []string{load16, "LDS.128", "FFMA"}},
	"gemm_nn_64":     {128, 17408, []string{load16, "LDS.128"}},
	"gemm_nt_64":     {128, 17408, []string{load16, "LDS.128"}},
	"gemm_sum":       {64, 0, nil},
	"gemm_rows*":     {128, 36864, []string{load16}},
	"gemm_f16*":      {128, 46080, []string{"HMMA.16816.F32", "LDSM.16", async16}},
	"gemm_tf32*":     {128, 46080, []string{"HMMA.1688.F32.TF32", async16}},
	"gemm_int8":      {128, 46080, []string{"IMMA.16832.S8.S8", "LDSM.16.M88.4", async16}},
	"gemm_int8_rows": {64, 0, []string{"IDP.4A"}},
	"attention*":     {170, 46208, []string{load16, "LDS.128", "MUFU.EX2"}},
	"conv_128":       {128, 33792, []string{load16, "LDS.128"}},
	"conv_64":        {128, 17408, []string{load16, "LDS.128"}},
	"tree_leaves":    {32, 0, []string{load16}},
	"move_16":        {32, 0, []string{load16, store16}},
	"gather_16":      {40, 0, []string{load16, store16}},
	"transpose_8":    {40, 8448, nil},
	"transpose*":     {40, 4224, nil},
	"sum_parts":      {48, 0, []string{load16, store16}},
	"*":              {64, 64, nil},
}

// Claims gives what a kernel must keep to.
func Claims(kernel string) Claim {
	c, ok := claims[kernel]
	if !ok {
		best := -1
		for pattern, candidate := range claims {
			prefix, open := strings.CutSuffix(pattern, "*")
			if open && len(prefix) > best && strings.HasPrefix(kernel, prefix) {
				c, best = candidate, len(prefix)
			}
		}
	}
	for i := range Unaries {
		if u := &Unaries[i]; kernel == "unary_"+u.Name && !u.Heavy && !u.Bool {
			c.Opcodes = []string{load16, store16}
		}
	}
	for i := range Binaries {
		if f := &Binaries[i]; kernel == "linear_"+f.Name && !f.Heavy && !f.Bool {
			c.Opcodes = []string{load16, store16}
		}
	}
	return c
}
