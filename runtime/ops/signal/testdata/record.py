"""Records golden.json.gz of runtime/ops/signal in float64: python record.py golden.json.gz"""
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../golden"))
from record import case, write  # noqa: E402

rng = np.random.default_rng(3)
for n in [1, 2, 5, 8, 12]:
    for width in [1, 2]:
        x = rng.normal(size=(1, n, 2, width))
        for length in [None, n + 3, max(1, n - 2)]:
            for onesided in [0, 1]:
                for inverse in [0, 1]:
                    if onesided and inverse and (n < 2 or width == 1):
                        continue
                    ins = [x] + ([np.array(length, np.int64)] if length else [])
                    a = dict(onesided=onesided, inverse=inverse)
                    case(f"dft17_{n}_{width}_{length}_{onesided}_{inverse}", "DFT", ins, a, opset=17, reference=True, rtol=1e-11, atol=1e-12)
                    ins = [x, np.array(length, np.int64) if length else None, np.array(1, np.int64)]
                    if not length:
                        ins = [x]
                        x2 = np.moveaxis(x, 1, 2)
                        ins = [np.ascontiguousarray(x2)]
                    case(f"dft20_{n}_{width}_{length}_{onesided}_{inverse}", "DFT", ins, a, opset=20, reference=True, rtol=1e-11, atol=1e-12)
for width in [1]:
    for length, window, step in [(8, None, 4), (None, 6, 5), (6, 6, 1), (20, None, 7), (5, 5, 3)]:
        for onesided in [0, 1]:
            x = rng.normal(size=(2, 20, width)).round(2)
            ins = [x, np.array(step, np.int64), rng.random(window) if window else None, np.array(length, np.int64) if length else None]
            if ins[3] is None:
                ins = ins[:3]
            case(f"stft_{length}_{window}_{step}_{onesided}", "STFT", ins, dict(onesided=onesided), opset=17, reference=True, rtol=1e-11, atol=1e-12)
for name in ["HannWindow", "HammingWindow", "BlackmanWindow"]:
    for n in [0, 2, 9, 16]:
        for periodic in [0, 1]:
            case(f"{name}_{n}_{periodic}", name, [np.array(n, np.int32)], dict(periodic=periodic, output_datatype=11), opset=17, reference=True, rtol=1e-12, atol=1e-12)
for bins, length, rate, low, high in [(8, 16, 8192, 0, 4096), (20, 128, 16000, 125, 7500), (3, 7, 100, 1, 40)]:
    case(f"mel_{bins}_{length}", "MelWeightMatrix", [np.array(bins), np.array(length), np.array(rate), np.array(float(low)), np.array(float(high))],
         dict(output_datatype=1), opset=17, reference=True)
case("mel_beyond", "MelWeightMatrix", [np.array(8), np.array(16), np.array(100), np.array(0.0), np.array(4000.0)], opset=17, reference=True, fails=True)
write(sys.argv[1])
