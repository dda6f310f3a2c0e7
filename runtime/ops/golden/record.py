"""Records cases for package golden: single operators run by ONNX Runtime (or, with
reference=True, by onnx.reference), written as one gzipped JSON file.

Used by the record.py beside each family's testdata: python record.py golden.json.gz
Needs onnx, onnxruntime and numpy.
"""
import base64
import gzip
import json
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper

NAMES = {
    TensorProto.BOOL: "bool", TensorProto.UINT8: "uint8", TensorProto.UINT16: "uint16", TensorProto.UINT32: "uint32",
    TensorProto.UINT64: "uint64", TensorProto.INT8: "int8", TensorProto.INT16: "int16", TensorProto.INT32: "int32",
    TensorProto.INT64: "int64", TensorProto.FLOAT16: "float16", TensorProto.FLOAT: "float32", TensorProto.DOUBLE: "float64",
    TensorProto.STRING: "string", TensorProto.BFLOAT16: "bfloat16",
}
cases = []


def np_type(x):
    return TensorProto.STRING if x.dtype.kind in "OUS" else helper.np_dtype_to_tensor_dtype(x.dtype)


def value(x):
    if x is None:
        return None
    if isinstance(x, list):
        return {"seq": [value(e) for e in x]}
    if isinstance(x, dict):
        k = list(x)
        kind = object if isinstance(k[0], str) else np.int64
        v = [x[i] for i in k]
        if isinstance(v[0], str):
            v = np.array(v, dtype=object)
        elif isinstance(v[0], (int, np.integer)):
            v = np.array(v, dtype=np.int64)
        else:
            v = np.array(v, dtype=np.float32)
        return {"keys": value(np.array(k, dtype=kind)), "vals": value(v)}
    x = np.asarray(x)
    t = np_type(x)
    out = {"d": NAMES[t], "s": list(x.shape)}
    if t == TensorProto.STRING:
        out["strs"] = [str(s) for s in x.ravel()]
    else:
        out["b"] = base64.b64encode(np.ascontiguousarray(x).tobytes()).decode()
    return out


def attr(v):
    if isinstance(v, bool) or isinstance(v, (int, np.integer)):
        return {"i": int(v)}
    if isinstance(v, float):
        return {"nan": True} if v != v else {"f": v}
    if isinstance(v, str):
        return {"s": v}
    if isinstance(v, np.ndarray) and v.dtype.kind == "f" and v.ndim == 1:
        return {"bits": base64.b64encode(v.astype(np.float32).tobytes()).decode()}
    if isinstance(v, Tensor):
        return {"t": value(v.x)}
    v = list(v)
    if v and isinstance(v[0], str):
        return {"strings": v}
    if v and isinstance(v[0], float):
        return attr(np.array(v, np.float32))
    return {"ints": [int(i) for i in v]}


class Tensor:
    """A tensor attribute."""

    def __init__(self, x):
        self.x = np.asarray(x)


def onnx_attr(k, v):
    if isinstance(v, Tensor):
        if v.x.dtype.kind in "OU":
            return helper.make_attribute(k, helper.make_tensor(k, TensorProto.STRING, v.x.shape, [s.encode() for s in v.x.ravel()]))
        return helper.make_attribute(k, onnx.numpy_helper.from_array(v.x, k))
    if isinstance(v, np.ndarray):
        v = [float(i) for i in v]
    return helper.make_attribute(k, v)


def input_info(name, x):
    if isinstance(x, dict):
        k, v = next(iter(x.items()))
        kt = TensorProto.STRING if isinstance(k, str) else TensorProto.INT64
        vt = TensorProto.STRING if isinstance(v, str) else TensorProto.INT64 if isinstance(v, int) else TensorProto.FLOAT
        return helper.make_value_info(name, helper.make_map_type_proto(kt, helper.make_tensor_type_proto(vt, [])))
    return helper.make_tensor_value_info(name, np_type(x), x.shape)


def model(op, domain, inputs, attrs, opset, outs, core=21):
    ins = [f"x{i}" if x is not None else "" for i, x in enumerate(inputs)]
    names = [f"y{i}" if w else "" for i, w in enumerate(outs)]
    node = helper.make_node(op, ins, names, domain=domain)
    node.attribute.extend(onnx_attr(k, v) for k, v in attrs.items())
    infos = [input_info(n, x) for n, x in zip(ins, inputs) if x is not None]
    out = [helper.make_empty_tensor_value_info(n) for n in names if n]
    g = helper.make_graph([node], "g", infos, out)
    if domain in ("", "ai.onnx"):
        imports = [helper.make_opsetid("", opset)]
    else:
        imports = [helper.make_opsetid("", core), helper.make_opsetid(domain, opset)]
    m = helper.make_model(g, opset_imports=imports)
    m.ir_version = 10
    return m


def run(op, domain, inputs, attrs, opset, outs, reference):
    m = model(op, domain, inputs, attrs, opset, outs)
    feeds = {f"x{i}": x for i, x in enumerate(inputs) if x is not None}
    if reference:
        from onnx.reference import ReferenceEvaluator
        return ReferenceEvaluator(m).run(None, feeds)
    import onnxruntime as rt
    o = rt.SessionOptions()
    o.log_severity_level = 4
    o.intra_op_num_threads = 1
    s = rt.InferenceSession(m.SerializeToString(), o, providers=["CPUExecutionProvider"])
    return s.run(None, feeds)


def case(name, op, inputs, attrs=None, domain="", opset=1, outs=(1,), rtol=1e-5, atol=1e-6, reference=False, fails=None):
    """Records one case. fails=True: the reference must refuse it; None: it must not."""
    attrs = attrs or {}
    try:
        got = run(op, domain, inputs, attrs, opset, outs, reference)
    except Exception as e:
        if not fails:
            print("REFUSED", name, str(e)[-300:].replace("\n", " "), file=sys.stderr)
            if fails is None:
                return None
        got = None
    if got is not None and fails:
        print("NOT REFUSED", name, got, file=sys.stderr)
        return None
    it = iter(got or [])
    cases.append({
        "name": name, "domain": domain, "op": op, "opset": opset, "attrs": {k: attr(v) for k, v in attrs.items()},
        "in": [value(x) for x in inputs], "out": [(value(next(it)) if got is not None else {"d": "float32", "s": [0]}) if w else None for w in outs],
        "rtol": rtol, "atol": atol, "fails": got is None,
    })
    return got


def write(path):
    text = json.dumps(cases, separators=(",", ":"), ensure_ascii=False)
    with open(path, "wb") as f, gzip.GzipFile(fileobj=f, mode="wb", compresslevel=9, mtime=0) as z:
        z.write(text.encode())
    print(len(cases), "cases,", len(text), "bytes of JSON", file=sys.stderr)
