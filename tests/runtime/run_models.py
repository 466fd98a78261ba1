"""Run every model of a folder in whatever ONNX Runtime this interpreter has.

    python run_models.py FOLDER [LIBRARY]

reads each ``op.onnx`` with its inputs ``op.npz``, and writes its output to ``op.npy``.
Needs nothing but numpy and onnxruntime, so that old versions can run it.
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime

folder, *libraries = sys.argv[1:]
for path in sorted(Path(folder).glob("*.onnx")):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    for library in libraries:
        options.register_custom_ops_library(library)
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feeds = dict(np.load(path.with_suffix(".npz")))
    np.save(path.with_suffix(".npy"), session.run(None, feeds)[0])
