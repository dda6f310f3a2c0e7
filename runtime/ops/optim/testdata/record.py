"""Records golden.json.gz of runtime/ops/optim: python record.py golden.json.gz"""
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../golden"))
from record import case, write  # noqa: E402

rng = np.random.default_rng(3)
D = "ai.onnx.preview.training"


def r(*s):
    return rng.normal(size=s)


def go(name, op, groups, attrs, t, shapes):
    ins = [np.array(0.1), np.array(t)]
    for g in range(groups):
        ins += [abs(r(*s)) if g > 1 else r(*s) for s in shapes]
    case(name, op, ins, attrs, D, 1, (1,) * (len(shapes) * (groups - 1)), 1e-6, 1e-7, reference=True)


for t in [0, 3]:
    for k, shapes in enumerate([[(3,)], [(2, 2), (4,)]]):
        go(f"adagrad_{t}_{k}", "Adagrad", 3, dict(norm_coefficient=0.01, decay_factor=0.1, epsilon=1e-5), t, shapes)
        for mode in ["standard", "nesterov"]:
            go(f"momentum_{mode}_{t}_{k}", "Momentum", 3, dict(norm_coefficient=0.01, alpha=0.95, beta=0.85, mode=mode), t, shapes)
    go(f"adam_{t}", "Adam", 4, dict(norm_coefficient=0.01, norm_coefficient_post=0.02, alpha=0.8, beta=0.9, epsilon=1e-4), t, [(3,)])
case("adagrad_bad", "Adagrad", [np.array(0.1), np.array(0), r(3), r(2), r(3)], {}, D, 1, (1, 1), reference=True, fails=True)
write(sys.argv[1])
