"""Models of the comparison in the forms that ONNX Runtime's tools write: weights of halves, operators fused by its
optimiser, and 8-bit forms of its quantiser."""
import contextlib
import io
import os

import numpy as np


def float16(src, dst):
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16
    onnx.save(convert_float_to_float16(onnx.load(src), keep_io_types=True), dst)


def optimised(src, dst):
    from onnxruntime.transformers import optimizer
    optimizer.optimize_model(src, model_type='bert', num_heads=12, hidden_size=384, opt_level=0).save_model_to_file(dst)


def dynamic(src, dst):
    from onnxruntime.quantization import QuantType, quantize_dynamic
    quantize_dynamic(src, dst, weight_type=QuantType.QUInt8, op_types_to_quantize=['Conv', 'MatMul', 'Gemm'])


def static(form):
    def make(src, dst):
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

        class Noise(CalibrationDataReader):
            left = 2

            def get_next(self):
                self.left -= 1
                if self.left < 0:
                    return None
                return {'input': np.random.default_rng(self.left).standard_normal((1, 3, 224, 224)).astype('f')}

        quantize_static(src, dst, Noise(), quant_format=getattr(QuantFormat, form), per_channel=True, weight_type=QuantType.QInt8, activation_type=QuantType.QUInt8)
    return make


def rows(zoo, models, ids):
    """The table's rows; files that are not there yet are made."""
    minilm, resnet = f'{zoo}/all-minilm-l6-v2/model.onnx', f'{models}/resnet50.onnx'
    image = {'input': (1, 3, 224, 224)}
    out = []
    for name, src, make, file, shapes in (
            ('float16: MiniLM 1×32', minilm, float16, 'minilm-float16', ids((1, 32))),
            ('float16: ResNet-50, batch 1', resnet, float16, 'resnet50-float16', image),
            ('fused by its optimiser: MiniLM 1×32', minilm, optimised, 'minilm-optimised', ids((1, 32))),
            ('fused by its optimiser: MiniLM 1×128', minilm, optimised, 'minilm-optimised', ids((1, 128))),
            ('dynamic int8: ResNet-50, batch 1', resnet, dynamic, 'resnet50-dynamic', image),
            ('static int8, QDQ: ResNet-50, batch 1', resnet, static('QDQ'), 'resnet50-qdq', image),
            ('static int8, QOperator: ResNet-50, batch 1', resnet, static('QOperator'), 'resnet50-qoperator', image)):
        path = f'{models}/{file}.onnx'
        if os.path.exists(src) and not os.path.exists(path):
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    make(src, path + '.part')
                os.rename(path + '.part', path)
            except ImportError as e:
                print(f'NOT RUN: {name}: {e}')
        out.append((name, path, shapes, None))
    return out
