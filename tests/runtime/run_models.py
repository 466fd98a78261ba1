"""Run every model of a folder in whatever ONNX Runtime this interpreter has.

    python run_models.py FOLDER [LIBRARY]

reads ``feeds.npz`` and ``*.onnx``, and writes the outputs, by model, to ``outputs.npz``.
Needs nothing but numpy and onnxruntime, so that old versions can run it.
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime

folder, *libraries = sys.argv[1:]
feeds = dict(np.load(Path(folder, "feeds.npz")))
outputs = {}
for path in sorted(Path(folder).glob("*.onnx")):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    for library in libraries:
        options.register_custom_ops_library(library)
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    wanted = {value.name: feeds[value.name] for value in session.get_inputs()}
    outputs[path.stem] = session.run(None, wanted)[0]
np.savez(Path(folder, "outputs.npz"), **outputs)
print(onnxruntime.__version__)
