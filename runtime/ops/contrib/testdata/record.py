"""Records golden.json.gz of runtime/ops/contrib: python record.py golden.json.gz"""
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../golden"))
from record import case, write  # noqa: E402

MS = "com.microsoft"
rng = np.random.default_rng(5)
F = np.float32


def c(name, op, inputs, outs=(1,), rtol=1e-4, atol=2e-5, domain=MS, fails=None, **attrs):
    return case(name, op, inputs, attrs, domain, 1 if domain == MS else 9, outs, rtol, atol, fails=fails)


def r(*s, scale=1.0):
    return (rng.normal(size=s) * scale).astype(F)


def pointwise():
    x, b = r(2, 3, 5, scale=2), r(5)
    c("gelu", "Gelu", [x])
    c("biasgelu", "BiasGelu", [x, b])
    c("fastgelu", "FastGelu", [x])
    c("fastgelu_bias", "FastGelu", [x, b])
    c("quickgelu", "QuickGelu", [x])
    c("quickgelu_alpha", "QuickGelu", [x], alpha=1.1)
    for op in ["Affine", "ParametricSoftplus", "ScaledTanh"]:
        c(op, op, [x], domain="", alpha=0.7, beta=0.4)
    c("scale", "Scale", [x], domain="", scale=0.3)


def products():
    for ta in [0, 1]:
        for tb in [0, 1]:
            a, b = r(2, 3, 4), r(2, 4, 5)
            a, b = (np.swapaxes(a, 1, 2) if ta else a), (np.swapaxes(b, 1, 2) if tb else b)
            c(f"fusedmatmul_{ta}{tb}", "FusedMatMul", [np.ascontiguousarray(a), np.ascontiguousarray(b)], transA=ta, transB=tb, alpha=0.5)
            c(f"transposematmul_{ta}{tb}", "TransposeMatMul", [np.ascontiguousarray(a), np.ascontiguousarray(b)], transA=ta, transB=tb)
    c("fusedmatmul_broadcast", "FusedMatMul", [r(3, 1, 2, 4), r(5, 3, 4)], transB=1)
    for ta in [0, 1]:
        c(f"fusedmatmul_batch_{ta}", "FusedMatMul", [r(3, 2, 4) if not ta else r(4, 2, 3), r(2, 4, 5)], transBatchA=1, transA=ta)
    c("fusedmatmul_batch_b", "FusedMatMul", [r(2, 3, 4), r(4, 2, 5)], transBatchB=1)
    c("fusedmatmul_batch_4d", "FusedMatMul", [r(3, 2, 2, 4), r(2, 2, 4, 5)], transBatchA=1)
    c("fusedmatmul_vector", "FusedMatMul", [r(4), r(2, 4, 5)])


def norms():
    x, skip, g, b, bias = r(2, 3, 8), r(2, 3, 8), r(8), r(8), r(8)
    c("skipln", "SkipLayerNormalization", [x, skip, g, b], epsilon=1e-5)
    c("skipln_bias", "SkipLayerNormalization", [x, skip, g, b, bias], outs=(1, 0, 0, 1), epsilon=1e-5)
    c("skipln_nobeta", "SkipLayerNormalization", [x, skip, g])
    c("skipln_2d", "SkipLayerNormalization", [x, r(3, 8), g, b, bias], outs=(1, 0, 0, 1))
    c("skipln_1", "SkipLayerNormalization", [x, r(1, 3, 8), g, b])
    c("skiprms", "SkipSimplifiedLayerNormalization", [x, skip, g])
    c("skiprms_bias", "SkipSimplifiedLayerNormalization", [x, skip, g, bias], outs=(1, 0, 0, 1), epsilon=1e-3)
    c("skipln_bad", "SkipLayerNormalization", [x, r(3, 7), g, b], fails=True)
    c("rms", "SimplifiedLayerNormalization", [x, g], domain="", epsilon=1e-5)
    c("rms_axis", "SimplifiedLayerNormalization", [x, r(3, 8)], domain="", axis=1)
    ids, seg = rng.integers(0, 9, (2, 5)).astype(np.int32), rng.integers(0, 2, (2, 5)).astype(np.int32)
    mask = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.int32)
    word, pos, sg = r(9, 8), r(6, 8), r(2, 8)
    c("embed", "EmbedLayerNormalization", [ids, seg, word, pos, sg, g, b], outs=(1, 1))
    c("embed_mask", "EmbedLayerNormalization", [ids, seg, word, pos, sg, g, b, mask], outs=(1, 1))
    c("embed_sum", "EmbedLayerNormalization", [ids, None, word, pos, None, g, b, mask, rng.integers(0, 6, (2, 5)).astype(np.int32)], outs=(1, 1, 1))
    c("embed_bad", "EmbedLayerNormalization", [ids + 5, seg, word, pos, sg, g, b], outs=(1, 1), fails=True)


def attention():
    B, S, D, N = 2, 4, 8, 2
    x, w, b = r(B, S, 6), r(6, 3 * D), r(3 * D)
    I = np.int32  # noqa: E741
    masks = {"none": None, "ends": np.array([3, 4], I), "ends_starts": np.array([3, 4, 1, 0], I), "raw": np.array([[1, 1, 1, 0], [0, 1, 1, 1]], I),
             "raw3": rng.integers(0, 2, (B, S, S)).astype(I) | np.eye(S, dtype=I)}
    for k, m in masks.items():
        for uni in [0, 1]:
            c(f"attention_{k}_{uni}", "Attention", [x, w, b, m] if m is not None else [x, w, b], num_heads=N, unidirectional=uni)
    past = r(2, B, N, 3, D // N)
    for uni in [0, 1]:
        c(f"attention_past_{uni}", "Attention", [x, w, b, None, past], outs=(1, 1), num_heads=N, unidirectional=uni)
        c(f"attention_past_mask_{uni}", "Attention", [x, w, b, rng.integers(0, 2, (B, 3 + S)).astype(I) | np.array([0, 0, 0, 1, 0, 0, 0], I), past], outs=(1, 1), num_heads=N, unidirectional=uni)
    c("attention_bias", "Attention", [x, w, b, None, None, r(B, N, S, S)], num_heads=N)
    c("attention_bias1", "Attention", [x, w, None, None, None, r(1, 1, S, S)], num_heads=N, scale=0.3)
    c("attention_sizes", "Attention", [x, r(6, 8 + 8 + 4), r(20)], num_heads=N, qkv_hidden_sizes=[8, 8, 4])
    c("attention_filter", "Attention", [x, w, b, masks["raw"]], num_heads=N, mask_filter_value=-5.0)
    xq, wq = rng.integers(0, 255, (B, S, 6)).astype(np.uint8), rng.integers(-128, 127, (6, 3 * D)).astype(np.int8)
    sx, sw = np.array(0.01, F), np.array(0.02, F)
    c("qattention", "QAttention", [xq, wq, b, sx, sw, None, np.array(120, np.uint8), np.array(3, np.int8)], num_heads=N)
    c("qattention_mask", "QAttention", [xq, wq, b, sx, sw, masks["raw"], np.array(120, np.uint8), np.array(0, np.int8)], num_heads=N)
    c("qattention_columns", "QAttention", [xq, wq, b, sx, r(3 * D) ** 2 * F(.02) + F(.01), masks["ends"], np.array(120, np.uint8), np.zeros(3 * D, np.int8)], num_heads=N, unidirectional=1)
    c("qattention_past", "QAttention", [xq, wq.view(np.uint8), b, sx, sw, None, np.array(120, np.uint8), np.array(128, np.uint8), past], outs=(1, 1), num_heads=N, unidirectional=1)
    L = 5
    q, k, v = r(B, S, D), r(B, L, D), r(B, L, 6)
    c("mha", "MultiHeadAttention", [q, k, v], num_heads=N)
    c("mha_bias", "MultiHeadAttention", [q, k, v, r(D + D + 6)], num_heads=N, scale=0.4)
    c("mha_mask", "MultiHeadAttention", [q, k, v, None, np.array([[1, 1, 1, 1, 0], [0, 1, 1, 0, 1]], I)], num_heads=N)
    c("mha_ends", "MultiHeadAttention", [q, k, v, None, np.array([2, 5], I)], num_heads=N)
    c("mha_mask3", "MultiHeadAttention", [q, k, v, None, rng.integers(0, 2, (B, S, L)).astype(I) | 1], num_heads=N)
    c("mha_attnbias", "MultiHeadAttention", [q, k, v, None, None, r(1, N, S, L)], num_heads=N)
    c("mha_uni", "MultiHeadAttention", [q, r(B, S, D), r(B, S, D)], num_heads=N, unidirectional=1)
    c("mha_heads", "MultiHeadAttention", [q, r(B, N, L, D // N), r(B, N, L, D // N)], num_heads=N)
    c("mha_past", "MultiHeadAttention", [q, r(B, S, D), r(B, S, D), r(3 * D), None, None, r(B, N, 3, D // N), r(B, N, 3, D // N)], outs=(1, 1, 1), num_heads=N)
    c("mha_past_uni", "MultiHeadAttention", [q, r(B, S, D), r(B, S, D), None, None, None, r(B, N, 3, D // N), r(B, N, 3, D // N)], outs=(1, 1, 1), num_heads=N, unidirectional=1)
    c("mha_present", "MultiHeadAttention", [q, r(B, S, D), r(B, S, D)], outs=(1, 1, 1), num_heads=N)
    for inter in [0, 1]:
        cos, sin = np.cos(r(20, 4)), np.sin(r(20, 4))
        c(f"rotary_{inter}", "RotaryEmbedding", [r(B, S, 2 * 8), rng.integers(0, 20, (B, S)), cos, sin], interleaved=inter)
        c(f"rotary_offset_{inter}", "RotaryEmbedding", [r(B, S, 2 * 8), np.array([3]), cos, sin], interleaved=inter)
        c(f"rotary_4d_{inter}", "RotaryEmbedding", [r(B, 2, S, 8), rng.integers(0, 20, (B, S)), cos, sin], interleaved=inter)
        c(f"rotary_part_{inter}", "RotaryEmbedding", [r(B, S, 2 * 12), rng.integers(0, 20, (B, S)), cos, sin], interleaved=inter, num_heads=2, rotary_embedding_dim=8)
    c("rotary_bad", "RotaryEmbedding", [r(B, S, 16), np.array([18]), cos, sin], fails=True)


def gqa():
    N, K, H = 2, 1, 16
    cos, sin = np.cos(r(16, H // 2)), np.sin(r(16, H // 2))
    I = np.int32  # noqa: E741
    for rot in [0, 1]:
        for extra in [{}, {"local_window_size": 3}, {"softcap": 2.0}, {"scale": 0.2}, {"smooth_softmax": 1}]:
            for packed in [0, 1]:
                if packed and extra:
                    continue
                B, S = 2, 5
                lens = [5, 5]
                q = [r(B, S, (N + 2 * K) * H), None, None] if packed else [r(B, S, N * H), r(B, S, K * H), r(B, S, K * H)]
                tail = [cos, sin] if rot else []
                key = "_".join(extra) or "plain"
                c(f"gqa_first_{rot}_{packed}_{key}", "GroupQueryAttention", q + [None, None, np.array([n - 1 for n in lens], I), np.array(5, I)] + tail, outs=(1, 1, 1),
                  num_heads=N, kv_num_heads=K, do_rotary=rot, **extra)
                q = [r(B, 1, (N + 2 * K) * H), None, None] if packed else [r(B, 1, N * H), r(B, 1, K * H), r(B, 1, K * H)]
                past = [r(B, K, 6, H), r(B, K, 6, H)]
                c(f"gqa_next_{rot}_{packed}_{key}", "GroupQueryAttention", q + past + [np.array([6, 6], I), np.array(7, I)] + tail, outs=(1, 1, 1),
                  num_heads=N, kv_num_heads=K, do_rotary=rot, **extra)


def integers():
    u8 = lambda *s: rng.integers(0, 256, s).astype(np.uint8)  # noqa: E731
    i8 = lambda *s: rng.integers(-128, 128, s).astype(np.int8)  # noqa: E731
    f = lambda v: np.array(v, F)  # noqa: E731
    c("mmif", "MatMulIntegerToFloat", [u8(2, 3, 4), i8(4, 5), f(.02), f(.01), np.array(120, np.uint8), np.array(-3, np.int8), r(5)])
    c("mmif_columns", "MatMulIntegerToFloat", [u8(3, 4), u8(4, 5), f(.02), abs(r(5)), np.array(7, np.uint8), u8(5)])
    c("mmif_signed", "MatMulIntegerToFloat", [i8(3, 4), i8(4, 5), f(.02), f(.3), np.array(7, np.int8)])
    c("dqmm", "DynamicQuantizeMatMul", [r(2, 3, 4), i8(4, 5), f(.01)])
    c("dqmm_bias", "DynamicQuantizeMatMul", [r(3, 4), u8(4, 5), abs(r(5)), u8(5), r(5)])
    c("mm16", "MatMulInteger16", [rng.integers(-999, 999, (3, 4)).astype(np.int16), rng.integers(-999, 999, (4, 2)).astype(np.int16)])
    C = rng.integers(-9999, 9999, (5,)).astype(np.int32)
    z = np.array(120, np.uint8)
    c("qgemm", "QGemm", [u8(3, 4), f(.02), z, u8(4, 5), f(.01), np.array(99, np.uint8), C, f(.05), z])
    c("qgemm_float", "QGemm", [u8(4, 3), f(.02), z, i8(5, 4), abs(r(5)), i8(5), C], transA=1, transB=1, alpha=0.5)
    for bits in [4, 8]:
        for zp in [0, 1, 2]:
            K, N, bs = 40, 6, 16
            nb = 3
            q = u8(N, nb, bs * bits // 8)
            ins = [r(2, 3, K), q, r(N * nb) ** 2 * F(.1)]
            if zp == 1:
                ins.append(u8(N * ((nb * bits + 7) // 8)))
            if zp == 2:
                if bits == 8:
                    continue
                ins.append((rng.random(N * nb) * 15).astype(F))
            c(f"nbits_{bits}_{zp}", "MatMulNBits", ins, K=K, N=N, bits=bits, block_size=bs, rtol=1e-3, atol=1e-4)
    c("nbits_bias", "MatMulNBits", [r(1, 32), u8(6, 2, 8), abs(r(12)), None, None, r(6)], K=32, N=6, bits=4, block_size=16, rtol=1e-3, atol=1e-4)
    for dt, z1, z2, z3 in [(np.uint8, 120, 130, 99), (np.int8, 4, -9, 0)]:
        n = np.dtype(dt).name
        mk = u8 if dt == np.uint8 else i8
        zz = [np.array(v, dt) for v in (z1, z2, z3)]
        for op in ["QLinearAdd", "QLinearMul"]:
            for sa, sb in [((3, 4), (3, 4)), ((2, 3, 4), (4,)), ((3, 1), (1, 4)), ((40,), ())]:
                c(f"{op}_{n}_{len(sa)}{len(sb)}", op, [mk(*sa), f(.02), zz[0], mk(*sb), f(.03), zz[1], f(.04), zz[2]])
        for op in ["QLinearSigmoid", "QLinearLeakyRelu"]:
            c(f"{op}_{n}", op, [mk(60), f(.05), zz[0], f(.01), zz[2]], **({"alpha": 0.2} if "Leaky" in op else {}))
        c(f"qconcat_{n}", "QLinearConcat", [f(.03), zz[0], mk(2, 3), f(.02), zz[1], mk(2, 4), f(.03), zz[0]], axis=1)
        for opset, axis in [(13, -1), (12, 1), (13, 1)]:
            c(f"qsoftmax_{n}_{opset}_{axis}", "QLinearSoftmax", [mk(3, 4, 5), f(.05), zz[0], f(1 / 256), np.array(0 if dt == np.uint8 else -128, dt)], opset=opset, axis=axis, atol=1)
        c(f"qwhere_{n}", "QLinearWhere", [rng.integers(0, 2, (3, 4)).astype(bool), mk(3, 4), f(.02), zz[0], mk(4), f(.03), zz[1], f(.04), zz[2]])
        for last in [0, 1]:
            c(f"qgap_{n}_{last}", "QLinearGlobalAveragePool", [mk(2, 3, 4, 5), f(.02), zz[0], f(.01), zz[2]], channels_last=last)


def others():
    S = lambda *v: np.array(v, dtype=object)  # noqa: E731
    t = S("Hello big world", "a b", "", "ünï cödé xx")
    for mark in [0, 1]:
        for least in [1, 2]:
            c(f"token_exp_{mark}{least}", "Tokenizer", [t], mark=mark, mincharnum=least, pad_value="#", tokenexp="[a-zA-Z]+")
            c(f"token_sep_{mark}{least}", "Tokenizer", [t.reshape(2, 2)], mark=mark, mincharnum=least, pad_value="", separators=[" "])
    c("token_chars", "Tokenizer", [t], mark=0, mincharnum=1, pad_value="#", separators=[""])
    c("token_seps", "Tokenizer", [S("a-b c--d", "x")], mark=0, mincharnum=1, pad_value="#", separators=["-", " "])
    for m in ["euclidean", "sqeuclidean"]:
        c(f"cdist_{m}", "CDist", [r(3, 4), r(5, 4)], metric=m, atol=1e-4)
    c("inverse", "Inverse", [r(2, 3, 3)], rtol=1e-3, atol=1e-4)
    c("expanddims", "ExpandDims", [r(2, 3), np.array(1, np.int32)])
    c("expanddims_neg", "ExpandDims", [r(2, 3), np.array(-1, np.int32)])
    c("ngram", "NGramRepeatBlock", [np.array([[1, 2, 3, 1, 2], [4, 4, 4, 4, 4]]), r(2, 6)], ngram_size=3)


def recurrent():
    T, B, I, H = 4, 2, 3, 5
    for d, direction in [(1, "forward"), (1, "reverse"), (2, "bidirectional")]:
        for cols in [0, 1]:
            u8 = cols == 0
            q = lambda *s: rng.integers(0, 256, s).astype(np.uint8) if u8 else rng.integers(-128, 128, s).astype(np.int8)  # noqa: B023, E731
            sc = lambda: (np.full(d, 0.01, F) if u8 else (rng.random((d, 4 * H)) * 0.01 + 0.005).astype(F))  # noqa: B023, E731
            zp = lambda: (np.full(d, 128, np.uint8) if u8 else np.zeros((d, 4 * H), np.int8))  # noqa: B023, E731
            ins = [r(T, B, I), q(d, I, 4 * H), q(d, H, 4 * H), r(d, 8 * H), None, None, None, None, sc(), zp(), sc(), zp()]
            c(f"dqlstm_{direction}_{cols}", "DynamicQuantizeLSTM", ins, outs=(1, 1, 1), hidden_size=H, direction=direction, rtol=1e-3, atol=1e-4)
            ins[4:8] = [np.array([3, 4], np.int32), r(d, B, H), r(d, B, H), r(d, 3 * H)]
            c(f"dqlstm_all_{direction}_{cols}", "DynamicQuantizeLSTM", ins, outs=(1, 1, 1), hidden_size=H, direction=direction, rtol=1e-3, atol=1e-4)


def delegated():
    u8 = lambda *s: rng.integers(0, 256, s).astype(np.uint8)  # noqa: E731
    i8 = lambda *s: rng.integers(-128, 128, s).astype(np.int8)  # noqa: E731
    f = lambda v: np.array(v, F)  # noqa: E731
    for act, par in [("Relu", []), ("Tanh", []), ("Sigmoid", []), ("LeakyRelu", [0.2]), ("Clip", [-0.5, 0.7]), ("HardSigmoid", [0.3, 0.4])]:
        a = {"activation_params": par} if par else {}
        c(f"fusedconv_{act}", "FusedConv", [r(1, 2, 5, 5), r(3, 2, 3, 3), r(3)], activation=act, pads=[1, 1, 1, 1], **a)
    c("fusedconv_sum", "FusedConv", [r(1, 2, 5, 5), r(3, 2, 3, 3), r(3), r(1, 3, 3, 3)], activation="Relu")
    for act, par in [("Relu", {}), ("Tanh", {}), ("Sigmoid", {}), ("LeakyRelu", {"activation_alpha": 0.2}), ("Softplus", {}), ("Softsign", {}), ("Elu", {"activation_alpha": 0.7}), ("HardSigmoid", {"activation_alpha": 0.3, "activation_beta": 0.4})]:
        c(f"fusedgemm_{act}", "FusedGemm", [r(3, 4), r(5, 4), r(5)], activation=act, transB=1, alpha=0.5, beta=0.3, **par)
    for dt, mk in [("u8", u8), ("i8", i8)]:
        c(f"nhwcmaxpool_{dt}", "NhwcMaxPool", [mk(1, 5, 6, 3)], kernel_shape=[2, 3], strides=[2, 1], pads=[1, 1, 0, 1])
        z = np.array(5, np.uint8 if dt == "u8" else np.int8)
        # Scales with no small common factor: sums that fall on a tie depend on their order.
        for last in [0, 1]:
            c(f"qavg_{dt}_{last}", "QLinearAveragePool", [mk(1, 3, 5, 6) if not last else mk(1, 5, 6, 3), f(.02113), z, f(.01347), z], kernel_shape=[2, 3], strides=[1, 2],
              pads=[1, 1, 0, 1], channels_last=last, count_include_pad=last)
            c(f"qconv_{dt}_{last}", "QLinearConv", [mk(1, 4, 5, 5) if not last else mk(1, 5, 5, 4), f(.021), z, i8(6, 2, 3, 3), abs(r(6)) * F(.02), np.zeros(6, np.int8), f(.3), z,
              rng.integers(-999, 999, 6).astype(np.int32)], group=2, pads=[1, 0, 1, 0], channels_last=last)
        c(f"quantize_{dt}", "QuantizeLinear", [r(3, 4), f(.02), z])
        c(f"quantize_axis_{dt}", "QuantizeLinear", [r(3, 4), abs(r(4)) * F(.02) + F(.01), np.full(4, 5, z.dtype)], axis=1)
        c(f"dequantize_{dt}", "DequantizeLinear", [mk(3, 4), abs(r(3)), np.full(3, 5, z.dtype)], axis=0)
    c("quantize_i16", "QuantizeLinear", [r(3, 4), f(.0002), np.array(5, np.int16)])
    c("dequantize_u16", "DequantizeLinear", [rng.integers(0, 65535, (3, 4)).astype(np.uint16), f(.0002), np.array(5, np.uint16)])
    c("trilu", "Trilu", [r(3, 4), np.array(1)], upper=0)
    c("pad", "Pad", [r(2, 3), np.array([1, 0, 0, 2]), f(.5)])
    c("pad_reflect", "Pad", [r(2, 3), np.array([0, 1, 0, 2])], mode="reflect")
    c("gathernd", "GatherND", [r(2, 3, 4), np.array([[0, 1], [1, 2]])])
    c("range", "Range", [f(1), f(5), f(1.5)])
    c("gridsample", "GridSample", [r(1, 1, 3, 4), rng.random((1, 2, 2, 2)).astype(F) * 2 - 1], align_corners=1)
    c("layernorm1", "LayerNormalization", [r(2, 3, 4), r(4), r(4)], domain="", axis=-1)


def mixtures():
    for i, act in enumerate(["relu", "gelu", "silu", "identity", "swiglu"]):
        wide = 32 if act == "swiglu" else 16
        a = dict(swiglu_fusion=1, activation_alpha=1.702, activation_beta=1.0, swiglu_limit=.7) if act == "swiglu" else {}
        k, normalize = [(1, 0), (2, 0), (2, 1)][i % 3]
        c(f"moe_{act}_{k}{normalize}", "MoE", [r(5, 16), r(5, 3), r(3, wide, 16), r(3, wide), r(3, 16, 16), r(3, 16)], atol=2e-4, activation_type=act, k=k,
          normalize_routing_weights=normalize, **a)
        bits, block = [(4, 0), (4, 16), (8, 0)][i % 3]
        n = 8 // bits
        w, v = rng.integers(0, 256, (3, wide, 32 // n)).astype(np.uint8), rng.integers(0, 256, (3, 32, 16 // n)).astype(np.uint8)
        s, t = ((3, wide), (3, 32)) if not block else ((3, wide, 2), (3, 32, 1))
        c(f"qmoe_{act}_{k}{normalize}_{bits}_{block}", "QMoE", [r(5, 32), r(5, 3), w, abs(r(*s)) * F(.02), r(3, wide), v, abs(r(*t)) * F(.02), r(3, 32)], atol=2e-3,
          activation_type=act, k=k, normalize_routing_weights=normalize, expert_weight_bits=bits, **({"block_size": block} if block else {}), **a)
    w, v = rng.integers(0, 256, (3, 16, 16)).astype(np.uint8), rng.integers(0, 256, (3, 32, 8)).astype(np.uint8)
    z = [rng.integers(0, 256, s).astype(np.uint8) for s in [(3, 16, 1), (3, 32, 1)]]
    mk = [r(5, 32), r(5, 3), w, abs(r(3, 16, 2)) * F(.02), None, v, abs(r(3, 32, 1)) * F(.02), None, None, None, None]
    for normalize in [0, 1]:
        c(f"qmoe_zeros_{normalize}", "QMoE", mk + z, k=2, normalize_routing_weights=normalize, block_size=16)
        c(f"qmoe_weights_{normalize}", "QMoE", mk + [None, None, None, abs(r(5, 3))], k=2, normalize_routing_weights=normalize, block_size=16)
    c("moe_k", "MoE", [r(5, 32), r(5, 3), r(3, 16, 32), r(3, 16), r(3, 32, 16), r(3, 32)], k=4, fails=True)


def hashes():
    S = lambda *v: np.array(v, dtype=object)  # noqa: E731
    words = S("", "a", "ab", "abc", "abcd", "abcde", "feature=7", "ünï cödé", "a longer text, of more than one block")
    numbers = np.array([0, 1, -1, 42, -2**31, 2**31 - 1])
    for positive in [0, 1]:
        for seed in [0, 1, 12345, -7]:
            c(f"murmur_text_{positive}_{seed}", "MurmurHash3", [words], positive=positive, seed=seed)
        for t in [np.int32, np.int64, np.uint32, np.uint64, np.float32, np.float64]:
            c(f"murmur_{t.__name__}_{positive}", "MurmurHash3", [numbers.astype(t).reshape(2, 3)], positive=positive, seed=3)
    c("murmur_default", "MurmurHash3", [words.reshape(3, 3)])
    c("murmur_none", "MurmurHash3", [np.zeros((0, 2), np.int32)])
    c("murmur_type", "MurmurHash3", [np.zeros(2, np.int8)], fails=True)


pointwise()
products()
norms()
attention()
gqa()
integers()
others()
delegated()
recurrent()
mixtures()
hashes()
write(sys.argv[1])
