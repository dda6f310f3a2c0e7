"""SGEMM of constant weights beside the libraries that are installed: ONNX Runtime and OpenVINO run a model of one MatMul, as
aimass does; OpenBLAS (numpy's) and MKL are called as they are, which pack the weights at every call."""
import ctypes
import glob
import os
import sys

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh
from threadpoolctl import threadpool_limits

import engines

SHAPES = [(384, 1536), (512, 512), (768, 768), (1024, 1024), (1536, 384), (2048, 2048)]  # K×N
ROWS = {(512, 512): (512,)}  # M; else 32, 128, 512


def model(folder, k, n):
    path = f'{folder}/matmul-{k}x{n}.onnx'
    if not os.path.exists(path):
        w = np.random.default_rng(k).standard_normal((k, n)).astype('f')
        g = h.make_graph([h.make_node('MatMul', ['x', 'w'], ['y'])], 'matmul', [h.make_tensor_value_info('x', T.FLOAT, ['M', k])],
                         [h.make_tensor_value_info('y', T.FLOAT, ['M', n])], [nh.from_array(w, 'w')])
        onnx.save(h.make_model(g, opset_imports=[h.make_opsetid('', 13)], ir_version=8), path)
    return path


def mkl():
    found = glob.glob(f'{sys.prefix}/lib/libmkl_rt.so*')
    if not found:
        return None
    lib = ctypes.CDLL(found[0])

    def run(a, b, c, threads):
        lib.MKL_Set_Num_Threads(threads)
        p = [ctypes.c_void_p(x.ctypes.data) for x in (a, b, c)]
        (m, k), n, f = a.shape, b.shape[1], ctypes.c_float
        return lambda: lib.cblas_sgemm(101, 111, 111, m, n, k, f(1), p[0], k, p[1], n, f(0), p[2], n)
    return run


def table(binary, folder, peak, rounds, seconds, others):
    """Lines of the table; peak is one thread's GFLOP/s."""
    blas, lines = mkl(), []
    names = [e.name for e in others] + ['OpenBLAS'] + (['MKL'] if blas else [])
    shares = {1: [], 2: []}
    for threads in (1, 2):
        lines += ['', f'SGEMM, {threads} thread(s), best GFLOP/s of {rounds} rounds (FMA peak {threads * peak:.0f}; weights are constant):', '',
                  '| K×N, M | aimass | % of peak | against the best library | ' + ' | '.join(names) + ' |', '|---|---|---|---|' + '---|' * len(names)]
        for k, n in SHAPES:
            path = model(folder, k, n)
            for m in ROWS.get((k, n), (32, 128, 512)):
                x = np.random.default_rng(m).standard_normal((m, k)).astype('f')
                w, c = np.ascontiguousarray(np.random.default_rng(k).standard_normal((k, n)).astype('f')), np.empty((m, n), 'f')
                live = [e(path, threads) for e in others]
                calls = [lambda e=e: e.run({'x': x}) for e in live] + [lambda: np.matmul(x, w, out=c)] + ([blas(x, w, c, threads)] if blas else [])
                best, own = [float('inf')] * len(calls), float('inf')
                with threadpool_limits(threads):
                    for r in range(rounds):
                        for i in range(len(calls))[::1 if r % 2 else -1]:
                            best[i] = min(best[i], engines.timed(calls[i], seconds)[0])
                        own = min(own, engines.ours(binary, path, threads, seconds, {'x': (m, k)})['best_ns'])
                g = lambda ns: 2 * m * n * k / ns
                shares[threads].append(g(own) / (threads * peak))
                lines.append(f'| {k}×{n}, {m} | {g(own):.0f} | {100 * shares[threads][-1]:.0f} | {min(best) / own:.2f} | ' + ' | '.join(f'{g(b):.0f}' for b in best) + ' |')
                print(lines[-1], flush=True)
        lines += ['', f'Geometric mean, {threads} thread(s): {100 * np.exp(np.mean(np.log(shares[threads]))):.0f} % of peak']
        print(lines[-1], flush=True)
    return lines
