#include "conv/payload.h"

#include "base/arithmetic.h"

namespace sparsepass {

std::string check_params(const ConvParams& p) {
  // Far above any real network, and small enough that sums of a few of them cannot overflow.
  constexpr int64_t most = int64_t{1} << 31;
  const struct {
    const char* name;
    int64_t value, least;
  } fields[] = {
      {"filters", p.filters, 1},       {"channels per group", p.channels_per_group, 1},
      {"group", p.groups, 1},          {"kernel height", p.kernel_h, 1},
      {"kernel width", p.kernel_w, 1}, {"stride", p.stride_h, 1},
      {"stride", p.stride_w, 1},       {"dilation", p.dilation_h, 1},
      {"dilation", p.dilation_w, 1},   {"pad", p.pad_top, 0},
      {"pad", p.pad_left, 0},          {"pad", p.pad_bottom, 0},
      {"pad", p.pad_right, 0},
  };
  for (const auto& field : fields) {
    if (field.value < field.least || field.value >= most) {
      return std::string(field.name) + " is " + std::to_string(field.value) + ", out of range";
    }
  }
  if (p.filters % p.groups != 0) {
    return "group " + std::to_string(p.groups) + " does not divide " + std::to_string(p.filters) +
           " filters";
  }
  int64_t size = p.filters;
  if (!multiply(size, p.channels_per_group, &size) || !multiply(size, p.kernel_h, &size) ||
      !multiply(size, p.kernel_w, &size) || size >= most) {
    return "the weight shape has 2^31 or more elements";
  }
  int64_t reach;
  if (!multiply(p.dilation_h, p.kernel_h, &reach) || reach >= most ||
      !multiply(p.dilation_w, p.kernel_w, &reach) || reach >= most ||
      !multiply(p.channels_per_group, p.groups, &reach) || reach >= most) {
    return "the dilated kernel or the channel count is out of range";
  }
  if (!multiply(p.stride_h, p.stride_w, &reach) || reach >= most) return "stride is out of range";
  return "";
}

std::string check_weight(const ConvParams& params, const Weight& weight) {
  const int64_t size = params.filters * params.taps();
  if (!weight.indices) {
    if (weight.count == size) return "";
    return "weight has " + std::to_string(weight.count) + " values, its shape needs " +
           std::to_string(size);
  }
  int64_t before = -1;
  for (int64_t i = 0; i < weight.count; ++i) {
    if (weight.indices[i] <= before || weight.indices[i] >= size) {
      return "indices[" + std::to_string(i) + "] is " + std::to_string(weight.indices[i]) +
             "; indices must rise and stay below " + std::to_string(size);
    }
    before = weight.indices[i];
  }
  return "";
}

std::string check_dense(const ConvParams& params, const Weight& weight) {
  std::string error = check_params(params);
  if (!error.empty()) return error;
  if (weight.indices != nullptr) return "the weight is sparse; this algorithm takes it dense";
  return check_weight(params, weight);
}

std::string check_input(const ConvParams& params, int64_t batch, int64_t channels, int64_t in_h,
                        int64_t in_w) {
  if (channels != params.channels()) {
    return "input has " + std::to_string(channels) + " channels, the weight needs " +
           std::to_string(params.channels());
  }
  constexpr int64_t most = int64_t{1} << 31;
  if (batch < 0 || in_h < 1 || in_w < 1 || in_h >= most || in_w >= most) {
    return "input map is empty or out of range";
  }
  const int64_t span_h = params.dilation_h * (params.kernel_h - 1) + 1;
  const int64_t span_w = params.dilation_w * (params.kernel_w - 1) + 1;
  if (in_h + params.pad_top + params.pad_bottom < span_h ||
      in_w + params.pad_left + params.pad_right < span_w) {
    return "input map " + std::to_string(in_h) + "x" + std::to_string(in_w) +
           " is smaller than the kernel";
  }
  int64_t size = batch;
  if (!multiply(size, params.filters, &size) || !multiply(size, params.out_h(in_h), &size) ||
      !multiply(size, params.out_w(in_w), &size) || !multiply(size, 4, &size)) {
    return "the output is larger than memory can be";
  }
  return "";
}

}  // namespace sparsepass
