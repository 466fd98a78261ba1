#include "activation.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <vector>
#include <sys/mman.h>

namespace sparsepass {
namespace {

constexpr int64_t kAlignment = 64;

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t round_up(int64_t a, int64_t b) { return divide_up(a, b) * b; }

// The product of sizes, or -1 where it does not fit.
int64_t product(std::initializer_list<int64_t> sizes) {
  int64_t result = 1;
  for (int64_t size : sizes) {
    if (size < 0 || __builtin_mul_overflow(result, size, &result)) return -1;
  }
  return result;
}

struct Free {
  void operator()(float* p) const { std::free(p); }
};
using Floats = std::unique_ptr<float[], Free>;

Floats zeros(int64_t count) {
  const int64_t kA = count*4 >= (1<<20) && getenv("HUGE") ? (2<<20) : 64;
  const size_t bytes = static_cast<size_t>(round_up(count * 4, kA));
  Floats floats(static_cast<float*>(std::aligned_alloc(kA, std::max<size_t>(bytes, 64))));
  if (kA > 64) madvise(floats.get(), bytes, MADV_HUGEPAGE);
  if (!floats) throw std::bad_alloc();
  std::fill_n(floats.get(), count, 0.0f);
  return floats;
}

// As many channels as kMostChunkChannels allows, evenly filled.
int64_t channels_in_chunk(int64_t channels) {
  static int mc = getenv("MC") ? atoi(getenv("MC")) : 64;
  const int64_t chunks = divide_up(channels, mc);
  return round_up(divide_up(channels, chunks), kGroup);
}

// Memory of one run, handed out piece by piece.
class Arena {
 public:
  explicit Arena(char* memory) : next_(memory) {}
  template <class T>
  T* take(int64_t count) {
    T* piece = reinterpret_cast<T*>(next_);
    next_ += room<T>(count);
    return piece;
  }
  template <class T>
  static int64_t room(int64_t count) {
    return round_up(count * static_cast<int64_t>(sizeof(T)), kAlignment);
  }

 private:
  char* next_;
};

}  // namespace

class ActivationSparseConv : public Conv {
 public:
  ActivationSparseConv(const Encoding& encoding, const ConvParams& params, const float* weight,
                       const float* bias, const Epilogue& epilogue, const KernelTable& kernels)
      : encoding_(encoding), params_(params), epilogue_(epilogue), kernels_(kernels) {
    filters_ = params.filters / params.groups;
    if (sweeps()) encoding_.walk = kernels.cpo_sweep;
    block_ = sweeps() ? kernels.activation_sweep_block(filters_) : kernels.activation_block(filters_);
    blocks_ = divide_up(filters_, block_);
    chunk_channels_ = channels_in_chunk(params.channels_per_group);
    chunks_ = divide_up(params.channels_per_group, chunk_channels_);
    tile_size_ = params.kernel_h * params.kernel_w * chunk_channels_ * block_;
    pack(weight, bias);
  }

  void run(const Operands& operands, Host& host) const override;
  size_t packed_bytes() const override { return static_cast<size_t>(4 * weight_floats()); }

 private:
  bool sweeps() const { return getenv("SWEEP") && params_.kernel_h==3 && params_.kernel_w==3 && params_.stride_h==1&& params_.stride_w==1&& params_.dilation_h==1&& params_.dilation_w==1 && !encoding_.grouped; }
  int64_t weight_floats() const { return params_.groups * blocks_ * chunks_ * tile_size_; }
  const float* tile(int64_t group, int64_t block, int64_t chunk) const {
    return weight_.get() + ((group * blocks_ + block) * chunks_ + chunk) * tile_size_;
  }
  int64_t chunk_width(int64_t chunk) const {
    return std::min(chunk_channels_, params_.channels_per_group - chunk * chunk_channels_);
  }
  void pack(const float* weight, const float* bias);
  void run_image(const Operands& operands, int64_t image, const int64_t* counts, char* memory,
                 Host& host) const;
  std::vector<EncodedChunk> lay_out(const int64_t* counts, int64_t pixels, Arena* arena) const;
  int64_t encoding_bytes(const int64_t* counts, int64_t pixels) const;
  int64_t group_room(int64_t count, int64_t pixels) const {
    return encoding_.grouped ? std::min(count, pixels * chunk_channels_ / kGroup) + kEncodingSlack : 0;
  }

  Encoding encoding_;
  ConvParams params_;
  Epilogue epilogue_;
  const KernelTable& kernels_;
  int64_t filters_, block_, blocks_, chunk_channels_, chunks_, tile_size_;  // per group
  Floats weight_;  // (group, block, chunk, kernel_h, kernel_w, channel of the chunk, filter of the block)
  Floats bias_;    // (group, block, filter of the block)
};

void ActivationSparseConv::pack(const float* weight, const float* bias) {
  weight_ = zeros(weight_floats());
  bias_ = zeros(params_.groups * blocks_ * block_);
  const int64_t taps = params_.kernel_h * params_.kernel_w;
  for (int64_t filter = 0; filter < params_.filters; ++filter) {
    const int64_t group = filter / filters_, in_group = filter % filters_;
    const int64_t block = in_group / block_, lane = in_group % block_;
    bias_[(group * blocks_ + block) * block_ + lane] = bias[filter];
    for (int64_t c = 0; c < params_.channels_per_group; ++c) {
      float* packed = weight_.get() + (tile(group, block, c / chunk_channels_) - weight_.get()) +
                      c % chunk_channels_ * block_ * (sweeps() ? 9 : 1) + lane;
      for (int64_t tap = 0; tap < taps; ++tap) {
        packed[tap * (sweeps() ? 1 : chunk_channels_) * block_] = *weight++;
      }
    }
  }
}

int64_t ActivationSparseConv::encoding_bytes(const int64_t* counts, int64_t pixels) const {
  int64_t bytes = 0;
  for (int64_t c = 0; c < params_.groups * chunks_; ++c) {
    const int64_t values = counts[c] + kEncodingSlack;
    bytes += Arena::room<float>(values) + Arena::room<uint32_t>(pixels + 1);
    if (encoding_.grouped) {
      bytes += Arena::room<uint32_t>(group_room(counts[c], pixels)) +
               Arena::room<uint32_t>(pixels + 1);
    } else {
      bytes += Arena::room<uint16_t>(values);
    }
  }
  return bytes;
}

std::vector<EncodedChunk> ActivationSparseConv::lay_out(const int64_t* counts, int64_t pixels,
                                                        Arena* arena) const {
  std::vector<EncodedChunk> encoded;
  for (int64_t c = 0; c < params_.groups * chunks_; ++c) {
    EncodedChunk chunk = {};
    chunk.values = arena->take<float>(counts[c] + kEncodingSlack);
    chunk.value_start = arena->take<uint32_t>(pixels + 1);
    if (encoding_.grouped) {
      chunk.groups = arena->take<uint32_t>(group_room(counts[c], pixels));
      chunk.group_start = arena->take<uint32_t>(pixels + 1);
    } else {
      chunk.index = arena->take<uint16_t>(counts[c] + kEncodingSlack);
    }
    encoded.push_back(chunk);
  }
  return encoded;
}

void ActivationSparseConv::run(const Operands& operands, Host& host) const {
  const int64_t pixels = operands.in_h * operands.in_w;
  const int64_t group_chunks = params_.groups * chunks_;
  std::vector<int64_t> counts(static_cast<size_t>(operands.batch * group_chunks));
  host.parallel_for(static_cast<int64_t>(counts.size()), [&](int64_t i) {
    const int64_t image = i / group_chunks, group = i % group_chunks / chunks_, chunk = i % chunks_;
    const int64_t channel = (image * params_.groups + group) * params_.channels_per_group +
                            chunk * chunk_channels_;
    counts[i] = kernels_.activation_count(operands.x + channel * pixels, chunk_width(chunk) * pixels);
  });
  int64_t bytes = 0;
  for (int64_t image = 0; image < operands.batch; ++image) {
    bytes = std::max(bytes, encoding_bytes(&counts[image * group_chunks], pixels));
  }
  char* memory = static_cast<char*>(host.scratch(static_cast<size_t>(bytes)));
  for (int64_t image = 0; image < operands.batch; ++image) {
    run_image(operands, image, &counts[image * group_chunks], memory, host);
  }
}

static int64_t kTilePixels = getenv("TP") ? atoi(getenv("TP")) : 200;
static int64_t kPass = getenv("PASS") ? atoi(getenv("PASS")) : 1;

void ActivationSparseConv::run_image(const Operands& operands, int64_t image, const int64_t* counts,
                                     char* memory, Host& host) const {
  const int64_t pixels = operands.in_h * operands.in_w;
  Arena arena(memory);
  const std::vector<EncodedChunk> encoded = lay_out(counts, pixels, &arena);
  const float* x = operands.x + image * params_.channels() * pixels;
  host.parallel_for(params_.groups * chunks_, [&](int64_t i) {
    const int64_t group = i / chunks_, chunk = i % chunks_;
    const int64_t channel = group * params_.channels_per_group + chunk * chunk_channels_;
    encoding_.encode(EncodeJob{x + channel * pixels, chunk_width(chunk), pixels, chunk_channels_,
                               encoded[static_cast<size_t>(i)]});
  });

  const int64_t out_w = params_.out_w(operands.in_w), plane = params_.out_h(operands.in_h) * out_w;
  int64_t tiles = divide_up(plane, kTilePixels);
  int64_t tile_pixels = round_up(divide_up(plane, tiles), sweeps() ? out_w : 1);
  tiles = divide_up(plane, tile_pixels);
  const int64_t items = params_.groups * blocks_ * tiles;
  const int64_t workers = std::min<int64_t>(items, host.threads());
  float* sums = static_cast<float*>(
      host.scratch(static_cast<size_t>(4 * workers * tile_pixels * block_)));
  std::atomic<int64_t> next(0);
  host.parallel_for(workers, [&](int64_t worker) {
    float* own = sums + worker * tile_pixels * block_;
    for (int64_t item = next++; item < items; item = next++) {
      const int64_t group = item / tiles / blocks_, block = item / tiles % blocks_;
      const int64_t first = item % tiles * tile_pixels;
      const int64_t count = std::min(tile_pixels, plane - first);
      if (count <= 0) continue;
      std::vector<EncodedChunk> present;
      std::vector<const float*> weights;
      for (int64_t c = 0; c < chunks_; ++c) {
        if (counts[group * chunks_ + c] == 0) continue;
        present.push_back(encoded[group * chunks_ + c]);
        weights.push_back(tile(group, block, c));
      }
      WalkJob job = {&params_, operands.in_h, operands.in_w, out_w, nullptr, nullptr, 0, chunk_channels_, bias_.get() + (group * blocks_ + block) * block_, own, first, count, block_};
      int64_t c = 0, n = present.size();
      do {
        job.chunk = present.data() + c;
        job.weight = weights.data() + c;
        job.chunks = std::min(kPass, n - c);
        encoding_.walk(job);
        job.start = nullptr;
        c += kPass;
      } while (c < n);
      const int64_t filter = group * filters_ + block * block_;
      const int64_t at = (image * params_.filters + filter) * plane + first;
      kernels_.activation_finish(FinishJob{own, operands.residual ? operands.residual + at : nullptr,
                                           operands.y + at, count, plane,
                                           std::min(block_, filters_ - block * block_), block_,
                                           epilogue_});
    }
  });
}

std::unique_ptr<Conv> make_activation_sparse(const Encoding& encoding, const ConvParams& params,
                                             const Weight& weight, const float* bias,
                                             const Epilogue& epilogue, const KernelTable& kernels,
                                             std::string* error) {
  const int64_t size = product({params.filters, params.taps()});
  if (weight.indices != nullptr || weight.count != size) {
    *error = "weight is not dense; give all its values";
    return nullptr;
  }
  return std::make_unique<ActivationSparseConv>(encoding, params, weight.values, bias, epilogue,
                                                kernels);
}

Encoding cpo_encoding(const KernelTable& kernels) {
  return {false, kernels.cpo_encode, kernels.cpo_walk};
}
Encoding cps_encoding(const KernelTable& kernels) {
  return {true, kernels.cps_encode, kernels.cps_walk};
}
std::unique_ptr<Conv> make_cpo(const ConvParams& params, const Weight& weight, const float* bias,
                               const Epilogue& epilogue, const KernelTable& kernels,
                               std::string* error) {
  return make_activation_sparse(cpo_encoding(kernels), params, weight, bias, epilogue, kernels, error);
}
std::unique_ptr<Conv> make_cps(const ConvParams& params, const Weight& weight, const float* bias,
                               const Epilogue& epilogue, const KernelTable& kernels,
                               std::string* error) {
  return make_activation_sparse(cps_encoding(kernels), params, weight, bias, epilogue, kernels, error);
}

}  // namespace sparsepass
