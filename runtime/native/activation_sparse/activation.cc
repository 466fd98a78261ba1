#include "activation_sparse/activation.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <vector>

#include "activation_sparse/break_even.h"
#include "activation_sparse/encoded_input.h"
#include "base/aligned.h"
#include "base/arithmetic.h"
#include "conv/workers.h"
#include "dense/gemm.h"
#include "dense/im2col.h"

namespace sparsepass {
namespace {

AlignedFloats zero_floats(int64_t count) {
  AlignedFloats floats = allocate_floats(count);
  std::fill_n(floats.get(), count, 0.0f);
  return floats;
}

// How the channels of an image are encoded, and how many non-zeros each chunk has.
struct Chunks {
  Chunking chunking;
  std::vector<int64_t> counts;
};

// What the encoded images of a run use, one after the other.
struct Room {
  char* encoded;
  int64_t task_pixels;  // output pixels of a task
  Workers workers;
};

class ActivationSparse : public Conv {
 public:
  ActivationSparse(const Encoding& encoding, const ConvParams& params, const float* weight,
                   const float* bias, const Epilogue& epilogue, const KernelTable& kernels,
                   std::unique_ptr<Conv> dense)
      : params_(params),
        epilogue_(epilogue),
        kernels_(kernels),
        encoding_(encoding),
        chunking_(params.groups, params.channels_per_group),
        sweep_(is_swept(params)),
        filters_(params.filters / params.groups),
        block_(sweep_ ? kernels.activation_sweep_block(filters_)
                      : kernels.activation_gather_block(filters_)),
        blocks_(divide_up(filters_, block_)),
        tile_(product({params.kernel_h, params.kernel_w, chunking_.channels(), block_})),
        packed_floats_(product({params.groups, blocks_, chunking_.per_group(), tile_})),
        weight_(zero_floats(packed_floats_)),
        bias_(zero_floats(params.groups * blocks_ * block_)),
        dense_(std::move(dense)),
        break_even_(break_even_density(params, kernels.tuning)) {
    pack(weight, bias);
  }

  void run(const Operands& operands, Host& host) const override;
  size_t packed_bytes() const override { return 4 * packed_floats_ + dense_->packed_bytes(); }

 private:
  void pack(const float* weight, const float* bias);
  std::vector<int64_t> count(const Operands& operands, Host& host) const;
  bool is_sparse(const int64_t* counts, int64_t pixels) const;
  Chunks chunks(const int64_t* counts, int64_t pixels) const;
  Room room(int64_t encoded_bytes, const Operands& operands, Host& host) const;
  void run_encoded(const Operands& image, const Chunks& chunks, const Room& room, Host& host) const;
  void walk(const Operands& image, const Chunking& chunking,
            const std::vector<std::vector<EncodedChunk>>& chunks, const Room& room) const;

  const ConvParams params_;
  const Epilogue epilogue_;
  const KernelTable& kernels_;
  const Encoding encoding_;
  const Chunking chunking_;
  const bool sweep_;
  const int64_t filters_, block_, blocks_;  // of a group
  const int64_t tile_, packed_floats_;
  const AlignedFloats weight_;  // (group, block, chunk, tile), as WalkJob wants the tile
  const AlignedFloats bias_;    // (group, block, filter of the block)
  const std::unique_ptr<Conv> dense_;
  const double break_even_;
};

void ActivationSparse::pack(const float* weight, const float* bias) {
  const int64_t taps = params_.kernel_h * params_.kernel_w, channels = chunking_.channels();
  const int64_t channel_stride = sweep_ ? taps * block_ : block_;
  const int64_t tap_stride = sweep_ ? block_ : channels * block_;
  for (int64_t f = 0; f < params_.filters; ++f) {
    const int64_t block = f / filters_ * blocks_ + f % filters_ / block_;
    const int64_t lane = f % filters_ % block_;
    bias_[block * block_ + lane] = bias[f];
    for (int64_t c = 0; c < params_.channels_per_group; ++c) {
      const int64_t tile = block * chunking_.per_group() + c / channels;
      float* packed = weight_.get() + tile * tile_ + c % channels * channel_stride + lane;
      for (int64_t tap = 0; tap < taps; ++tap) packed[tap * tap_stride] = *weight++;
    }
  }
}

std::vector<int64_t> ActivationSparse::count(const Operands& operands, Host& host) const {
  const int64_t pixels = operands.in_h * operands.in_w, chunks = chunking_.count();
  std::vector<int64_t> counts(operands.batch * chunks);
  host.parallel_for(operands.batch * chunks, [&](int64_t i) {
    const int64_t channel = i / chunks * params_.channels() + chunking_.first(i % chunks);
    counts[i] = kernels_.activation_count(operands.x + channel * pixels,
                                          chunking_.width(i % chunks) * pixels);
  });
  return counts;
}

bool ActivationSparse::is_sparse(const int64_t* counts, int64_t pixels) const {
  // Starts of pixels are 32-bit.
  if (product({pixels, kMostEncodedChannels}) >= int64_t{1} << 32) return false;
  int64_t nonzeros = 0;
  for (int64_t c = 0; c < chunking_.count(); ++c) nonzeros += counts[c];
  return nonzeros <= break_even_ * params_.channels() * pixels;
}

void ActivationSparse::run(const Operands& operands, Host& host) const {
  const int64_t pixels = operands.in_h * operands.in_w;
  const std::vector<int64_t> counts = count(operands, host);
  const auto counts_of = [&](int64_t image) { return &counts[image * chunking_.count()]; };
  int64_t bytes = -1;
  for (int64_t i = 0; i < operands.batch; ++i) {
    if (!is_sparse(counts_of(i), pixels)) continue;
    const Chunks found = chunks(counts_of(i), pixels);
    bytes = std::max(bytes, encoding_room(encoding_, found.chunking, found.counts.data(), pixels));
  }
  std::optional<Room> room;
  if (bytes >= 0) room.emplace(this->room(bytes, operands, host));
  for (int64_t first = 0, end; first < operands.batch; first = end) {
    const bool encoded = is_sparse(counts_of(first), pixels);
    end = first + 1;
    // Images that follow each other as dense products share their working memory.
    while (!encoded && end < operands.batch && !is_sparse(counts_of(end), pixels)) ++end;
    const Operands images = images_of(operands, params_, first, end);
    if (encoded) {
      run_encoded(images, chunks(counts_of(first), pixels), *room, host);
    } else {
      dense_->run(images, host);
    }
  }
}

// The weights of a single tap follow each other from chunk to chunk.  Where pixels have few values,
// larger chunks are worth weights that come from the second-level cache: sums are loaded and stored
// less often.
Chunks ActivationSparse::chunks(const int64_t* counts, int64_t pixels) const {
  const int64_t visits = pixels * chunking_.count(), per_group = chunking_.per_group();
  const int64_t nonzeros = std::accumulate(counts, counts + chunking_.count(), int64_t{0});
  const double merged = kernels_.tuning.visit_values * static_cast<double>(visits) /
                        static_cast<double>(std::max<int64_t>(nonzeros, 1));
  const int64_t most = params_.taps() == params_.channels_per_group
                           ? std::min<int64_t>(Tuning::merged_chunks, per_group)
                           : 1;
  const int64_t larger = merged < 1 ? 1 : static_cast<int64_t>(std::min<double>(merged, most));
  // As few chunks as that makes, of about the same size: 2 and 2 of 4, not 3 and 1.
  const int64_t together = divide_up(per_group, divide_up(per_group, larger));
  Chunks found = {chunking_.merged(together), {}};
  found.counts.resize(found.chunking.count());
  for (int64_t c = 0; c < chunking_.count(); ++c) {
    const int64_t group = c / per_group, in_group = c % per_group;
    found.counts[group * found.chunking.per_group() + in_group / together] += counts[c];
  }
  return found;
}

Room ActivationSparse::room(int64_t encoded_bytes, const Operands& operands, Host& host) const {
  const int64_t out_w = params_.out_w(operands.in_w);
  const int64_t plane = params_.out_h(operands.in_h) * out_w, blocks = params_.groups * blocks_;
  const int threads = host.threads();
  const int64_t wanted = threads == 1 ? 1 : divide_up(4 * threads, blocks);
  const int64_t most_sums = floats_in(kernels_.tuning.sums_second_level, caches().second);
  const int64_t tiles = std::min(std::max(wanted, divide_up(plane * block_, most_sums)), plane);
  const int64_t pixels = round_up(divide_up(plane, tiles), sweep_ ? out_w : 1);
  char* encoded = encoded_bytes == 0 ? nullptr : static_cast<char*>(host.scratch(encoded_bytes));
  return {encoded, pixels, Workers(host, blocks * divide_up(plane, pixels), pixels * block_)};
}

void ActivationSparse::run_encoded(const Operands& image, const Chunks& chunks, const Room& room,
                                   Host& host) const {
  const int64_t pixels = image.in_h * image.in_w;
  const Chunking& chunking = chunks.chunking;
  const std::vector<int64_t>& counts = chunks.counts;
  const std::vector<EncodedChunk> encoded =
      lay_out(encoding_, chunking, counts.data(), pixels, room.encoded);
  host.parallel_for(chunking.count(), [&](int64_t c) {
    if (counts[c] == 0) return;
    encoding_.encode({image.x + chunking.first(c) * pixels, chunking.width(c), pixels,
                      chunking.channels(), encoded[c]});
  });
  std::vector<std::vector<EncodedChunk>> present(params_.groups);
  for (int64_t c = 0; c < chunking.count(); ++c) {
    if (counts[c] != 0) present[c / chunking.per_group()].push_back(encoded[c]);
  }
  walk(image, chunking, present, room);
}

void ActivationSparse::walk(const Operands& image, const Chunking& chunking,
                            const std::vector<std::vector<EncodedChunk>>& chunks,
                            const Room& room) const {
  const int64_t out_w = params_.out_w(image.in_w), plane = params_.out_h(image.in_h) * out_w;
  const int64_t tiles = divide_up(plane, room.task_pixels);
  room.workers.run(params_.groups * blocks_ * tiles, [&](int64_t task, float* sums) {
    const int64_t first = task % tiles * room.task_pixels, block = task / tiles;
    const int64_t group = block / blocks_, filter = block % blocks_ * block_;
    WalkJob job = {};
    job.params = &params_;
    job.in_h = image.in_h;
    job.in_w = image.in_w;
    job.out_w = out_w;
    job.chunk = chunks[group].data();
    job.chunks = chunks[group].size();
    job.chunk_channels = chunking.channels();
    job.weight = weight_.get() + block * chunking_.per_group() * tile_;
    job.weight_stride = tile_ * (chunking.channels() / chunking_.channels());
    job.bias = bias_.get() + block * block_;
    job.sums = sums;
    job.first_pixel = first;
    job.pixels = std::min(room.task_pixels, plane - first);
    job.block = block_;
    (sweep_ ? encoding_.sweep : encoding_.gather)(job);

    const int64_t at = (group * filters_ + filter) * plane + first;
    const float* residual = image.residual == nullptr ? nullptr : image.residual + at;
    kernels_.activation_finish({sums, residual, image.y + at, job.pixels, plane,
                                std::min(block_, filters_ - filter), block_, epilogue_});
  });
}

std::unique_ptr<Conv> make_activation_sparse(const Encoding& encoding, const ConvParams& params,
                                             const Weight& weight, const float* bias,
                                             const Epilogue& epilogue, const KernelTable& kernels,
                                             std::string* error) {
  std::unique_ptr<Conv> dense = make_im2col(params, weight, bias, epilogue, kernels, error);
  if (dense == nullptr) return nullptr;
  // Positions of a run are told apart modulo 2^16.
  if (params.kernel_w > (1 << 16) / Tuning::chunk_channels) {
    *error = "kernel of " + std::to_string(params.kernel_w) + " columns is too wide; at most 1024";
    return nullptr;
  }
  // Blocks are padded to at most eight vectors of 16.
  constexpr int64_t kMostBlock = 128;
  const Chunking chunking(params.groups, params.channels_per_group);
  const int64_t padded = round_up(params.filters / params.groups, kMostBlock);
  if (product({params.groups, padded, chunking.per_group() * chunking.channels(), params.kernel_h,
               params.kernel_w}) < 0) {
    *error = "the weight is too large";
    return nullptr;
  }
  return std::make_unique<ActivationSparse>(encoding, params, weight.values, bias, epilogue,
                                            kernels, std::move(dense));
}

}  // namespace

std::unique_ptr<Conv> make_cpo(const ConvParams& params, const Weight& weight, const float* bias,
                               const Epilogue& epilogue, const KernelTable& kernels,
                               std::string* error) {
  return make_activation_sparse(cpo_encoding(kernels), params, weight, bias, epilogue, kernels,
                                error);
}

std::unique_ptr<Conv> make_cps(const ConvParams& params, const Weight& weight, const float* bias,
                               const Epilogue& epilogue, const KernelTable& kernels,
                               std::string* error) {
  return make_activation_sparse(cps_encoding(kernels), params, weight, bias, epilogue, kernels,
                                error);
}

}  // namespace sparsepass
