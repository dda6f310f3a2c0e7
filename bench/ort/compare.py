"""compare.py BIN ZOO MODELS RESULT.md [--rounds N] [--only TEXT] [--isa avx2]

Times models with ONNX Runtime, some of them with OpenVINO too, and with aimass, all in process: rounds are interleaved in
alternating order, and what is reported is the median of the rounds' ratios (above 1: aimass is faster), beside each one's best
latency. Then loading, memory, models that are busy together, and SGEMM.

With --isa avx2 both are held to AVX2, as on a machine without AVX-512 and VNNI: aimass by AIMASS_ISA, ONNX Runtime as a copy of
its library (see avx2.py); models alone are timed then, and the page is RESULT-avx2.md. Beside the page its models' ratios are drawn (see plot.py)."""
import argparse
import glob
import os
import statistics as st
import subprocess
import sys
import time

import numpy as np

import avx2

p = argparse.ArgumentParser(description=__doc__)
p.add_argument('bin'), p.add_argument('zoo'), p.add_argument('models'), p.add_argument('result')
p.add_argument('--rounds', type=int, default=9)
p.add_argument('--seconds', type=float, default=.5)
p.add_argument('--only', default='')
p.add_argument('--isa', choices=['avx2'])
a = p.parse_args()
if a.isa:  # before onnxruntime is imported
    sys.path.insert(0, avx2.make(os.path.join(os.path.dirname(a.bin), 'ort-avx2')))
    os.environ['AIMASS_ISA'] = a.isa
    a.result = a.result.removesuffix('.md') + f'-{a.isa}.md'

import onnxruntime as ort

import engines
import forms
import plot
import sgemm


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
rows += forms.rows(a.zoo, a.models, ids)


try:
    if a.isa:
        raise ImportError('OpenVINO has no such copy')
    import openvino
    both = [engines.ORT, engines.OpenVINO]
except ImportError as e:
    both = [engines.ORT]
    print(f'NOT RUN: OpenVINO: {e}')
VINO = ('MiniLM fp32', 'ResNet-50')  # rows that OpenVINO runs too


def race(path, shapes, folder, threads, contenders):
    """Each contender's (best, median) of each round, and ours."""
    live = [e(path, threads) for e in contenders]
    f = [engines.feeds(e.inputs, shapes, folder) for e in live]
    theirs, own = [[] for _ in live], []
    for k in range(a.rounds):
        for i in range(len(live) + 1)[::1 if k % 2 else -1]:
            if i == len(live):
                j = engines.ours(a.bin, path, threads, a.seconds, shapes, folder)
                own.append((j['best_ns'], j['p50_ns']))
            else:
                theirs[i].append(engines.timed(lambda: live[i].run(f[i]), a.seconds))
    return theirs, own


def ratios(theirs, own):
    return st.median(x[1] / y[1] for x, y in zip(theirs, own)), min(x[0] for x in theirs) / min(y[0] for y in own)


lines = ['| model | threads | ratio of medians | ratio of bests | ONNX Runtime best, ms | aimass best, ms | OpenVINO: ratio of medians, of bests |', '|---|---|---|---|---|---|---|']
logs = {}
for name, path, shapes, folder in rows:
    if a.only not in name or not os.path.exists(path) or folder and not glob.glob(folder + '/*'):
        if a.only in name:
            lines.append(f'| {name} | NOT RUN: {os.path.basename(os.path.dirname(path))} is absent | | | | | |')
        continue
    for threads in (1, 2):
        theirs, own = race(path, shapes, folder, threads, both if name.startswith(VINO) else both[:1])
        m, best = ratios(theirs[0], own)
        vino = '{:.2f}, {:.2f}'.format(*ratios(theirs[1], own)) if len(theirs) > 1 else ''
        lines.append(f'| {name} | {threads} | {m:.2f} | {best:.2f} | {min(x[0] for x in theirs[0]) / 1e6:.4g} | {min(y[0] for y in own) / 1e6:.4g} | {vino} |')
        logs.setdefault(threads, []).append(m)
        print(lines[-1], flush=True)


def loading():
    """Loading and peak memory, each in fresh processes with the file in the page cache."""
    out = ['', 'Loading (the session or program alone; least and median of the rounds) and peak memory of the process after runs. Of ONNX Runtime\'s memory, what Python had taken before the session was made is in brackets:', '',
           '| model | ONNX Runtime load, ms | aimass load, ms | ratio of medians | ONNX Runtime peak, MB | aimass peak, MB |', '|---|---|---|---|---|---|']
    for name, path, shapes in (('MiniLM fp32 1×128', f'{a.zoo}/all-minilm-l6-v2/model.onnx', ids((1, 128))), ('MiniLM int8 1×128', f'{a.zoo}/all-minilm-l6-v2-int8/model.onnx', ids((1, 128))),
                               ('ResNet-50, batch 1', f'{a.models}/resnet50.onnx', {'input': (1, 3, 224, 224)})):
        if not os.path.exists(path):
            continue
        t = [(engines.fresh(engines.ORT, path, 1, shapes), engines.ours(a.bin, path, 1, 0.01, shapes)) for _ in range(a.rounds)]
        load = [sorted(x[k]['load_ns'] / 1e6 for x in t) for k in (0, 1)]
        peak = [max(x[k]['peak_rss_bytes'] / 1e6 for x in t) for k in (0, 1)]
        show = [f'{v[0]:.0f}, {st.median(v):.0f}' for v in load]
        out.append(f'| {name} | {show[0]} | {show[1]} | {st.median(load[0]) / st.median(load[1]):.2f} | {peak[0]:.0f} ({t[0][0]["python_rss_bytes"] / 1e6:.0f}) | {peak[1]:.0f} |')
        print(out[-1], flush=True)
    return out


def busy():
    """What is lost where models share the cores: all copies together beside one alone that has every core."""
    out = ['', 'Busy together: the calls a second that all callers get, beside those of one caller of one model that has all cores (median of the rounds\' ratios):', '',
           '| model | models × callers, threads of each call | alone, 1/s | together, 1/s | ratio |', '|---|---|---|---|---|']
    cores = os.cpu_count()
    for name, path, shapes in (('MiniLM fp32 1×16', f'{a.zoo}/all-minilm-l6-v2/model.onnx', ids((1, 16))), ('MiniLM fp32 1×128', f'{a.zoo}/all-minilm-l6-v2/model.onnx', ids((1, 128))),
                               ('ResNet-50, batch 1', f'{a.models}/resnet50.onnx', {'input': (1, 3, 224, 224)}), ('MLP 64-256-256-64-1', f'{a.models}/mlp256.onnx', {'input': (1, 64)})):
        if not os.path.exists(path):
            continue
        for copies, callers, threads in ((2, 1, cores), (2 * cores, 1, cores), (1, 2 * cores, 1)):
            j = engines.busy(a.bin, path, shapes, cores, copies, callers, threads, a.rounds, max(a.seconds, .3))
            out.append(f'| {name} | {copies} × {callers}, {threads} | {j["alone_per_s"]:.4g} | {j["busy_per_s"]:.4g} | {j["aggregate"]:.2f} |')
            print(out[-1], flush=True)
    return out


cpu = next((x.split(':')[1].strip() for x in open('/proc/cpuinfo') if 'model name' in x), '?')
isa = subprocess.run([a.bin, '--version'], capture_output=True, text=True).stdout.strip()
head = [f'# aimass and ONNX Runtime {ort.__version__} on one machine', '', f'{time.strftime("%Y-%m-%d")}, {cpu}, {os.cpu_count()} cores; {isa}; load average {os.getloadavg()[0]:.1f}; {a.rounds} interleaved rounds of {a.seconds} s, same threads, same inputs.',
        *([f'Both held to {a.isa.upper()}: aimass by AIMASS_ISA, ONNX Runtime as a copy of its library in which each XGETBV answers that the system saves no AVX-512 state (bench/ort/avx2.py). Its sums of bytes saturate then; those of aimass stay exact.'] if a.isa else []),
        'A ratio above 1 means that aimass is faster. ONNX Runtime is called through Python, which costs it some microseconds a call: it matters for the smallest models only.', '']
tail = ['', *(f'Geometric mean of the medians, {t} thread(s): {np.exp(np.mean(np.log(v))):.2f}' for t, v in logs.items())]
if a.only in 'loading' and not a.isa:
    tail += loading()
if a.only in 'busy' and not a.isa:
    tail += busy()
if a.only in 'SGEMM' and not a.isa:
    peak = float(subprocess.run([a.bin, 'bench', 'peak'], check=True, capture_output=True, text=True).stdout.split()[0])
    tail += sgemm.table(a.bin, a.models, peak, min(a.rounds, 5), min(a.seconds, .2), both)
if a.only:  # a part doesn't take the place of a whole page
    raise SystemExit
os.makedirs(os.path.dirname(a.result) or '.', exist_ok=True)
open(a.result, 'w').write('\n'.join(head + lines + tail) + '\n')
plot.plot(a.result)
