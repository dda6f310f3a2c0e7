"""Records golden.json.gz of runtime/ops/nn: python record.py golden.json.gz"""
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../golden"))
from record import case, write  # noqa: E402

rng = np.random.default_rng(14)


def rand(*s, t=np.float32):
    return np.asarray(rng.normal(size=s)).astype(t)


def ints(t, *s):
    i = np.iinfo(t)
    return rng.integers(i.min, i.max + 1, s).astype(t)


KW = dict(rtol=1e-4, atol=1e-5)

# Convolutions.
for i, (x, w, a) in enumerate([
    ((2, 3, 9), (4, 3, 3), {}), ((2, 3, 9), (4, 3, 3), dict(strides=[2], pads=[1, 2], dilations=[2])), ((1, 1, 5), (1, 1, 5), {}),
    ((2, 4, 7, 6), (6, 4, 3, 3), dict(pads=[1, 1, 1, 1])), ((2, 4, 7, 6), (6, 2, 3, 2), dict(group=2, strides=[2, 1], pads=[0, 1, 2, 1])),
    ((1, 6, 8, 8), (6, 1, 3, 3), dict(group=6, pads=[1, 1, 1, 1])), ((1, 6, 8, 8), (12, 1, 5, 5), dict(group=6, strides=[2, 2], dilations=[1, 1])),
    ((2, 8, 5, 5), (7, 8, 1, 1), {}), ((2, 8, 5, 5), (7, 8, 1, 1), dict(strides=[2, 2])), ((2, 8, 5, 5), (7, 8, 1, 1), dict(pads=[1, 0, 0, 1])),
    ((1, 2, 10, 10), (3, 2, 3, 3), dict(dilations=[3, 2], pads=[2, 2, 2, 2])), ((1, 2, 7, 8), (3, 2, 3, 4), dict(auto_pad="SAME_UPPER", strides=[2, 3])),
    ((1, 2, 7, 8), (3, 2, 3, 4), dict(auto_pad="SAME_LOWER", strides=[2, 3])), ((1, 2, 7, 8), (3, 2, 3, 4), dict(auto_pad="VALID", strides=[2, 3])),
    ((1, 2, 4, 5, 6), (3, 2, 2, 3, 2), dict(pads=[1, 0, 1, 0, 1, 1], strides=[1, 2, 1])), ((1, 2, 70), (3, 2, 7), dict(pads=[3, 3])), ((0, 2, 5), (3, 2, 2), {}),
    ((1, 12, 9, 10), (9, 12, 3, 3), dict(pads=[1, 1, 1, 1])), ((1, 2, 3), (3, 2, 3), dict(pads=[4, 4])),
]):
    case(f"Conv_{i}", "Conv", [rand(*x), rand(*w)], a, opset=11, **KW)
    case(f"Conv_{i}_bias", "Conv", [rand(*x), rand(*w), rand(w[0])], a, opset=11, **KW)
    if len(x) < 5 and "auto_pad" not in a and x[0]:
        case(f"ConvInteger_{i}", "ConvInteger", [ints(np.uint8, *x), ints(np.uint8, *w), np.array(7, np.uint8), np.array(9, np.uint8)], a, opset=10)
case("Conv_double", "Conv", [rand(1, 2, 6, t=np.float64), rand(3, 2, 3, t=np.float64)], opset=11)
case("Conv_half", "Conv", [rand(1, 2, 6, t=np.float16), rand(3, 2, 3, t=np.float16)], opset=11, reference=True, rtol=1e-2, atol=1e-2)
case("Conv_channels", "Conv", [rand(1, 2, 6), rand(3, 4, 3)], opset=11, fails=True)
case("Conv_group", "Conv", [rand(1, 4, 6), rand(3, 2, 3)], dict(group=2), opset=11, fails=True)
case("Conv_kernel", "Conv", [rand(1, 4, 6), rand(3, 4, 3)], dict(kernel_shape=[2]), opset=11, fails=True)
case("Conv_bias_length", "Conv", [rand(1, 2, 6), rand(3, 2, 3), rand(2)], opset=11, fails=True)
for i, (x, w, a) in enumerate([
    ((2, 3, 5), (3, 4, 3), {}), ((2, 3, 5), (3, 4, 3), dict(strides=[2], pads=[1, 1], output_padding=[1])), ((1, 4, 5, 6), (4, 3, 3, 2), dict(strides=[2, 3], dilations=[2, 1])),
    ((2, 4, 5, 6), (4, 3, 3, 3), dict(group=2, strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1])), ((1, 4, 4, 4), (4, 1, 4, 4), dict(group=4, strides=[2, 2], pads=[1, 1, 1, 1])),
    ((1, 2, 3, 4, 3), (2, 2, 2, 2, 2), dict(strides=[2, 1, 2])), ((1, 2, 4, 4), (2, 3, 3, 3), dict(auto_pad="SAME_UPPER", strides=[2, 2])),
    ((1, 2, 4, 4), (2, 3, 3, 3), dict(auto_pad="SAME_LOWER", strides=[2, 2])), ((1, 2, 4, 4), (2, 3, 4, 4), dict(strides=[2, 2], output_shape=[8, 8])),
    ((1, 2, 4, 4), (2, 3, 4, 4), dict(strides=[2, 2], output_shape=[9, 9])), ((1, 2, 4, 4), (2, 3, 4, 4), dict(strides=[2, 2], output_shape=[9, 9], auto_pad="SAME_UPPER")),
    ((1, 1, 3, 3), (1, 2, 2, 2), dict(auto_pad="VALID", strides=[3, 3])),
]):
    case(f"ConvTranspose_{i}", "ConvTranspose", [rand(*x), rand(*w)], a, opset=11, **KW)
    case(f"ConvTranspose_{i}_bias", "ConvTranspose", [rand(*x), rand(*w), rand(w[1] * a.get("group", 1))], a, opset=11, **KW)
case("ConvTranspose_channels", "ConvTranspose", [rand(1, 2, 6), rand(3, 2, 3)], opset=11, fails=True)
for i, (og, g, m) in enumerate([(1, 1, False), (2, 1, True), (1, 2, True), (2, 2, False)]):
    x, w = rand(2, 4, 6, 5), rand(4, 4 // g, 3, 2)
    a = dict(group=g, offset_group=og, pads=[1, 0, 1, 1], strides=[1, 2], dilations=[1, 1])
    oh, ow = 6 + 2 - 3 + 1, (5 + 1 - 2) // 2 + 1
    case(f"DeformConv_{i}", "DeformConv", [x, w, rand(2, og * 12, oh, ow) * 2, rand(4), rand(2, og * 6, oh, ow) if m else None][: 5 if m else 4], a, opset=19, **KW)

# Pools.
POOLS = [
    ((2, 3, 9), dict(kernel_shape=[3])), ((2, 3, 9), dict(kernel_shape=[3], strides=[2], pads=[1, 1])), ((1, 2, 7, 8), dict(kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1])),
    ((1, 2, 7, 8), dict(kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)), ((1, 2, 7, 8), dict(kernel_shape=[2, 3], strides=[2, 3], pads=[1, 1, 1, 1], ceil_mode=1)),
    ((1, 2, 7, 8), dict(kernel_shape=[3, 3], auto_pad="SAME_UPPER", strides=[2, 2])), ((1, 2, 7, 8), dict(kernel_shape=[3, 3], auto_pad="SAME_LOWER", strides=[2, 2])),
    ((1, 2, 7, 8), dict(kernel_shape=[3, 3], auto_pad="VALID", strides=[2, 2])), ((1, 2, 5, 6, 4), dict(kernel_shape=[2, 3, 2], strides=[1, 2, 1], pads=[0, 1, 1, 1, 1, 0])),
    ((1, 1, 9, 9), dict(kernel_shape=[3, 3], dilations=[2, 2])), ((1, 1, 9, 10), dict(kernel_shape=[3, 2], dilations=[2, 3], strides=[2, 2], pads=[1, 1, 1, 1])),
]
for i, (x, a) in enumerate(POOLS):
    v = rand(*x)
    case(f"MaxPool_{i}", "MaxPool", [v], a, opset=12, outs=(1, 1))
    case(f"MaxPool_{i}_order", "MaxPool", [v], a | dict(storage_order=1), opset=12, outs=(1, 1))
    case(f"MaxPool_{i}_int8", "MaxPool", [ints(np.int8, *x)], a, opset=12)
    case(f"AveragePool_{i}", "AveragePool", [v], a, opset=19, **KW)
    case(f"AveragePool_{i}_padded", "AveragePool", [v], a | dict(count_include_pad=1), opset=19, **KW)
    if "ceil_mode" not in a:
        case(f"LpPool_{i}", "LpPool", [v], a | dict(p=3), opset=18, **KW)
case("MaxPool_kernel", "MaxPool", [rand(1, 1, 5)], dict(kernel_shape=[2, 2]), opset=12, fails=True)
for op, a in [("GlobalAveragePool", {}), ("GlobalMaxPool", {}), ("GlobalLpPool", dict(p=3))]:
    for x in [(2, 3, 5), (2, 3, 4, 5), (1, 2, 2, 3, 4)]:
        case(f"{op}_{len(x)}", op, [rand(*x)], a, opset=2, **KW)
for i, (a, more) in enumerate([(dict(kernel_shape=[2, 2], strides=[2, 2]), []), (dict(kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1]), [])]):
    case(f"MaxUnpool_{i}", "MaxUnpool", [rand(1, 2, 3, 3), rng.permutation(72)[:18].reshape(1, 2, 3, 3).astype(np.int64)] + more, a, opset=11)

# Normalisations.
for s in [(2, 3), (2, 3, 4), (2, 3, 4, 5)]:
    x = rand(*s)
    p = [rand(3), rand(3), rand(3), np.abs(rand(3)) + 0.1]
    case(f"BatchNormalization_{len(s)}", "BatchNormalization", [x] + p, dict(epsilon=1e-3), opset=15, **KW)
    case(f"BatchNormalization_{len(s)}_9", "BatchNormalization", [x] + p, opset=9, **KW)
    case(f"BatchNormalization_{len(s)}_training", "BatchNormalization", [x] + p, dict(training_mode=1, momentum=0.7), opset=15, outs=(1, 1, 1), reference=True, **KW)
    case(f"BatchNormalization_{len(s)}_length", "BatchNormalization", [x, rand(4)] + p[1:], opset=15, fails=True)
    if len(s) > 2:
        case(f"InstanceNormalization_{len(s)}", "InstanceNormalization", [x, rand(3), rand(3)], opset=6, **KW)
for axis in [-1, 1, 0, 2]:
    x = rand(2, 3, 4)
    s = x.shape[axis:] if axis != -1 else (4,)
    case(f"LayerNormalization_{axis}", "LayerNormalization", [x, rand(*s), rand(*s)], dict(axis=axis), opset=17, outs=(1, 1, 1), **KW)
    case(f"LayerNormalization_{axis}_bare", "LayerNormalization", [x, rand(*s)], dict(axis=axis, epsilon=1e-2), opset=17, **KW)
    case(f"RMSNormalization_{axis}", "RMSNormalization", [x, rand(*s)], dict(axis=axis), opset=23, reference=True, **KW)
for g in [1, 2, 4]:
    case(f"GroupNormalization_{g}", "GroupNormalization", [rand(2, 4, 3, 2), rand(4), rand(4)], dict(num_groups=g), opset=21, **KW)
    case(f"GroupNormalization_{g}_18", "GroupNormalization", [rand(2, 4, 3, 2), rand(g), rand(g)], dict(num_groups=g), opset=18, **KW)
for n in [1, 2, 3, 5]:
    case(f"LRN_{n}", "LRN", [rand(2, 6, 3, 2)], dict(size=n, alpha=0.1, beta=0.6, bias=1.5), opset=13, **KW) if n % 2 else None

# Resampling.
f32 = lambda *v: np.array(v, np.float32)  # noqa: E731
for coord in ["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"]:
    for mode, more in [("linear", {}), ("cubic", {}), ("cubic", dict(cubic_coeff_a=-0.5, exclude_outside=1)), ("nearest", {}), ("nearest", dict(nearest_mode="floor")),
                       ("nearest", dict(nearest_mode="ceil")), ("nearest", dict(nearest_mode="round_prefer_ceil"))]:
        for k, scale in enumerate([(1, 1, 2, 2), (1, 1, 0.6, 0.8), (1, 1, 1.7, 3)]):
            a = dict(mode=mode, coordinate_transformation_mode=coord, **more)
            name = f"Resize_{coord}_{mode}_{'_'.join(map(str, more.values()))}_{k}"
            case(name, "Resize", [rand(1, 2, 5, 4), None, f32(*scale)], a, opset=19, reference=True, rtol=1e-4, atol=1e-5)
for mode in ["linear", "cubic"]:
    for k, size in enumerate([(1, 1, 3, 2), (1, 1, 7, 3)]):
        case(f"Resize_antialias_{mode}_{k}", "Resize", [rand(1, 1, 6, 5), None, None, np.array(size)], dict(mode=mode, antialias=1), opset=19, reference=True, **KW)
for policy in ["stretch", "not_larger", "not_smaller"]:
    case(f"Resize_{policy}", "Resize", [rand(1, 1, 6, 5), None, None, np.array([9, 4])], dict(mode="linear", axes=[3, 2], keep_aspect_ratio_policy=policy), opset=19, reference=True, **KW)
case("Resize_crop", "Resize", [rand(1, 1, 6, 5), f32(0, 0, 0.2, -0.3, 1, 1, 0.9, 1.2), None, np.array([1, 1, 4, 7])], dict(mode="linear", coordinate_transformation_mode="tf_crop_and_resize", extrapolation_value=7.0), opset=19, reference=True, **KW)
case("Resize_crop_axes", "Resize", [rand(1, 2, 6, 5), f32(0.2, -0.3, 0.9, 1.2), None, np.array([4, 7])], dict(mode="linear", axes=[2, 3], coordinate_transformation_mode="tf_crop_and_resize"), opset=19, reference=True, **KW)
case("Resize_10", "Resize", [rand(1, 1, 3, 4), f32(1, 1, 2, 1.5)], dict(mode="nearest"), opset=10)
case("Resize_10_linear", "Resize", [rand(1, 1, 3, 4), f32(1, 1, 2, 1.5)], dict(mode="linear"), opset=10, **KW)
case("Resize_uint8", "Resize", [ints(np.uint8, 1, 1, 4, 4), None, f32(1, 1, 2, 2)], dict(mode="cubic"), opset=19, reference=True)
case("Resize_neither", "Resize", [rand(1, 1, 3, 4)], opset=19, fails=True)
case("Resize_scales", "Resize", [rand(1, 1, 3, 4), None, f32(1, 1, 2)], opset=19, fails=True)
case("Upsample_7", "Upsample", [rand(1, 1, 3, 4)], dict(scales=[1.0, 1.0, 2.0, 3.0]), opset=7)
case("Upsample_9", "Upsample", [rand(1, 1, 3, 4), f32(1, 1, 2, 3)], dict(mode="linear"), opset=9, **KW)
for mode in ["linear", "nearest", "cubic"]:
    for pad in ["zeros", "border", "reflection"]:
        for align in [0, 1]:
            a = dict(mode=mode, padding_mode=pad, align_corners=align)
            case(f"GridSample_{mode}_{pad}_{align}", "GridSample", [rand(2, 2, 5, 4), rand(2, 3, 6, 2)], a, opset=20, reference=True, rtol=1e-3, atol=1e-4)
            if mode != "cubic":
                case(f"GridSample_{mode}_{pad}_{align}_3d", "GridSample", [rand(1, 1, 3, 5, 4), rand(1, 2, 3, 2, 3)], a, opset=20, reference=True, rtol=1e-3, atol=1e-4)
for align in [0, 1]:
    case(f"AffineGrid_{align}", "AffineGrid", [rand(2, 2, 3), np.array([2, 3, 4, 5])], dict(align_corners=align), opset=20, **KW)
    case(f"AffineGrid_{align}_3d", "AffineGrid", [rand(1, 3, 4), np.array([1, 3, 4, 5, 2])], dict(align_corners=align), opset=20, **KW)
case("Col2Im", "Col2Im", [rand(2, 6, 12), np.array([5, 4]), np.array([2, 1])], dict(pads=[0, 0, 0, 0], strides=[2, 1], dilations=[1, 1]), opset=18, fails=True)
case("Col2Im_2d", "Col2Im", [rand(2, 12, 12), np.array([4, 6]), np.array([2, 3])], opset=18, **KW)
case("Col2Im_pads", "Col2Im", [rand(1, 8, 9), np.array([5, 5]), np.array([2, 2])], dict(pads=[1, 0, 0, 1], strides=[2, 2], dilations=[1, 1]), opset=18, **KW)
boxes = np.array([[0, 0, 7, 7], [1.5, 2.2, 6.3, 5.1], [-2, -1, 3, 4], [5, 5, 20, 30]], np.float32)
for mode in ["avg", "max"]:
    for ratio in [0, 2]:
        for coord in ["half_pixel", "output_half_pixel"]:
            a = dict(mode=mode, sampling_ratio=ratio, output_height=3, output_width=2, spatial_scale=0.8, coordinate_transformation_mode=coord)
            case(f"RoiAlign_{mode}_{ratio}_{coord}", "RoiAlign", [rand(2, 2, 8, 8), boxes, np.array([0, 1, 1, 0])], a, opset=16, reference=True, **KW)
rois = np.array([[0, 0, 0, 7, 7], [1, 1, 2, 6, 5], [0, 6, 6, 3, 3], [1, 5, 5, 20, 30]], np.float32)
case("MaxRoiPool", "MaxRoiPool", [rand(2, 2, 8, 8), rois], dict(pooled_shape=[3, 2]), opset=1)
case("MaxRoiPool_scale", "MaxRoiPool", [rand(2, 2, 8, 8), rois], dict(pooled_shape=[2, 2], spatial_scale=0.5), opset=1)

# Attention.
def attention(name, q, k, v, mask=None, pk=None, pv=None, valid=None, outs=(1,), opset=23, **a):
    ins = [rand(*q), rand(*k), rand(*v), mask, pk, pv, valid]
    while ins[-1] is None:
        ins.pop()
    case(f"Attention_{name}", "Attention", ins, a, opset=opset, outs=outs, reference=True, **KW)


Q, K, V = (2, 4, 3, 8), (2, 2, 5, 8), (2, 2, 5, 6)
four = (1, 1, 1, 1)
past = dict(pk=rand(2, 2, 3, 8), pv=rand(2, 2, 3, 6))
attention("gqa", Q, K, V)
attention("scale", Q, K, V, scale=0.3, softcap=2.0)
attention("causal_past", Q, K, V, is_causal=1, outs=four, **past)
for mode in range(4):
    attention(f"mode_{mode}", Q, K, V, mask=rand(3, 8), outs=four, qk_matmul_output_mode=mode, is_causal=1, **past)
    attention(f"mode_{mode}_flat", (2, 3, 32), (2, 5, 16), (2, 5, 12), q_num_heads=4, kv_num_heads=2, outs=four, qk_matmul_output_mode=mode)
for s in [(5,), (3, 5), (4, 3, 5), (1, 1, 3, 5), (2, 4, 1, 5), (2, 1, 3, 5)]:
    attention(f"mask_{len(s)}_{s[0]}", Q, K, V, mask=rand(*s))
    attention(f"mask_{len(s)}_{s[0]}_bool", Q, K, V, mask=rng.random(s) < 0.6)
attention("short_mask", Q, K, V, mask=rand(3, 4), opset=24, valid=np.array([4, 2]))
attention("valid_causal", Q, K, V, opset=24, valid=np.array([5, 2]), is_causal=1)
for l, r in [(1, 0), (0, 2), (-1, 1), (2, -1)]:
    attention(f"window_{l}_{r}", Q, K, V, opset=25, left_window_size=l, right_window_size=r)
    attention(f"window_{l}_{r}_past", Q, K, V, opset=25, left_window_size=l, right_window_size=r, is_causal=1, **past)
for rule in ["linear", "gated", "delta", "gated_delta"]:
    for wide in [False, True]:
        n = 2 * 4 if wide else 2
        ins = [rand(2, 3, 16), rand(2, 3, 8), rand(2, 3, 6), rand(2, 2, 4, 3), -np.abs(rand(2, 3, n)) if "gated" in rule else None, rand(2, 3, 1 if wide else 2) if "delta" in rule else None]
        while ins[-1] is None:
            ins.pop()
        case(f"LinearAttention_{rule}_{wide}", "LinearAttention", ins, dict(q_num_heads=4, kv_num_heads=2, update_rule=rule), opset=27, outs=(1, 1), reference=True, **KW)
for act in ["none", "silu"]:
    case(f"CausalConvWithState_{act}", "CausalConvWithState", [rand(2, 3, 5), rand(3, 1, 4), rand(3), rand(2, 3, 3)], dict(activation=act), opset=27, outs=(1, 1), reference=True, **KW)
case("CausalConvWithState_one", "CausalConvWithState", [rand(2, 3, 5), rand(3, 1, 1)], opset=27, outs=(1, 1), reference=True, **KW)
for inter in [0, 1]:
    for dim in [0, 4]:
        a = dict(interleaved=inter, rotary_embedding_dim=dim)
        half = (dim or 8) // 2
        case(f"RotaryEmbedding_{inter}_{dim}", "RotaryEmbedding", [rand(2, 3, 4, 8), rand(9, half), rand(9, half), rng.integers(0, 9, (2, 4))], a, opset=23, reference=True, **KW)
        case(f"RotaryEmbedding_{inter}_{dim}_flat", "RotaryEmbedding", [rand(2, 4, 24), rand(2, 4, half), rand(2, 4, half)], a | dict(num_heads=3), opset=23, reference=True, **KW)

# Losses.
for reduction in ["none", "mean", "sum"]:
    for s in [(4, 5), (2, 5, 3), (2, 5, 3, 2)]:
        t = rng.integers(0, 5, (s[0],) + s[2:])
        for w in [False, True]:
            for ign in [None, 2, -100]:
                tt = np.where(rng.random(t.shape) < 0.2, -100, t) if ign == -100 else t
                a = dict(reduction=reduction) | (dict(ignore_index=ign) if ign is not None else {})
                ins = [rand(*s), tt] + ([np.abs(rand(5)) + 0.1] if w else [])
                case(f"NegativeLogLikelihoodLoss_{reduction}_{len(s)}_{w}_{ign}", "NegativeLogLikelihoodLoss", ins, a, opset=13, reference=True, **KW)
                case(f"SoftmaxCrossEntropyLoss_{reduction}_{len(s)}_{w}_{ign}", "SoftmaxCrossEntropyLoss", ins, a, opset=13, outs=(1, 1), reference=True, **KW)
case("NegativeLogLikelihoodLoss_target", "NegativeLogLikelihoodLoss", [rand(2, 3), np.array([0, 3])], opset=13, fails=True, reference=True)
case("Dropout_7", "Dropout", [rand(3, 4)], dict(ratio=0.3), opset=7, outs=(1,))
case("Dropout_13", "Dropout", [rand(3, 4), np.array(0.3, np.float32)], opset=13, outs=(1, 1), reference=True)
case("Dropout_13_training", "Dropout", [rand(3, 40), np.array(0.3, np.float32), np.array(True)], dict(seed=5), opset=13, outs=(1, 1), reference=True)
write(sys.argv[1])
