"""Records golden.json.gz of runtime/ops/reduce: python record.py golden.json.gz"""
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../golden"))
from record import case, write  # noqa: E402

rng = np.random.default_rng(12)


def rand(t, s):
    if t == np.bool_:
        return rng.random(s) < 0.5
    if np.issubdtype(t, np.integer):
        i = np.iinfo(t)
        return np.asarray(rng.integers(max(-50, i.min), 50, s)).astype(t)
    return np.asarray(rng.normal(size=s) * 3).astype(t)


INTS = [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]
AXES = [None, [0], [1], [-1], [0, 2], [2, 0], [1, 2], [0, 1, 2, 3], [3]]
NAMES = {"ReduceSum": 13, "ReduceMean": 18, "ReduceProd": 18, "ReduceMax": 20, "ReduceMin": 20, "ReduceL1": 18, "ReduceL2": 18,
         "ReduceSumSquare": 18, "ReduceLogSum": 18, "ReduceLogSumExp": 18}
for op, v in NAMES.items():
    for i, axes in enumerate(AXES):
        for keep in [0, 1]:
            x = np.abs(rand(np.float32, (2, 3, 4, 2))) + 0.1
            ins = [x] + ([np.array(axes)] if axes is not None else [])
            case(f"{op}_{i}_{keep}", op, ins, dict(keepdims=keep), opset=v, reference=True, rtol=1e-4, atol=1e-5)
            a = dict(keepdims=keep) | (dict(axes=axes) if axes is not None else {})
            case(f"{op}_{i}_{keep}_attr", op, [x], a, opset=11, reference=True, rtol=1e-4, atol=1e-5)
    x = np.abs(rand(np.float64, (2, 3))) + 0.1
    case(f"{op}_noop", op, [x, np.array([], np.int64)], dict(noop_with_empty_axes=1), opset=v, reference=True)
    case(f"{op}_none", op, [x, np.array([], np.int64)], dict(noop_with_empty_axes=0), opset=v, reference=True)
    case(f"{op}_noop_left_out", op, [x], dict(noop_with_empty_axes=1), opset=v, reference=True)
    case(f"{op}_axis", op, [x, np.array([2])], opset=v, reference=True, fails=True)
    case(f"{op}_scalar", op, [np.array(3, np.float32)], opset=v, reference=True)
    if op not in ("ReduceMean", "ReduceLogSumExp", "ReduceLogSum"):
        case(f"{op}_empty", op, [np.zeros((2, 0, 3), np.float32), np.array([1])], opset=v, reference=True)
    if op not in ("ReduceMean", "ReduceLogSumExp", "ReduceLogSum", "ReduceL2"):
        # The reference widens integers in ReduceSumSquare, against its schema.
        for t in INTS if op != "ReduceSumSquare" else [np.int64, np.uint64]:
            case(f"{op}_{t.__name__}", op, [rand(t, (3, 4)), np.array([0])], opset=v, reference=True)
    if op in ("ReduceMax", "ReduceMin"):
        case(f"{op}_bool", op, [rand(np.bool_, (4, 3)), np.array([1])], opset=v, reference=True)
        case(f"{op}_big", op, [np.array([2**63, 5, 2**64 - 1], np.uint64)], opset=v, reference=True)
        case(f"{op}_nan", op, [np.array([1, np.nan, 3], np.float32)], opset=v, reference=True)
        for t in INTS:
            case(f"{op}_{t.__name__}_empty", op, [np.zeros((2, 0), t), np.array([1])], opset=v, reference=True)
    case(f"{op}_half", op, [(np.abs(rand(np.float16, (3, 4))) + np.float16(0.1)).astype(np.float16), np.array([1])], opset=v, reference=True, rtol=3e-3, atol=3e-3)
case("ReduceLogSumExp_large", "ReduceLogSumExp", [np.array([[1000, 1001], [-1000, -1002]], np.float64), np.array([1])], opset=18, reference=True)
case("ReduceLogSumExp_inf", "ReduceLogSumExp", [np.array([[np.inf, 1], [-np.inf, 2]], np.float64), np.array([1])], opset=18, reference=True)
for op in ["ArgMax", "ArgMin"]:
    for axis in [0, 1, -1]:
        for keep in [0, 1]:
            for last in [0, 1]:
                a = dict(axis=axis, keepdims=keep, select_last_index=last)
                case(f"{op}_{axis}_{keep}{last}", op, [rng.integers(0, 3, (3, 4, 5)).astype(np.float32)], a, opset=13, reference=True)
    for t in INTS + [np.float16]:
        case(f"{op}_{t.__name__}", op, [rand(t, (9,))], opset=13, reference=True)
    case(f"{op}_nan", op, [np.array([1, np.nan, 5, np.nan], np.float32)], opset=13, reference=True)
    case(f"{op}_empty", op, [np.zeros((2, 0), np.float32)], dict(axis=1), opset=13, reference=True, fails=True)
for axis in [0, 1, -1]:
    for largest in [0, 1]:
        for k in [0, 1, 3]:
            a = dict(axis=axis, largest=largest)
            case(f"TopK_{axis}_{largest}_{k}", "TopK", [rng.integers(0, 4, (3, 4, 3)).astype(np.float32), np.array([k])], a, opset=11, outs=(1, 1), reference=True)
for t in [np.int64, np.uint64, np.int32, np.float16, np.float64]:
    case(f"TopK_{t.__name__}", "TopK", [rand(t, (11,)), np.array([5])], opset=24, outs=(1, 1), reference=True)
case("TopK_beyond", "TopK", [rand(np.float32, (3,)), np.array([4])], opset=11, outs=(1, 1), fails=True)
case("TopK_negative", "TopK", [rand(np.float32, (3,)), np.array([-1])], opset=11, outs=(1, 1), fails=True)
for op in ["Softmax", "LogSoftmax", "Hardmax"]:
    for axis in [0, 1, 2, -1, -2]:
        x = rand(np.float32, (2, 3, 4))
        case(f"{op}_{axis}", op, [x], dict(axis=axis), opset=13)
        case(f"{op}_{axis}_flat", op, [x], dict(axis=axis), opset=11)
        case(f"{op}_{axis}_double", op, [x.astype(np.float64)], dict(axis=axis), opset=13)
    case(f"{op}_default", op, [x], opset=13)
    case(f"{op}_default_flat", op, [x], opset=11)
    case(f"{op}_axis", op, [x], dict(axis=3), opset=13, fails=True)
    case(f"{op}_empty", op, [np.zeros((0, 3), np.float32)], opset=13)
    case(f"{op}_large", op, [np.array([[1e4, 1e4 + 1, -1e4]], np.float32)], opset=13)
case("Softmax_masked", "Softmax", [np.array([[1, -np.inf, 2]], np.float32)], opset=13)
for p in [1, 2]:
    for axis in [0, 1, -1]:
        x = rand(np.float32, (2, 3, 4))
        case(f"LpNormalization_{p}_{axis}", "LpNormalization", [np.abs(x) if p == 1 else x], dict(p=p, axis=axis), opset=22, reference=True)
case("LpNormalization_signs", "LpNormalization", [x], dict(p=1), opset=1)
case("LpNormalization_zero", "LpNormalization", [np.zeros((2, 3), np.float32)], opset=22, reference=True)
for axes in [None, [0, 2], [1], [0, 1, 2, 3]]:
    case(f"MeanVarianceNormalization_{axes}", "MeanVarianceNormalization", [rand(np.float32, (2, 3, 4, 5))], dict(axes=axes) if axes else {}, opset=13)
write(sys.argv[1])
