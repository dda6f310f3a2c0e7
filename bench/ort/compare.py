"""compare.py BIN ZOO MODELS RESULT.md [--rounds N] [--only TEXT]

Times models with ONNX Runtime and with aimass, both in process: rounds are interleaved in alternating order, and what is
reported is the median of the rounds' ratios (above 1: aimass is faster), beside each one's best latency."""
import argparse
import glob
import json
import os
import statistics as st
import subprocess
import time

import numpy as np
import onnxruntime as ort

p = argparse.ArgumentParser(description=__doc__)
p.add_argument('bin'), p.add_argument('zoo'), p.add_argument('models'), p.add_argument('result')
p.add_argument('--rounds', type=int, default=9)
p.add_argument('--seconds', type=float, default=.5)
p.add_argument('--only', default='')
a = p.parse_args()


def ids(s):
    return {k: s for k in ('input_ids', 'attention_mask', 'token_type_ids')}


rows = []
for name, d in (('all-minilm-l6-v2', 'MiniLM fp32'), ('all-minilm-l6-v2-int8', 'MiniLM int8')):
    rows += [(f'{d} {b}×{s}', f'{a.zoo}/{name}/model.onnx', ids((b, s)), None) for b in (1, 8) for s in (16, 128)]
rows += [(f'ResNet-50, batch {b}', f'{a.models}/resnet50.onnx', {'input': (b, 3, 224, 224)}, None) for b in (1, 8)]
rows += [(n, f'{a.zoo}/{n}/model.onnx', None, f'{a.zoo}/{n}/test_data_set_{k}') for n, k in (
    ('open-nsfw', 0), ('nudenet-320n', 0), ('ppocrv4-det', 0), ('ppocrv4-rec', 0), ('ppocr-cls', 0), ('magika', 0), ('silero-vad', 0), ('silero-vad', 1),
    ('basic-pitch-nmp', 0), ('eeg-model-a-paper', 0), ('spindle-detector-eeg', 0))]
rows += [('MLP 32-64-64-1', f'{a.models}/mlp.onnx', {'input': (1, 32)}, None), ('MLP 64-256-256-64-1', f'{a.models}/mlp256.onnx', {'input': (1, 64)}, None)]
rows += [(f'gradient boosting 200×6, batch {b}', f'{a.models}/gbdt.onnx', {'input': (b, 20)}, None) for b in (1, 64, 1024)]


def feeds(s, shapes, folder):
    rng, f = np.random.default_rng(0), {}
    if folder:
        import onnx
        from onnx import numpy_helper as nh
        for k, i in enumerate(s.get_inputs()):
            t = onnx.TensorProto()
            t.ParseFromString(open(f'{folder}/input_{k}.pb', 'rb').read())
            f[i.name] = nh.to_array(t)
        return f
    for i in s.get_inputs():
        d = shapes[i.name]
        x = rng.integers(1, 1000, d) if 'int64' in i.type else rng.standard_normal(d).astype('f4')
        if 'mask' in i.name:
            x[:] = 1
        if 'token_type' in i.name:
            x[:] = 0
        f[i.name] = x
    return f


def ort_round(s, f):
    t, end = [], time.perf_counter() + a.seconds
    s.run(None, f)
    while time.perf_counter() < end or len(t) < 3:
        b = time.perf_counter_ns()
        s.run(None, f)
        t.append(time.perf_counter_ns() - b)
    return min(t), st.median(t)


def our_round(path, shapes, folder, threads):
    how = ['--inputs', folder] if folder else [x for k, d in shapes.items() for x in ('--shape', f'{k}=' + 'x'.join(map(str, d)))]
    r = subprocess.run([a.bin, 'bench', 'model', path, '--threads', str(threads), '--duration', f'{a.seconds}s', '--json'] + how, check=True, capture_output=True, text=True)
    j = json.loads(r.stdout.strip().splitlines()[-1])
    return j['best_ns'], j['p50_ns'], j['load_ns'], j['peak_rss_bytes']


lines = ['| model | threads | ratio of medians | ratio of bests | ONNX Runtime best, ms | aimass best, ms |', '|---|---|---|---|---|---|']
logs = {}
for name, path, shapes, folder in rows:
    if a.only not in name or not os.path.exists(path) or folder and not glob.glob(folder + '/*'):
        if a.only in name:
            lines.append(f'| {name} | NOT RUN: {os.path.basename(os.path.dirname(path))} is absent | | | | |')
        continue
    for threads in (1, 2):
        o = ort.SessionOptions()
        o.intra_op_num_threads, o.inter_op_num_threads = threads, 1
        s = ort.InferenceSession(path, o, providers=['CPUExecutionProvider'])
        f = feeds(s, shapes, folder)
        theirs, ours = [], []
        for k in range(a.rounds):
            for who in ('ou', 'uo')[k % 2]:
                if who == 'o':
                    theirs.append(ort_round(s, f))
                else:
                    ours.append(our_round(path, shapes, folder, threads))
        del s
        m, bt, bo = st.median(x[1] / y[1] for x, y in zip(theirs, ours)), min(x[0] for x in theirs), min(y[0] for y in ours)
        lines.append(f'| {name} | {threads} | {m:.2f} | {bt / bo:.2f} | {bt / 1e6:.4g} | {bo / 1e6:.4g} |')
        logs.setdefault(threads, []).append(m)
        print(lines[-1], flush=True)
cpu = next((x.split(':')[1].strip() for x in open('/proc/cpuinfo') if 'model name' in x), '?')
isa = subprocess.run([a.bin, '--version'], capture_output=True, text=True).stdout.strip()
head = [f'# aimass and ONNX Runtime {ort.__version__} on one machine', '', f'{time.strftime("%Y-%m-%d")}, {cpu}, {os.cpu_count()} cores; {isa}; {a.rounds} interleaved rounds of {a.seconds} s, same threads, same inputs.',
        'A ratio above 1 means that aimass is faster. ONNX Runtime is called through Python, which costs it some microseconds a call: it matters for the smallest models only.', '']
tail = ['', *(f'Geometric mean of the medians, {t} thread(s): {np.exp(np.mean(np.log(v))):.2f}' for t, v in logs.items())]
os.makedirs(os.path.dirname(a.result) or '.', exist_ok=True)
open(a.result, 'w').write('\n'.join(head + lines + tail) + '\n')
