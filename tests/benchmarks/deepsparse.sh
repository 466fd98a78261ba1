#!/usr/bin/env bash
# Makes FOLDER an environment with DeepSparse, OpenVINO and this project, to run
# shared_models.py in. DeepSparse 1.8 takes no Python after 3.11.
set -euo pipefail
folder=${1:?give the folder to make}
python3.11 -m venv --clear "$folder"
"$folder/bin/pip" install deepsparse==1.8.0
"$folder/bin/pip" install --config-settings build-dir="$folder/cmake" \
  openvino 'numpy<2' "$(dirname "$0")/../.."
# DeepSparse asks for an older onnx because of this module alone, which was removed.
cat > "$(echo "$folder"/lib/python*/site-packages/onnx)/mapping.py" <<'PYTHON'
from onnx.helper import get_all_tensor_dtypes, tensor_dtype_to_np_dtype

TENSOR_TYPE_TO_NP_TYPE = {t: tensor_dtype_to_np_dtype(t) for t in get_all_tensor_dtypes()}
PYTHON
"$folder/bin/python" -P -c 'import deepsparse, sparsepass'
