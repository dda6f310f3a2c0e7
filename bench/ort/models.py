"""models.py OUT: writes the small comparison models with fixed seeds: mlp, mlp256, gbdt, resnet50."""
import os
import sys

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh


def save(path, nodes, inits, inp, out, name):
    g = h.make_graph(nodes, name, [h.make_tensor_value_info('input', T.FLOAT, inp)],
                     [h.make_tensor_value_info('output', T.FLOAT, out)], [nh.from_array(v, k) for k, v in inits.items()])
    m = h.make_model(g, opset_imports=[h.make_opsetid('', 13)])
    m.ir_version = 8
    onnx.save(m, path)


def mlp(path, dims, seed):
    r, inits, nodes, x = np.random.default_rng(seed), {}, [], 'input'
    for i, (a, b) in enumerate(zip(dims, dims[1:])):
        inits[f'w{i}'] = (r.standard_normal((a, b)) * np.sqrt(2 / a)).astype('f')
        inits[f'b{i}'] = (r.standard_normal(b) * .1).astype('f')
        last = i == len(dims) - 2
        nodes += [h.make_node('Gemm', [x, f'w{i}', f'b{i}'], [f'g{i}']),
                  h.make_node('Sigmoid' if last else 'Relu', [f'g{i}'], ['output' if last else f'r{i}'])]
        x = f'r{i}'
    save(path, nodes, inits, ['N', dims[0]], ['N', dims[-1]], 'mlp')


def gbdt(path):
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.ensemble import GradientBoostingClassifier
    r = np.random.default_rng(2)
    x = r.standard_normal((6000, 20)).astype('f')
    z = x[:, 0] * x[:, 1] + .5 * x[:, 2] + np.sin(3 * x[:, 3]) + .3 * (x[:, 4] > 1)
    y = (r.random(len(x)) < 1 / (1 + np.exp(-z))).astype('i8')
    m = GradientBoostingClassifier(n_estimators=200, max_depth=6, learning_rate=.05, subsample=.5, max_features=8, random_state=3).fit(x, y)
    o = to_onnx(m, initial_types=[('input', FloatTensorType([None, 20]))], options={id(m): {'zipmap': False}}, target_opset={'': 15, 'ai.onnx.ml': 3})
    onnx.save(o, path)


def resnet50(path):
    r, inits, nodes = np.random.default_rng(4), {}, []

    def conv(x, ci, co, k, s, relu=True):
        i = len(inits) // 2
        inits[f'cw{i}'] = (r.standard_normal((co, ci, k, k)) * np.sqrt(1 / (ci * k * k))).astype('f')
        inits[f'cb{i}'] = (r.standard_normal(co) * .01).astype('f')
        nodes.append(h.make_node('Conv', [x, f'cw{i}', f'cb{i}'], [f'c{i}'], kernel_shape=[k, k], strides=[s, s], pads=[k // 2] * 4))
        if not relu:
            return f'c{i}'
        nodes.append(h.make_node('Relu', [f'c{i}'], [f'a{i}']))
        return f'a{i}'

    x = conv('input', 3, 64, 7, 2)
    nodes.append(h.make_node('MaxPool', [x], ['mp'], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4))
    x, ci = 'mp', 64
    for st, (w, n) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)]):
        for b in range(n):
            s = 2 if b == 0 and st > 0 else 1
            short = conv(x, ci, w * 4, 1, s, False) if b == 0 else x
            y = conv(conv(conv(x, ci, w, 1, 1), w, w, 3, s), w, w * 4, 1, 1, False)
            nodes += [h.make_node('Add', [y, short], [f's{st}_{b}']), h.make_node('Relu', [f's{st}_{b}'], [f't{st}_{b}'])]
            x, ci = f't{st}_{b}', w * 4
    nodes += [h.make_node('GlobalAveragePool', [x], ['gap']), h.make_node('Flatten', ['gap'], ['fl'], axis=1),
              h.make_node('Gemm', ['fl', 'fw', 'fb'], ['output'])]
    inits['fw'] = (r.standard_normal((2048, 1000)) * .02).astype('f')
    inits['fb'] = np.zeros(1000, 'f')
    save(path, nodes, inits, ['N', 3, 224, 224], ['N', 1000], 'resnet50')


out = sys.argv[1]
os.makedirs(out, exist_ok=True)
for name, make in (('mlp', lambda p: mlp(p, [32, 64, 64, 1], 1)), ('mlp256', lambda p: mlp(p, [64, 256, 256, 64, 1], 1)), ('gbdt', gbdt), ('resnet50', resnet50)):
    path = os.path.join(out, name + '.onnx')
    if not os.path.exists(path):
        make(path)
        print(name, flush=True)
