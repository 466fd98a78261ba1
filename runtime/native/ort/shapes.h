// Shape inference: what ONNX Runtime asks of ops before a session runs.
#ifndef SPARSEPASS_ORT_SHAPES_H_
#define SPARSEPASS_ORT_SHAPES_H_

#include "ort/abi.h"

namespace sparsepass {

// The output has the shape of the first input.
void infer_shape_of_input(const ort::Api& api, ort::ShapeInferContext* context);

// The output of a convolution; `sparse` ones hold the shape of their weight in an attribute.
void infer_shape_of_conv(const ort::Api& api, ort::ShapeInferContext* context, bool sparse);

// The output of two sparse convolutions, one after the other along the channels.
void infer_shape_of_pair(const ort::Api& api, ort::ShapeInferContext* context);

// The output of a pool, whose windows its attributes describe.
void infer_shape_of_pool(const ort::Api& api, ort::ShapeInferContext* context);

}  // namespace sparsepass

#endif  // SPARSEPASS_ORT_SHAPES_H_
