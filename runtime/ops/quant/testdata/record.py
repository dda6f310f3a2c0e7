"""Records golden.json.gz of runtime/ops/quant: python record.py golden.json.gz"""
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../golden"))
from record import case, write  # noqa: E402

rng = np.random.default_rng(5)
F = np.float32
count = {}


def c(op, inputs, opset, outs=(1,), reference=False, fails=None, **attrs):
    count[op] = count.get(op, 0) + 1
    return case(f"{op}_{count[op]}", op, inputs, attrs, "", opset, outs, 1e-5, 1e-6, reference, fails)


def real(*shape, k=F, spread=3):
    return (rng.normal(size=shape) * spread).astype(k)


def scale(*shape, k=F):
    return np.asarray(rng.random(shape) * 0.1 + 0.01, k)


def whole(k, *shape):
    i = np.iinfo(k)
    return rng.integers(i.min, i.max + 1, shape).astype(k)


def linear():
    for k in (np.uint8, np.int8, np.uint16, np.int16):
        opset = 21 if k in (np.uint16, np.int16) else 13
        z = np.array(7, k)
        c("QuantizeLinear", [real(3, 4), scale(), z], opset)
        c("QuantizeLinear", [real(2, 3, 4), scale(3), whole(k, 3)], opset, axis=1)
        c("QuantizeLinear", [real(2, 3, 4), scale(4), whole(k, 4)], opset, axis=-1)
        c("DequantizeLinear", [whole(k, 3, 4), scale(), z], opset)
        c("DequantizeLinear", [whole(k, 2, 3, 4), scale(2), whole(k, 2)], opset, axis=0)
        c("DequantizeLinear", [whole(k, 2, 3, 4), scale(3)], opset)
        for shape, blocks, axis, size in (((2, 6, 3), (2, 3, 3), 1, 2), ((2, 7), (2, 3), 1, 3), ((5, 2), (2, 2), -2, 4)):
            c("QuantizeLinear", [real(*shape), scale(*blocks), whole(k, *blocks)], 21, axis=axis, block_size=size)
            c("DequantizeLinear", [whole(k, *shape), scale(*blocks), whole(k, *blocks)], 21, axis=axis, block_size=size)
    c("QuantizeLinear", [real(3, 4), scale()], 10)
    c("QuantizeLinear", [np.array([0.5, 1.5, 2.5, -0.5, 1e9, -1e9, 254.5], F), np.array(1, F), np.array(0, np.uint8)], 10)
    c("QuantizeLinear", [real(3, 4), scale(1), np.array([3], np.int8)], 10)
    c("QuantizeLinear", [real(3, 4), scale()], 21, output_dtype=3)
    c("QuantizeLinear", [real(3, 4, k=np.float16), scale(k=np.float16), np.array(3, np.int8)], 19)
    c("QuantizeLinear", [whole(np.int32, 5) // 2**20, scale(), np.array(3, np.int8)], 13, reference=True)
    c("QuantizeLinear", [real(3, 4), scale(3), np.zeros(4, np.int8)], 13, fails=True, axis=1)
    c("QuantizeLinear", [real(3, 4), scale(4), np.zeros(4, np.int8)], 13, fails=True, axis=2)
    c("DequantizeLinear", [whole(np.int32, 3, 4), scale()], 13)
    c("DequantizeLinear", [whole(np.int8, 3, 4), scale(k=np.float16), np.array(3, np.int8)], 19)
    c("DequantizeLinear", [whole(np.int8, 3, 4), scale(3), np.zeros(3, np.int8)], 13, fails=True, axis=1)
    c("DequantizeLinear", [np.zeros((0, 4), np.int8), scale(), np.array(3, np.int8)], 13)


def dynamic():
    for x in (real(3, 4), np.abs(real(5)), -np.abs(real(5)), np.array([1e-3, 2e-3], F), np.array([5], F)):
        c("DynamicQuantizeLinear", [x], 11, (1, 1, 1))
    c("DynamicQuantizeLinear", [np.zeros((2, 2), F)], 11, (1, 1, 1), reference=True)


def products():
    for a, b in (((3, 4), (4, 5)), ((2, 3, 4), (4, 2)), ((2, 1, 3, 4), (3, 4, 2)), ((1, 7), (7, 1))):
        for k in (np.uint8, np.int8):
            c("QLinearMatMul", [whole(k, *a), scale(), np.array(5, k), whole(k, *b), scale(), np.array(2, k), np.array(0.5, F), np.array(9, k)], 10)
        c("QLinearMatMul", [whole(np.uint8, *a), scale(), np.array(120, np.uint8), whole(np.int8, *b), scale(b[-1]), np.zeros(b[-1], np.int8), np.array(0.7, F), np.array(128, np.uint8)], 10)
    for x, w, attrs in [((1, 1, 7, 7), (1, 1, 1, 1), {}), ((2, 3, 8, 9), (4, 3, 3, 3), {"pads": [1, 1, 1, 1]}), ((1, 4, 8, 8), (6, 2, 3, 2), {"group": 2, "strides": [2, 1]}),
                        ((1, 3, 9, 9), (2, 3, 3, 3), {"dilations": [2, 2], "auto_pad": "VALID"}), ((1, 2, 7, 8), (3, 2, 3, 4), {"auto_pad": "SAME_UPPER", "strides": [2, 3]}),
                        ((1, 2, 7, 8), (3, 2, 2, 4), {"auto_pad": "SAME_LOWER", "strides": [2, 3]}), ((1, 4, 6, 6), (4, 1, 3, 3), {"group": 4, "pads": [0, 1, 2, 1]}), ((2, 3, 11), (4, 3, 4), {"strides": [3]})]:
        m = w[0]
        bias = rng.integers(-500, 500, m).astype(np.int32)
        c("QLinearConv", [whole(np.uint8, *x), scale(), np.array(130, np.uint8), whole(np.uint8, *w), scale(), np.array(110, np.uint8), np.array(1.3, F), np.array(120, np.uint8), bias], 10, **attrs)
        c("QLinearConv", [whole(np.uint8, *x), scale(), np.array(130, np.uint8), whole(np.int8, *w), scale(m), np.zeros(m, np.int8), np.array(1.3, F), np.array(120, np.uint8)], 10, **attrs)
        c("QLinearConv", [whole(np.int8, *x), scale(), np.array(-3, np.int8), whole(np.int8, *w), scale(m), np.zeros(m, np.int8), np.array(1.3, F), np.array(4, np.int8), bias], 10, **attrs)


for group in (linear, dynamic, products):
    group()
write(sys.argv[1])
