"""avx2.py DIR

Makes a copy of the installed onnxruntime in DIR that believes the machine has AVX2 and no AVX-512. There is no switch for that in
ONNX Runtime: it asks the processor with CPUID, and the operating system with XGETBV whether the registers may be used. In the copy each
XGETBV (0F 01 D0) is replaced by `mov $7, %al; nop`: the answer of a system that saves x87, SSE and AVX state alone. All else is as it was.
With DIR first in PYTHONPATH, `import onnxruntime` takes the copy."""
import glob
import importlib.util
import os
import re
import shutil
import sys

ANSWER = b'\xb0\x07\x90'


def make(folder):
    """The folder, with the copy made if it isn't there; an error where the library holds something else than expected."""
    source = os.path.dirname(importlib.util.find_spec('onnxruntime').origin)
    to = os.path.join(folder, 'onnxruntime')
    if os.path.exists(to):
        return folder
    making = to + '.making'
    shutil.rmtree(making, ignore_errors=True)
    shutil.copytree(source, making, ignore=shutil.ignore_patterns('libonnxruntime.so*', '__pycache__'))
    path, = glob.glob(making + '/capi/onnxruntime_pybind11_state*.so')
    data = open(path, 'rb').read()
    # The instruction as compilers write it: its operand cleared just before, or both halves of the answer joined just after.
    # The same three bytes inside of other instructions stay.
    data, asked = re.subn(rb'(?<=\x31\xc9)\x0f\x01\xd0|\x0f\x01\xd0(?=\x89\xc0\x48)', ANSWER, data)
    if not asked:
        raise SystemExit(f'{path}: nothing in it asks for the state that the system saves')
    open(path, 'wb').write(data)
    os.rename(making, to)
    return folder


if __name__ == '__main__':
    print(make(sys.argv[1]))
