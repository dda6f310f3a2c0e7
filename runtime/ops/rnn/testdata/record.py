"""Records golden.json.gz of runtime/ops/rnn: python record.py golden.json.gz"""
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../golden"))
from record import case, write  # noqa: E402

rng = np.random.default_rng(13)
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
ACTS = {"RNN": 1, "GRU": 2, "LSTM": 3}


def rand(*s):
    return (rng.normal(size=s) * 0.5).astype(np.float32)


def inputs(op, seq, batch, i, h, d, bias=True, lens=None, state=False, peep=False):
    g = GATES[op]
    x = [rand(seq, batch, i), rand(d, g * h, i), rand(d, g * h, h), rand(d, 2 * g * h) if bias else None,
         np.array(lens, np.int32) if lens is not None else None, rand(d, batch, h) if state else None]
    if op == "LSTM":
        x += [rand(d, batch, h) if state else None, rand(d, 3 * h) if peep else None]
    while x[-1] is None:
        x.pop()
    return x


for op in GATES:
    outs = (1, 1, 1) if op == "LSTM" else (1, 1)
    kw = dict(opset=14, outs=outs, rtol=1e-4, atol=1e-5)
    for direction, d in [("forward", 1), ("reverse", 1), ("bidirectional", 2)]:
        a = dict(hidden_size=4, direction=direction)
        case(f"{op}_{direction}", op, inputs(op, 5, 2, 3, 4, d), a, **kw)
        case(f"{op}_{direction}_bare", op, inputs(op, 5, 2, 3, 4, d, bias=False), a, **kw)
        case(f"{op}_{direction}_state", op, inputs(op, 3, 2, 3, 4, d, state=True), a, **kw)
        case(f"{op}_{direction}_lens", op, inputs(op, 5, 3, 3, 4, d, lens=[5, 2, 3], state=True), a, **kw)
        case(f"{op}_{direction}_clip", op, inputs(op, 5, 2, 3, 4, d, state=True), a | dict(clip=0.3), **kw)
        acts = ["Sigmoid", "Relu", "Softsign"][: ACTS[op]] * d
        case(f"{op}_{direction}_activations", op, inputs(op, 4, 2, 3, 4, d), a | dict(activations=acts), **kw)
        acts = ["HardSigmoid", "ScaledTanh", "Elu"][: ACTS[op]] * d
        n = ACTS[op] * d
        case(f"{op}_{direction}_coefficients", op, inputs(op, 4, 2, 3, 4, d),
             a | dict(activations=acts, activation_alpha=[0.3, 0.7, 0.9][: ACTS[op]] * d, activation_beta=[0.4, 1.2, 0.0][: ACTS[op]] * d), **kw)
        x = inputs(op, 4, 2, 3, 4, d, state=True)
        x[0] = x[0].transpose(1, 0, 2).copy()
        for k in range(5, len(x)):
            x[k] = x[k].transpose(1, 0, 2).copy()
        case(f"{op}_{direction}_layout", op, x, a | dict(layout=1), opset=14, outs=outs, reference=True, rtol=1e-4, atol=1e-5)
    case(f"{op}_only_last", op, inputs(op, 5, 2, 3, 4, 1), dict(hidden_size=4), opset=14, outs=(0,) + outs[1:], rtol=1e-4, atol=1e-5)
    case(f"{op}_hidden", op, inputs(op, 5, 2, 3, 4, 1), dict(hidden_size=5), opset=14, outs=outs, fails=True)
    case(f"{op}_direction", op, inputs(op, 5, 2, 3, 4, 1), dict(hidden_size=4, direction="bidirectional"), opset=14, outs=outs, fails=True)
    case(f"{op}_old", op, inputs(op, 5, 2, 3, 4, 1), dict(hidden_size=4), opset=7, outs=outs, rtol=1e-4, atol=1e-5)
for d, direction in [(1, "forward"), (2, "bidirectional")]:
    a = dict(hidden_size=4, direction=direction)
    case(f"GRU_linear_{direction}", "GRU", inputs("GRU", 5, 2, 3, 4, d, state=True), a | dict(linear_before_reset=1), opset=14, outs=(1, 1), rtol=1e-4, atol=1e-5)
    kw = dict(opset=14, outs=(1, 1, 1), rtol=1e-4, atol=1e-5)
    case(f"LSTM_peepholes_{direction}", "LSTM", inputs("LSTM", 5, 2, 3, 4, d, state=True, peep=True), a, **kw)
    case(f"LSTM_forget_{direction}", "LSTM", inputs("LSTM", 5, 2, 3, 4, d, state=True), a | dict(input_forget=1), **kw)
    case(f"LSTM_all_{direction}", "LSTM", inputs("LSTM", 5, 3, 3, 4, d, lens=[1, 5, 4], state=True, peep=True), a | dict(clip=0.5), **kw)
write(sys.argv[1])
