"""The contenders of compare.py: ONNX Runtime, OpenVINO where it is installed, and the binary, each timed for a while at a
time and called for its loading time and peak memory in a process of its own.

As a program, `engines.py ENGINE MODEL THREADS SHAPES.json` loads and runs a model once and prints load_ns and peak_rss_bytes."""
import json
import os
import statistics as st
import subprocess
import sys
import time

import numpy as np


class ORT:
    name = 'ONNX Runtime'

    def __init__(self, path, threads):
        import onnxruntime as ort
        o = ort.SessionOptions()
        o.intra_op_num_threads, o.inter_op_num_threads = threads, 1
        self.s = ort.InferenceSession(path, o, providers=['CPUExecutionProvider'])
        self.inputs = [(i.name, i.type) for i in self.s.get_inputs()]

    def run(self, feeds):
        return self.s.run(None, feeds)


class OpenVINO:
    name = 'OpenVINO'

    def __init__(self, path, threads):
        import openvino as ov
        core = ov.Core()
        self.m = core.compile_model(core.read_model(path), 'CPU', {'INFERENCE_NUM_THREADS': threads, 'NUM_STREAMS': 1, 'INFERENCE_PRECISION_HINT': 'f32'})
        self.r = self.m.create_infer_request()
        self.inputs = [(i.any_name, str(i.element_type)) for i in self.m.inputs]

    def run(self, feeds):
        return self.r.infer(feeds)


def feeds(inputs, shapes, folder=None):
    rng, f = np.random.default_rng(0), {}
    for k, (name, kind) in enumerate(inputs):
        if folder:
            import onnx
            t = onnx.TensorProto()
            t.ParseFromString(open(f'{folder}/input_{k}.pb', 'rb').read())
            f[name] = onnx.numpy_helper.to_array(t)
            continue
        d = shapes[name]
        x = rng.integers(1, 1000, d) if 'int64' in kind else rng.standard_normal(d).astype('f4')
        if 'mask' in name:
            x[:] = 1
        if 'token_type' in name:
            x[:] = 0
        f[name] = x
    return f


def timed(run, seconds):
    """Best and median nanoseconds of calls for some seconds, three at least."""
    run()
    t, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(t) < 3:
        b = time.perf_counter_ns()
        run()
        t.append(time.perf_counter_ns() - b)
    return min(t), st.median(t)


def shape_flags(shapes):
    return [x for k, d in shapes.items() for x in ('--shape', f'{k}=' + 'x'.join(map(str, d)))]


def busy(binary, path, shapes, cores, copies, callers, threads, rounds, seconds):
    r = subprocess.run([binary, 'bench', 'busy', path, '--json', *shape_flags(shapes), '--cores', str(cores), '--copies', str(copies), '--callers', str(callers),
                        '--threads', str(threads), '--rounds', str(rounds), '--duration', f'{seconds}s'], check=True, capture_output=True, text=True)
    return json.loads(r.stdout.strip().splitlines()[-1])


def ours(binary, path, threads, seconds, shapes=None, folder=None):
    how = ['--inputs', folder] if folder else shape_flags(shapes)
    r = subprocess.run([binary, 'bench', 'model', path, '--threads', str(threads), '--duration', f'{seconds}s', '--json'] + how, check=True, capture_output=True, text=True)
    return json.loads(r.stdout.strip().splitlines()[-1])


def fresh(engine, path, threads, shapes):
    """What an engine takes to load a model and to run it once, in a process of its own."""
    r = subprocess.run([sys.executable, os.path.abspath(__file__), engine.__name__, path, str(threads), json.dumps(shapes)], check=True, capture_output=True, text=True)
    return json.loads(r.stdout.strip().splitlines()[-1])


def main():
    engine, path, threads, shapes = globals()[sys.argv[1]], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
    __import__({'ORT': 'onnxruntime', 'OpenVINO': 'openvino'}[sys.argv[1]])
    before = high_water()
    b = time.perf_counter_ns()
    e = engine(path, threads)
    took = time.perf_counter_ns() - b
    e.run(feeds(e.inputs, shapes))
    peak = high_water()
    print(json.dumps({'load_ns': took, 'peak_rss_bytes': peak, 'python_rss_bytes': before}))


def high_water():
    """The most memory that this process has had, in bytes (getrusage's figure is at least that of the process it was forked from)."""
    with open('/proc/self/status') as f:
        return next(int(l.split()[1]) << 10 for l in f if l.startswith('VmHWM'))


if __name__ == '__main__':
    main()
