"""Records golden.json.gz of runtime/ops/shape: python record.py golden.json.gz"""
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../golden"))
from record import Tensor, case, write  # noqa: E402

rng = np.random.default_rng(11)
F, I = np.float32, np.int64
KINDS = [np.float32, np.int64, np.uint8, np.float64, np.int32, np.bool_, np.float16, object]
count = {}


def data(shape, kind=np.float32):
    n = int(np.prod(shape))
    if kind is object:
        return np.array([f"s{i}" for i in rng.integers(0, 50, n)], dtype=object).reshape(shape)
    if kind is np.bool_:
        return rng.random(shape) < 0.5
    if np.issubdtype(kind, np.floating):
        return rng.normal(size=shape).astype(kind)
    return rng.integers(0, 100, shape).astype(kind)


def ints(*v):
    return np.array(v, I)


def c(op, inputs, opset, outs=(1,), reference=False, fails=None, **attrs):
    count[op] = count.get(op, 0) + 1
    return case(f"{op}_{count[op]}", op, inputs, attrs, "", opset, outs, 1e-5, 1e-6, reference, fails)


def views():
    for shape, want, zero in [((2, 3, 4), (4, -1), 0), ((2, 3, 4), (0, -1, 2), 0), ((0, 3), (3, 0), 1),
                              ((), (1, 1), 0), ((6,), (), None), ((1,), (), 0), ((2, 3), (3, 3), None), ((2, 3), (-1, -1), None), ((4,), (0, 2, 2), None)]:
        c("Reshape", [data(shape), np.array(want, I)], 14, fails=True if zero is None else None, allowzero=zero or 0)
        if not zero:
            c("Reshape", [data(shape, np.int32), np.array(want, I)], 5, fails=True if zero is None else None)
    for axis in range(-3, 4):
        c("Flatten", [data((2, 3, 4))], 13, axis=axis)
    c("Flatten", [data((2, 3, 4))], 13, fails=True, axis=4)
    c("Flatten", [data(())], 13, axis=0)
    c("Flatten", [data((2, 0, 3))], 9)
    for opset in (11, 13):
        for axes in ([0], [-1], [0, 3], [2, 0]):
            args = ([data((1, 2, 1, 1))], {"axes": axes}) if opset == 11 else ([data((1, 2, 1, 1)), np.array(axes, I)], {})
            c("Squeeze", args[0], opset, **args[1])
        for axes in ([0], [-1], [1, 3], [3, 0, 1], [-1, 0]):
            args = ([data((2, 3))], {"axes": axes}) if opset == 11 else ([data((2, 3)), np.array(axes, I)], {})
            c("Unsqueeze", args[0], opset, **args[1])
        c("Squeeze", [data((1, 2, 1))], opset)
    c("Squeeze", [data((1, 2)), ints(1)], 13, fails=True)
    c("Unsqueeze", [data((2,)), ints(0, 0)], 13, fails=True)
    c("Unsqueeze", [data((2,)), ints(3)], 13, fails=True)
    for k in KINDS:
        c("Transpose", [data((2, 3, 4), k)], 13, perm=[2, 0, 1])
        c("Transpose", [data((3, 5), k)], 1)
    for perm in ([0, 1, 2, 3], [0, 2, 1, 3], [3, 2, 1, 0], [1, 0, 3, 2]):
        c("Transpose", [data((2, 3, 1, 5))], 13, perm=perm)
    c("Transpose", [data((2, 0, 3))], 13, perm=[1, 2, 0])
    c("Transpose", [data((2, 3))], 13, fails=True, perm=[0, 0])


def joins():
    for k in KINDS:
        c("Concat", [data((2, 1, 3), k), data((2, 4, 3), k), data((2, 0, 3), k)], 13, axis=-2)
    c("Concat", [data((2, 3)), data((1, 3))], 4, axis=0)
    c("Concat", [data((2, 3)), data((3, 3))], 13, fails=True, axis=1)
    for k in KINDS:
        c("Split", [data((2, 7), k), ints(3, 0, 4)], 13, (1, 1, 1), axis=1)
    c("Split", [data((6, 2))], 11, (1, 1, 1), axis=-2)
    c("Split", [data((6, 2))], 2, (1, 1), split=[2, 4])
    c("Split", [data((7, 2))], 18, (1, 1, 1), num_outputs=3, axis=0)
    c("Split", [data((6, 2))], 13, (1, 1, 1))
    c("Split", [data((7, 2))], 13, (1, 1, 1), fails=True)
    c("Split", [data((7, 2)), ints(3, 3)], 13, (1, 1), fails=True)


def slices():
    big = np.iinfo(I)
    x = data((5, 6, 7))
    for opset in (10, 13):
        for s, e, a, t in [((1, 0), (4, 6), (0, 2), (1, 2)), ((-1,), (-100,), (1,), (-2,)), ((big.max,), (big.min,), (2,), (-1,)), ((3,), (1,), (0,), (1,)),
                           ((0,), (big.max,), (-1,), (3,)), ((-3, 2), (-1, 100), (1, 0), (1, 1)), ((-100,), (2,), (1,), (1,)), ((4,), (-100,), (0,), (-3,)),
                           ((10,), (-10,), (0,), (-1,)), ((0,), (5,), (0,), (big.max,))]:
            c("Slice", [x, np.array(s, I), np.array(e, I), np.array(a, I), np.array(t, I)], opset)
    c("Slice", [x, np.array([1, 1], np.int32), np.array([3, -1], np.int32)], 10)
    c("Slice", [x, ints(1), ints(3), None, ints(2)], 13, reference=True)
    c("Slice", [x], 1, starts=[0, -4], ends=[-1, 1000], axes=[0, 2])
    c("Slice", [x], 1, starts=[1, 2, 3], ends=[2, 4, 6])
    c("Slice", [x, ints(1), ints(3), ints(0), ints(0)], 13, fails=True)
    c("Slice", [x, ints(1), ints(3), ints(3)], 13, fails=True)
    for k in KINDS:
        c("Slice", [data((4, 5), k), ints(3, 0), ints(0, 5), ints(0, 1), ints(-1, 2)], 13, reference=k is object)


def gathers():
    for k in KINDS:
        c("Gather", [data((3, 4, 2), k), np.array([[0, -1], [2, 1]], I)], 13, reference=k is object, axis=-2)
        c("GatherElements", [data((3, 4), k), rng.integers(-4, 4, (2, 3)).astype(np.int32)], 13, axis=1)
        c("GatherND", [data((2, 3, 4), k), np.array([[0, 1], [-1, 2]], I)], 13)
        c("ScatterElements", [data((3, 4), k), np.array([[0, -1], [2, 1]], I), data((2, 2), k)], 13, axis=1)
        c("ScatterND", [data((4, 3), k), np.array([[1], [3]], I), data((2, 3), k)], 13)
    c("Gather", [data((3, 4)), np.array(1, I)], 1)
    c("Gather", [data((5,)), np.zeros((0, 2), I)], 11)
    c("Gather", [data((3, 4)), np.array([3], np.int32)], 13, fails=True)
    c("Gather", [data((3, 4)), np.array([-4], np.int32)], 13, fails=True)
    c("GatherElements", [data((3, 4, 2)), rng.integers(0, 3, (3, 2, 2)).astype(I)], 11)
    c("GatherElements", [data((3, 4)), np.array([[4]], I)], 11, fails=True, axis=1)
    c("GatherND", [data((2, 3, 4)), rng.integers(0, 3, (2, 5, 1)).astype(I)], 12, batch_dims=1)
    c("GatherND", [data((2, 3, 4)), rng.integers(0, 4, (2, 3, 2, 1)).astype(I)], 13, batch_dims=2)
    c("GatherND", [data((2, 3)), np.array([[2, 0]], I)], 13, fails=True)
    c("Scatter", [data((3, 3)), np.array([[1, 0, 2], [0, 2, 1]], I), data((2, 3))], 9)
    c("ScatterElements", [data((3, 3)), np.array([[3]], I), data((1, 1))], 13, fails=True)
    c("ScatterND", [data((3, 3)), np.array([[0, 3]], I), data((1,))], 13, fails=True)
    for mode in ("add", "mul", "max", "min"):
        opset = 16 if mode in ("add", "mul") else 18
        for k in (np.float32, np.float64, np.int64, np.int32):
            c("ScatterElements", [data((4, 3), k), np.array([[1, 1, 0], [1, 0, 0], [1, 2, -1]], I), data((3, 3), k)], opset, reference=True, reduction=mode)
            c("ScatterND", [data((4, 3), k), np.array([[1], [1], [-2]], I), data((3, 3), k)], opset, reference=True, reduction=mode)
    c("ScatterND", [data((2, 3, 4)), np.array([[[0, 1], [1, 2]]], I), data((1, 2, 4))], 11)


def fills():
    x = data((2, 3, 4))
    for mode in ("constant", "reflect", "edge", "wrap"):
        opset = 19 if mode == "wrap" else 13
        for pads in [(0, 1, 2, 1, 0, 3), (1, 0, 0, 0, 2, 0), (0, 0, 0, 0, 0, 0), (1, 2, 3, 1, 2, 3)]:
            c("Pad", [x, np.array(pads, I)], opset, mode=mode)
    c("Pad", [x, ints(0, -1, 2, 0, 1, -3), np.array(7, F)], 13)
    c("Pad", [x, ints(1, -1), np.array(3, F), np.array([-1], np.int32)], 18)
    c("Pad", [x, ints(1, 2, 0, 1), None, ints(2, 0)], 18, mode="edge")
    c("Pad", [x], 2, pads=[0, 1, 0, 0, 0, 2], value=1.5)
    c("Pad", [x], 2, pads=[0, 1, 0, 0, 0, 2], mode="reflect")
    c("Pad", [x], 1, reference=True, paddings=[0, 1, 0, 0, 0, 2])
    c("Pad", [data((0, 2)), ints(1, 0, 1, 0)], 13)
    c("Pad", [x, ints(0, 0, 1)], 13, fails=True)
    c("Pad", [data((5,)), ints(11, 13)], 19, reference=True, mode="reflect")
    c("Pad", [data((3,)), ints(7, 8)], 19, mode="wrap")
    for k in (np.int64, np.int32, np.float64, np.uint8, np.bool_):
        c("Pad", [data((2, 2), k), ints(1, 0, 0, 1), np.array(1, k)], 13)
    for k in (np.float32, np.int64, np.uint8, np.bool_, object):
        c("Tile", [data((2, 3), k), ints(2, 3)], 13)
        c("Expand", [data((3, 1), k), ints(2, 1, 4)], 13, reference=k is object)
    c("Tile", [data((2, 0)), ints(3, 2)], 13)
    c("Tile", [data((2, 3)), ints(0, 2)], 6)
    c("Tile", [data((2, 3)), ints(2)], 13, fails=True)
    c("Expand", [data(()), ints(2, 3)], 8)
    c("Expand", [data((2, 3)), ints(1, 1)], 13)
    c("Expand", [data((2, 3)), ints(4, 3)], 13, fails=True)
    for k in (np.float32, np.int64, np.float16, np.bool_, np.uint8):
        c("ConstantOfShape", [ints(2, 3)], 9, value=Tensor(np.array([1], k)))
    c("ConstantOfShape", [np.zeros(0, I)], 9)
    c("ConstantOfShape", [ints(0, 4)], 20)
    c("ConstantOfShape", [ints(-1)], 9, fails=True)
    c("EyeLike", [data((3, 5))], 9, k=1)
    c("EyeLike", [data((4, 3))], 9, k=-2, dtype=7)
    c("EyeLike", [data((2, 2), np.int32)], 22)
    c("Shape", [data((2, 3, 4))], 1)
    for a in ({"start": 1}, {"end": -1}, {"start": -2, "end": 10}, {"start": 2, "end": 1}, {"start": -10}):
        c("Shape", [data((2, 3, 4))], 15, **a)
    c("Size", [data((2, 3, 4))], 13)
    c("Size", [data(())], 1)
    for k, v in (("value_float", 1.5), ("value_floats", [1.5, 2.0]), ("value_int", 3), ("value_ints", [3, 4]), ("value_string", "a"), ("value_strings", ["a", "b"])):
        c("Constant", [], 13, **{k: v})
    c("Constant", [], 1, value=Tensor(data((2, 2))))


def casts():
    f = np.array([[1.0, -1.5, 0.25], [1e10, 3.99, -0.0]], F)
    for to in (1, 10, 11, 7, 6, 9, 8):
        for x in (f if to not in (6, 7) else f % 100, data((2, 3), np.int64), data((2, 3), np.bool_), data((2, 3), np.uint8), f.astype(np.float64) % 50, f.astype(np.float16)):
            c("Cast", [x], 13, reference=to == 8, to=to)
    wide = np.array([-129, 255, 256, 70000, -70000, 2**31, -(2**40)], I)
    for to in (2, 3, 4, 5, 6, 12, 13, 1, 9):
        c("Cast", [wide], 13, to=to)
    c("Cast", [np.array(["1.5", "-2", "nan", "INF", "-inf", "1e-3"], dtype=object)], 13, to=1)
    c("Cast", [np.array(["15", "-2", "0"], dtype=object)], 13, to=7)
    c("Cast", [np.array([2**64 - 1, 2**63, 1], np.uint64)], 13, to=8, reference=True)
    c("Cast", [np.array([1e-5, 1e16, 123456.789, 1e-4, 0.1, 1.0, np.nan, np.inf, -np.inf, 1e22, -0.0], np.float64)], 13, to=8, reference=True)
    c("Cast", [np.array([1e-4, 0.1, 3e-5, 12345.67, 1e6, 999999, 16777216, 1 / 3, 5e-41], F)], 13, to=8, reference=True)
    c("Cast", [np.array([0.1, 1 / 3, 999, 1000, 2048, 65504, 6e-8], np.float16)], 13, to=8, reference=True)
    c("Cast", [np.array(["x"], dtype=object)], 13, to=1, fails=True)
    c("Cast", [f], 6, to=7)
    c("CastLike", [f, data((1,), np.int64)], 15, reference=True)
    c("BitCast", [np.array([1.0, -2.0], F)], 26, reference=True, to=6)
    c("BitCast", [np.array([1, -2], np.int16)], 26, reference=True, to=10)
    c("BitCast", [np.array([1, -2], np.int16)], 26, reference=True, fails=True, to=1)


def picks():
    for axis in (-1, 0, 1, -2):
        c("OneHot", [np.array([[0, 2], [-1, 7]], I), np.array(4, I), np.array([2, 5], F)], 11, axis=axis)
    c("OneHot", [np.array([0, 2, -4], np.int32), np.array(3, np.int32), np.array([0, 1], F)], 9)
    for k in (np.float32, np.int64, np.bool_, np.uint8):
        c("NonZero", [(data((3, 4), k).astype(F) > 0.3).astype(k)], 13)
    c("NonZero", [np.zeros((2, 2), F)], 9)
    for k in (np.float32, np.int64, np.int8, np.float64, object):
        x = rng.integers(0, 4, (3, 4)).astype(np.int64)
        x = np.array([f"s{i}" for i in x.ravel()], dtype=object).reshape(x.shape) if k is object else x.astype(k)
        for s in (0, 1):
            c("Unique", [x], 11, (1, 1, 1, 1), sorted=s)
    y = np.array([[1, 0, 0, 1], [1, 0, 0, 1], [2, 3, 3, 2]], F)
    for axis in (0, 1, -1):
        for s in (0, 1):
            c("Unique", [y], 11, (1, 1, 1, 1), axis=axis, sorted=s)
    c("Unique", [data((5,))], 11, (1, 0, 1))
    for k in KINDS:
        c("Compress", [data((3, 4), k), np.array([True, False, True])], 11, axis=0)
    c("Compress", [data((3, 4)), np.array([False, True, True])], 9, axis=1)
    c("Compress", [data((3, 4)), rng.random(9) < 0.5], 11)
    c("Compress", [data((3, 4)), np.array([False])], 11, axis=-1)
    for k in (np.float32, np.int64, object):
        c("ReverseSequence", [data((4, 3, 2), k), ints(4, 1, 2)], 10, reference=k is object)
        c("ReverseSequence", [data((3, 4), k), ints(2, 4, 1)], 10, batch_axis=0, time_axis=1)
    c("ReverseSequence", [data((4, 3)), ints(5, 1, 2)], 10, fails=True)
    for mode in ("DCR", "CRD"):
        c("DepthToSpace", [data((2, 8, 2, 3))], 13, blocksize=2, mode=mode)
        c("SpaceToDepth", [data((1, 2, 4, 6))], 28, reference=True, blocksize=2, mode=mode)
    c("DepthToSpace", [data((1, 18, 1, 2))], 1, blocksize=3)
    c("SpaceToDepth", [data((1, 2, 6, 3))], 13, blocksize=3)
    c("DepthToSpace", [data((1, 6, 1, 2))], 13, fails=True, blocksize=2)
    for want in ((10, 7), (3, 7), (3, 2), (4, 4), (0, 9)):
        c("CenterCropPad", [data((6, 5)), np.array(want, I)], 18)
    c("CenterCropPad", [data((6, 5, 3)), ints(7, 2)], 18, axes=[-1, 0])
    c("Identity", [data((2, 3), object)], 13)


def boxes():
    for center in (0, 1):
        for n, limit, iou, score in [(6, 3, 0.5, None), (20, 5, 0.3, 0.2), (10, 0, 0.5, 0.1), (30, 30, 0.0, 0.5)]:
            b = rng.random((2, n, 4)).astype(F)
            if center:
                b[..., 2:] *= 0.5
            s = rng.permutation(2 * 3 * n).reshape(2, 3, n).astype(F) / (6 * n)
            args = [b, s, ints(limit), np.array([iou], F)]
            c("NonMaxSuppression", args + ([np.array([score], F)] if score is not None else []), 11, center_point_box=center)


for group in (views, joins, slices, gathers, fills, casts, picks, boxes):
    group()
write(sys.argv[1])
