"""Records golden.json.gz of runtime/ops/math: python record.py golden.json.gz"""
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../golden"))
from record import case, write  # noqa: E402

rng = np.random.default_rng(11)
INTS = [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]
REALS = [np.float16, np.float32, np.float64]
SHAPES = [((3, 4), (3, 4)), ((2, 3, 4), (4,)), ((1,), (2, 1, 3)), ((), (3,)), ((4, 1, 2), (3, 1)), ((0, 3), (1, 3)), ((2, 1), (1, 0))]


def tol(t):
    return dict(rtol=2e-3, atol=1e-3) if t == np.float16 else dict(rtol=1e-5, atol=1e-6)


def rand(t, s):
    if t == np.bool_:
        return rng.random(s) < 0.5
    if np.issubdtype(t, np.integer):
        i = np.iinfo(t)
        return np.asarray(rng.integers(max(-50, i.min), 50, s)).astype(t)
    return np.asarray(rng.normal(size=s) * 3).astype(t)


def special(t):
    return np.array([0.0, -0.0, 1, -1, 0.5, 1.5, 2.5, -2.5, 30, -30, 88, -104, np.inf, -np.inf, np.nan, 1e-8], t)


# One tensor.
UNARY = {
    "Abs": 13, "Neg": 13, "Ceil": 13, "Floor": 13, "Round": 22, "Sqrt": 13, "Exp": 13, "Log": 13, "Reciprocal": 13, "Sigmoid": 13,
    "Tanh": 13, "Erf": 13, "Sin": 22, "Cos": 22, "Tan": 22, "Asin": 22, "Acos": 22, "Atan": 22, "Sinh": 22, "Cosh": 22, "Asinh": 22,
    "Acosh": 22, "Atanh": 22, "Softplus": 22, "Softsign": 22, "HardSwish": 22, "Mish": 22, "Relu": 14, "Sign": 13, "IsNaN": 20, "IsInf": 20,
}
for op, v in UNARY.items():
    for t in REALS:
        kw = tol(t) | dict(opset=v, reference=True)
        case(f"{op}_{t.__name__}", op, [rand(t, (2, 5))], **kw)
        if op != "Mish" or t != np.float16:
            case(f"{op}_{t.__name__}_special", op, [special(t)], **kw)
for op in ["Abs", "Sign", "Relu", "Neg"]:
    for t in INTS if op in ("Abs", "Sign") else INTS[:4]:
        case(f"{op}_{t.__name__}", op, [rand(t, (7,))], opset=14, reference=True)
for op, v, attrs in [
    ("Elu", 22, dict(alpha=0.7)), ("Selu", 22, {}), ("Selu", 22, dict(alpha=2.0, gamma=3.0)), ("Celu", 12, dict(alpha=2.0)), ("LeakyRelu", 16, dict(alpha=0.3)),
    ("ThresholdedRelu", 22, dict(alpha=0.4)), ("HardSigmoid", 22, dict(alpha=0.3, beta=0.6)), ("HardSigmoid", 22, {}),
    ("Gelu", 20, {}), ("Gelu", 20, dict(approximate="tanh")), ("Shrink", 9, dict(lambd=1.0, bias=0.5)), ("Swish", 24, dict(alpha=0.5)),
    ("IsInf", 20, dict(detect_negative=0)), ("IsInf", 20, dict(detect_positive=0)),
]:
    case(f"{op}_{len(attrs)}_{'_'.join(map(str, attrs.values()))}", op, [rand(np.float32, (3, 7))], attrs, opset=v, reference=op in ("Swish", "Celu"), )
case("Selu_1", "Selu", [rand(np.float32, (9,))], {}, opset=6)
case("Shrink_int", "Shrink", [rand(np.int32, (9,))], dict(lambd=10.0, bias=3.0), opset=9)
case("Not", "Not", [rand(np.bool_, (3, 3))], opset=1)
for t in INTS:
    case(f"BitwiseNot_{t.__name__}", "BitwiseNot", [rand(t, (5,))], opset=18)

# Two tensors.
for i, (a, b) in enumerate(SHAPES):
    for op in ["Add", "Sub", "Mul", "Div", "Pow", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"]:
        x, y = rand(np.float32, a), rand(np.float32, b)
        if op == "Pow":
            x = np.abs(x) + 0.1
        case(f"{op}_{i}", op, [x, y], opset=17)
        case(f"{op}_{i}_swapped", op, [y, x] if op != "Pow" else [np.abs(y), x], opset=17)
    for op in ["And", "Or", "Xor"]:
        case(f"{op}_{i}", op, [rand(np.bool_, a), rand(np.bool_, b)], opset=17)
    case(f"Where_{i}", "Where", [rand(np.bool_, a), rand(np.float32, b), rand(np.float32, ())], opset=17)
    case(f"Where_{i}_s", "Where", [rand(np.bool_, b), np.asarray(rand(np.int64, a).astype(str), dtype=object), np.array("x", dtype=object)], opset=17)
    for op in ["Max", "Min", "Sum", "Mean"]:
        case(f"{op}_{i}", op, [rand(np.float32, a), rand(np.float32, b), rand(np.float32, (1,))], opset=13)
for t in INTS + REALS:
    x, y = rand(t, (4, 6)), rand(t, (6,))
    for op in ["Add", "Sub", "Mul", "Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual"]:
        case(f"{op}_{t.__name__}", op, [x, y], opset=19, reference=True, **tol(t))
    y = np.where(y == 0, 3, y).astype(t)
    case(f"Div_{t.__name__}", "Div", [x, y], opset=14, reference=True, **tol(t))
    for op in ["Max", "Min"]:
        case(f"{op}_{t.__name__}", op, [x, y, x[:1]], opset=13, reference=True)
    if np.issubdtype(t, np.integer):
        case(f"Mod_{t.__name__}", "Mod", [x, y], opset=13, reference=True)
        for op in ["BitwiseAnd", "BitwiseOr", "BitwiseXor"]:
            case(f"{op}_{t.__name__}", op, [x, y], opset=18, reference=True)
    else:
        case(f"Mod_{t.__name__}", "Mod", [x, y], opset=28, reference=True, **tol(t))
    case(f"FMod_{t.__name__}", "Mod", [x, y], dict(fmod=1), opset=13, reference=True, **tol(t))
    case(f"Clip_{t.__name__}", "Clip", [x, np.array(2, t), np.array(9, t)], opset=13, reference=True)
    case(f"Clip_{t.__name__}_low", "Clip", [x, np.array(2, t)], opset=13, reference=True)
    case(f"Clip_{t.__name__}_high", "Clip", [x, None, np.array(5, t)], opset=13)
    case(f"Clip_{t.__name__}_none", "Clip", [x], opset=13)
    case(f"Clip_{t.__name__}_crossed", "Clip", [x, np.array(9, t), np.array(2, t)], opset=13, reference=True)
sp = special(np.float32)
case("Mod_special", "Mod", [np.repeat(sp, len(sp)), np.tile(sp, len(sp))], opset=28, reference=True)
case("FMod_special", "Mod", [np.repeat(sp, len(sp)), np.tile(sp, len(sp))], dict(fmod=1), opset=28, reference=True)
case("Pow_special", "Pow", [np.repeat(sp, len(sp)), np.tile(sp, len(sp))], opset=15, reference=True)
case("Max_nan", "Max", [sp, sp[::-1].copy()], opset=13, reference=True)
case("Equal_bool", "Equal", [rand(np.bool_, (9,)), rand(np.bool_, (9,))], opset=19)
case("Equal_string", "Equal", [np.array(["a", "b", ""], dtype=object), np.array(["a", "B", ""], dtype=object)], opset=19, reference=True)
for d in ["LEFT", "RIGHT"]:
    for t in INTS:
        case(f"BitShift_{d}_{t.__name__}", "BitShift", [rand(t, (6,)), np.array([0, 1, 3, 7, 8, 40], t)], dict(direction=d), opset=28, reference=True)
case("BitShift_none", "BitShift", [rand(np.uint8, (2,)), rand(np.uint8, (2,))], opset=11, fails=True)
for a, b in [(np.float32, np.int64), (np.int64, np.int64), (np.int32, np.float32), (np.float64, np.float32), (np.int64, np.int32)]:
    x, y = np.abs(rand(a, (8,))) + 1, np.asarray(rng.integers(0, 5, 8)).astype(b)
    case(f"Pow_{a.__name__}_{b.__name__}", "Pow", [x.astype(a), y], opset=15)
case("Add_mismatch", "Add", [rand(np.float32, (3,)), rand(np.float32, (4,))], opset=14, fails=True)

case("PRelu_channels", "PRelu", [rand(np.float32, (2, 3, 4)), rand(np.float32, (3, 1))], opset=9)
case("PRelu_scalar", "PRelu", [rand(np.float32, (2, 3)), rand(np.float32, (1,))], opset=16)

# Products.
for i, (a, b) in enumerate([
    ((3, 4), (4, 5)), ((4,), (4,)), ((4,), (4, 3)), ((2, 4), (4,)), ((2, 3, 4), (4, 5)), ((2, 1, 3, 4), (5, 4, 2)), ((1, 3, 4), (2, 4, 3)),
    ((0, 4), (4, 3)), ((3, 0), (0, 2)), ((2, 3, 4), (4,)), ((7, 33), (33, 9)), ((4,), (3, 4, 2)),
]):
    for t in [np.float32, np.float64, np.int32, np.int64]:
        case(f"MatMul_{i}_{t.__name__}", "MatMul", [rand(t, a), rand(t, b)], opset=13, reference=0 in a + b, rtol=1e-4, atol=1e-4)
case("MatMul_half", "MatMul", [rand(np.float16, (3, 8)), rand(np.float16, (8, 2))], opset=13, reference=True, rtol=2e-3, atol=2e-2)
case("MatMul_scalar", "MatMul", [rand(np.float32, ()), rand(np.float32, (2, 2))], opset=13, fails=True)
case("MatMul_mismatch", "MatMul", [rand(np.float32, (2, 3)), rand(np.float32, (2, 3))], opset=13, fails=True)
for ta in [0, 1]:
    for tb in [0, 1]:
        for c in [None, (), (5,), (3, 1), (3, 5)]:
            x = rand(np.float32, (4, 3) if ta else (3, 4))
            y = rand(np.float32, (5, 4) if tb else (4, 5))
            ins = [x, y] + ([rand(np.float32, c)] if c is not None else [])
            case(f"Gemm_{ta}{tb}_{c}", "Gemm", ins, dict(transA=ta, transB=tb, alpha=0.5, beta=1.5), opset=13, rtol=1e-4, atol=1e-4)
case("Gemm_beta", "Gemm", [rand(np.float64, (2, 3)), rand(np.float64, (3, 2)), rand(np.float64, (2,))], dict(beta=0.0), opset=11)
case("Gemm_bias", "Gemm", [rand(np.float32, (2, 3)), rand(np.float32, (3, 2)), rand(np.float32, (3,))], opset=13, fails=True)
u8, i8 = lambda *s: rng.integers(0, 256, s).astype(np.uint8), lambda *s: rng.integers(-128, 128, s).astype(np.int8)
case("MatMulInteger", "MatMulInteger", [u8(3, 5), i8(5, 4)], opset=10)
case("MatMulInteger_zero", "MatMulInteger", [u8(3, 5), i8(5, 4), np.array(9, np.uint8), np.array(-3, np.int8)], opset=10)
case("MatMulInteger_columns", "MatMulInteger", [u8(3, 5), i8(5, 4), np.array(9, np.uint8), i8(4)], opset=10)
case("MatMulInteger_batch", "MatMulInteger", [u8(2, 3, 5), u8(5, 4), np.array(9, np.uint8), np.array(3, np.uint8)], opset=10)
for i, (eq, *shapes) in enumerate([
    ("ij,jk->ik", (3, 4), (4, 5)), ("ij,jk", (3, 4), (4, 5)), ("ii->i", (4, 4)), ("ii", (4, 4)), ("ij->ji", (2, 5)), ("...ij,...jk->...ik", (2, 3, 4), (1, 4, 2)),
    ("i,j->ij", (3,), (4,)), ("bhqd,bhkd->bhqk", (2, 2, 3, 4), (2, 2, 5, 4)), ("ij,ik,il->jkl", (3, 2), (3, 4), (3, 2)), ("...->...", (2, 3)), ("i...->...", (2, 3)),
    ("ij->", (3, 4)), (" i j , j k -> k i", (3, 4), (4, 5)), ("ba", (2, 3)), ("...i,i->...", (2, 3, 4), (4,)), ("ij,ij->i", (3, 0), (3, 0)),
]):
    case(f"Einsum_{i}", "Einsum", [rand(np.float64, s) for s in shapes], dict(equation=eq), opset=12, reference=True)
case("Einsum_terms", "Einsum", [rand(np.float32, (2, 2))], dict(equation="ij,jk->ik"), opset=12, reference=True, fails=True)
case("Einsum_label", "Einsum", [rand(np.float32, (2, 2))], dict(equation="ij->ik"), opset=12, reference=True, fails=True)
case("Einsum_int", "Einsum", [rand(np.int32, (3, 4)), rand(np.int32, (4, 5))], dict(equation="ij,jk->ik"), opset=12, reference=True)

# Scans and the rest.
for op, v in [("CumSum", 14), ("CumProd", 26)]:
    for axis in [0, 1, -1]:
        for e in [0, 1]:
            for r in [0, 1]:
                case(f"{op}_{axis}_{e}{r}", op, [rand(np.float64, (3, 4, 2)), np.array(axis, np.int32)], dict(exclusive=e, reverse=r), opset=v, reference=True)
case("CumSum_empty", "CumSum", [rand(np.float32, (2, 0)), np.array(1)], opset=14)
case("CumSum_axis", "CumSum", [rand(np.float32, (2, 2)), np.array(2)], opset=14, fails=True)
for n in [1, 2, 3, 5]:
    case(f"Det_{n}", "Det", [rand(np.float64, (2, n, n))], opset=22, reference=True, rtol=1e-9, atol=1e-9)
case("Det_singular", "Det", [np.ones((3, 3), np.float32)], opset=11)
case("Det_oblong", "Det", [np.ones((3, 2), np.float32)], opset=11, fails=True)
for k in [None, 0, 1, -1, 3, -4, 40, -40]:
    for up in [0, 1]:
        case(f"Trilu_{k}_{up}", "Trilu", [rand(np.int32, (2, 3, 4))] + ([np.array(k)] if k is not None else []), dict(upper=up), opset=14, reference=True)
for t, a, b, d in [(np.int32, 3, 17, 4), (np.int64, 5, -6, -3), (np.float32, 0, 1, 0.3), (np.float64, 1, -1, -0.25), (np.int16, 0, 5, 1), (np.int64, 3, 3, 1), (np.int64, 3, 1, 1), (np.float32, 2, 1, 0.5)]:
    case(f"Range_{t.__name__}_{a}_{b}", "Range", [np.array(a, t), np.array(b, t), np.array(d, t)], opset=11)
case("Range_zero", "Range", [np.array(0), np.array(5), np.array(0)], opset=11, fails=True)
for mode in ["linear", "circular"]:
    for axis in [-2, 1, 2]:
        s = [2, 4, 5, 3]
        u = list(s)
        u[axis] = 2
        case(f"TensorScatter_{mode}_{axis}", "TensorScatter", [rand(np.float32, s), rand(np.float32, u), np.array([2, 1])], dict(mode=mode, axis=axis), opset=24, reference=True)
case("TensorScatter_round", "TensorScatter", [rand(np.float32, (2, 4, 3)), rand(np.float32, (2, 3, 3)), np.array([2, 9])], dict(mode="circular"), opset=24, reference=True)
case("TensorScatter_string", "TensorScatter", [np.array([["a", "b", "c"]], dtype=object), np.array([["x"]], dtype=object), np.array([1])], dict(axis=1), opset=24, reference=True)
case("Trilu_bool", "Trilu", [np.ones((3, 3), bool)], opset=14)
case("TensorScatter_beyond", "TensorScatter", [rand(np.float32, (2, 4, 3)), rand(np.float32, (2, 3, 3)), np.array([2, 0])], opset=24, reference=True, fails=True)
case("SwiGLU", "SwiGLU", [rand(np.float64, (2, 5)), rand(np.float64, (2, 5))], dict(alpha=1.5), opset=28, reference=True)
write(sys.argv[1])
