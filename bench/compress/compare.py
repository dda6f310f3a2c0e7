"""compare.py BIN ZOO MODELS NOSHOW.onnx RESULT.md [--rounds N] [--seconds S]

Makes the compressed models of the figures with aimass compress and measures them: share of the file, how near the answers are (in
ONNX Runtime, since the results are standard files), and speed beside ONNX Runtime's own float32 and dynamically quantized models, in
interleaved rounds of changing order; ratios are medians of the rounds' ratios of medians, above 1: aimass is faster."""
import argparse
import json
import os
import statistics as st
import subprocess
import sys
import tempfile
import time

import numpy as np

p = argparse.ArgumentParser(description=__doc__)
p.add_argument('bin'), p.add_argument('zoo'), p.add_argument('models'), p.add_argument('noshow'), p.add_argument('result')
p.add_argument('--rounds', type=int, default=9)
p.add_argument('--seconds', type=float, default=.5)
p.add_argument('--held', help='a ResNet-50 in bytes: only print its rows with aimass and ONNX Runtime held to AVX2 (the program calls itself so)')
a = p.parse_args()
if a.held:  # before onnxruntime is imported
    sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../ort'))
    import avx2
    sys.path.insert(0, avx2.make(os.path.join(os.path.dirname(a.bin), 'ort-avx2')))
    os.environ['AIMASS_ISA'] = 'avx2'

import onnxruntime as ort
from onnxruntime.quantization import QuantType, quantize_dynamic
from tokenizers import Tokenizer

tmp = tempfile.mkdtemp()
lines = []


def say(text):
    lines.append(text)
    print(text, flush=True)


def compress(model, out, *flags):
    d = os.path.join(tmp, out)
    os.makedirs(d, exist_ok=True)
    subprocess.run([a.bin, 'compress', model, '--out', d, '--quiet', *flags], check=True, capture_output=True, text=True)
    r = json.load(open(d + '/report.json'))
    return os.path.join(d, r['file']), r


def requests(name, rows):
    path = os.path.join(tmp, name)
    with open(path, 'w') as f:
        for inputs, labels in rows:
            kinds = {'int64': 'INT64', 'float32': 'FP32'}
            q = {'inputs': [{'name': k, 'shape': list(v.shape), 'datatype': kinds[str(v.dtype)], 'data': v.ravel().tolist()} for k, v in inputs.items()]}
            f.write(json.dumps(q | ({'labels': labels} if labels else {})) + '\n')
    return path


def session(path, threads):
    o = ort.SessionOptions()
    o.intra_op_num_threads, o.inter_op_num_threads = threads, 1
    return ort.InferenceSession(path, o, providers=['CPUExecutionProvider'])


def theirs(s, f):
    t, end = [], time.perf_counter() + a.seconds
    s.run(None, f)
    while time.perf_counter() < end or len(t) < 3:
        b = time.perf_counter_ns()
        s.run(None, f)
        t.append(time.perf_counter_ns() - b)
    return min(t), st.median(t)


def ours(path, f, threads):
    how = [x for k, v in f.items() for x in ('--shape', f'{k}=' + 'x'.join(map(str, v.shape)))]
    r = subprocess.run([a.bin, 'bench', 'model', path, '--threads', str(threads), '--duration', f'{a.seconds}s', '--json'] + how, check=True, capture_output=True, text=True)
    j = json.loads(r.stdout.strip().splitlines()[-1])
    return j['best_ns'], j['p50_ns']


def race(title, mine, f, others, threads):
    """One line a contender: the ratio of medians and of bests."""
    s = {k: session(v, threads) for k, v in others.items()}
    got = {k: [] for k in (*s, 'aimass')}
    for k in range(a.rounds):
        for who in list(got)[::1 if k % 2 else -1]:
            got[who].append(ours(mine, f, threads) if who == 'aimass' else theirs(s[who], f))
    best = {k: min(x[0] for x in v) for k, v in got.items()}
    for k in s:
        ratio = st.median(x[1] / y[1] for x, y in zip(got[k], got['aimass']))
        say(f'| {title} | {threads} | {k} | {ratio:.2f} | {best[k] / best["aimass"]:.2f} | {best[k] / 1e6:.4g} | {best["aimass"] / 1e6:.4g} |')


def cosines(x, y):
    return np.array([(u * v).sum() / np.sqrt((u * u).sum() * (v * v).sum()) for u, v in zip(x, y)])


def minilm():
    zoo = a.zoo + '/all-minilm-l6-v2'
    if not os.path.exists(zoo + '/model.onnx'):
        return say('NOT RUN: MiniLM: make zoo has not fetched it')
    t = Tokenizer.from_file(zoo + '/tokenizer.json')
    t.no_padding(), t.enable_truncation(256)
    def read(file):
        texts, feeds = [x.strip() for x in open(os.path.join(os.path.dirname(__file__), file))], []
        for x in texts:
            e = t.encode(x)
            feeds.append({k: np.array([v]) for k, v in (('input_ids', e.ids), ('attention_mask', e.attention_mask), ('token_type_ids', e.type_ids))})
        return texts, feeds

    texts, feeds = read('sentences.txt')
    words, short = read('short.txt')

    def embed(path):
        s = session(path, 0)
        return [[s.run(None, f)[0][0].mean(0) for f in some] for some in (feeds, short)]

    plain = embed(zoo + '/model.onnx')
    theirs8 = os.path.join(tmp, 'ort-int8.onnx')
    quantize_dynamic(zoo + '/model.onnx', theirs8, weight_type=QuantType.QInt8, per_channel=True)
    # Ranges and codes are found on every other sentence; the others and all short texts are new to the model.
    half, how = requests('half.jsonl', [(f, None) for f in feeds[::2]]), ['--crop', '--quantize', 'int8']
    mine, r = compress(zoo + '/model.onnx', 'minilm', *how, '--smooth', 'auto', '--compensate', '--inputs', half)
    smooth, _ = compress(zoo + '/model.onnx', 'smooth', *how, '--smooth', 'auto', '--inputs', half)
    rough, _ = compress(zoo + '/model.onnx', 'rough', *how, '--inputs', half)
    say(f'\n## MiniLM to int8\n\nFile: {r["before"]["file_bytes"] / 1e6:.1f} to {r["after"]["file_bytes"] / 1e6:.1f} MB, {100 * r["after"]["file_bytes"] / r["before"]["file_bytes"]:.1f} % (asked: at most 26).\n')
    say(f'Embeddings (mean of the tokens) against float32, cosine, of {len(texts)} sentences and {len(words)} texts of one to three words:\n\n| model | sentences: mean | least | second least | those not calibrated on: mean | least | short texts: mean | least | below 0.99 |\n|---|---|---|---|---|---|---|---|---|')
    for name, path in (('int8, --smooth auto --compensate', mine), ('int8, --smooth auto', smooth), ('int8', rough), ("ONNX Runtime's dynamic int8", theirs8)):
        c, w = (cosines(x, y) for x, y in zip(plain, embed(path)))
        say(f'| {name} | {c.mean():.4f} | {c.min():.4f} | {np.sort(c)[1]:.4f} | {c[1::2].mean():.4f} | {c[1::2].min():.4f} | {w.mean():.4f} | {w.min():.4f} | {(w < .99).sum()} |')
    c, w = (cosines(x, y) for x, y in zip(plain, embed(mine)))
    for some, of in ((texts, c), (words, w)):
        say('\nFurthest: ' + '; '.join(f'"{some[k]}" {of[k]:.4f}' for k in np.argsort(of)[:3]) + ' (asked: 0.99).\n')
    say('| shape | threads | against | ratio of medians | of bests | its best, ms | aimass best, ms |\n|---|---|---|---|---|---|---|')
    for n in (32, 128):
        f = {k: np.ones((1, n), 'int64') for k in feeds[0]}
        for threads in (1, 2):
            race(f'1×{n}', mine, f, {'ORT float32 (asked 2)': zoo + '/model.onnx', 'ORT dynamic int8 (asked 1.3)': theirs8}, threads)


def resnet():
    path = a.models + '/resnet50.onnx'
    if not os.path.exists(path):
        return say('\nNOT RUN: ResNet-50: make bench-setup has not run')
    rng = np.random.default_rng(1)
    f = {'input': rng.standard_normal((1, 3, 224, 224)).astype('f4')}
    mine, r = compress(path, 'resnet', '--crop', '--quantize', 'int8-static', '--inputs', requests('images.jsonl', [({'input': rng.standard_normal((1, 3, 224, 224)).astype('f4')}, None) for _ in range(4)]))
    say(f'\n## ResNet-50 to int8\n\nFile: {100 * r["after"]["file_bytes"] / r["before"]["file_bytes"]:.1f} %; cosine of the answer {r["outputs"][0]["mean_cosine"]:.4f} (random weights and images).\n')
    say('| instructions, batch | threads | against | ratio of medians | of bests | its best, ms | aimass best, ms |\n|---|---|---|---|---|---|---|')
    best = subprocess.run([a.bin, '--version'], capture_output=True, text=True).stdout.strip()
    resnet_rows('the best here', mine, path, f)
    for line in subprocess.run([sys.executable, __file__, *sys.argv[1:], '--held', mine], check=True, capture_output=True, text=True).stdout.splitlines():
        say(line)
    say(f'\n{best}. In the rows of AVX2 aimass is held to it by AIMASS_ISA and ONNX Runtime by a copy of its library (bench/ort/avx2.py).')


def resnet_rows(title, mine, path, f):
    for batch in (1, 8):
        for threads in (1, 2):
            race(f'{title}, batch {batch}', mine, {k: np.repeat(v, batch, 0) for k, v in f.items()}, {'ORT float32 (asked 2.5 with VNNI, 1.6 with AVX2)': path}, threads)


def noshow():
    if not os.path.exists(a.noshow):
        return say('\nNOT RUN: no-show: make demo-models has not run')
    rng = np.random.default_rng(2)
    n = 20000
    s = session(a.noshow, 0)
    x = {}
    for i in s.get_inputs():
        if 'int64' in i.type:
            x[i.name] = rng.integers(0, 80, n).astype('int64')
        else:
            x[i.name] = np.abs(rng.standard_normal((n, i.shape[1])) * rng.integers(1, 30, i.shape[1])).astype('f4')
    names = [o.name for o in s.get_outputs()]
    prob = s.run(['p_noshow'], x)[0].ravel()
    # Outcomes as the model itself says how likely they are.
    label = (rng.random(n) < prob).astype(int)
    say(f'\n## The no-show model\n\n{n} generated rows with outcomes drawn by the original\'s probabilities (outputs: {", ".join(names)}).\n\n| steps | file, bytes | times smaller (asked 5) | AUC before | after | largest difference |\n|---|---|---|---|---|---|')

    def auc(q):
        order = np.argsort(q, kind='stable')
        _, first, count = np.unique(q[order], return_index=True, return_counts=True)
        rank = np.empty(n)
        rank[order] = np.repeat(first + (count + 1) / 2, count)
        k = label.sum()
        return (rank[label == 1].sum() - k * (k + 1) / 2) / (k * (n - k))

    crop, _ = compress(a.noshow, 'noshow', '--crop')
    q = session(crop, 0).run(['p_noshow'], x)[0].ravel()
    for title, flags in (('--pack', ['--pack']), ('--crop --pack', ['--crop', '--pack'])):
        out, r = compress(a.noshow, 'noshow' + str(len(flags)), *flags)
        got = q if len(flags) == 2 else prob
        say(f'| {title} | {r["before"]["file_bytes"]} to {r["after"]["file_bytes"]} | {r["before"]["file_bytes"] / r["after"]["file_bytes"]:.1f} | {auc(prob):.5f} | {auc(got):.5f} | {np.abs(got - prob).max():.2g} |')


if a.held:
    resnet_rows('AVX2', a.held, a.models + '/resnet50.onnx', {'input': np.random.default_rng(1).standard_normal((1, 3, 224, 224)).astype('f4')})
    raise SystemExit
minilm(), resnet(), noshow()
cpu = next((x.split(':')[1].strip() for x in open('/proc/cpuinfo') if 'model name' in x), '?')
head = [f'# Compression: aimass compress beside ONNX Runtime {ort.__version__}', '', f'{time.strftime("%Y-%m-%d")}, {cpu}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}; {a.rounds} interleaved rounds of {a.seconds} s.']
os.makedirs(os.path.dirname(a.result) or '.', exist_ok=True)
open(a.result, 'w').write('\n'.join(head + lines) + '\n')
