#include "activation_sparse/encoded_input.h"

#include <algorithm>

#include "base/aligned.h"
#include "base/arithmetic.h"

namespace sparsepass {
namespace {

constexpr int64_t kLine = 64;

// Entries that each array of a chunk needs.
struct Room {
  int64_t values, index, groups, starts, group_starts;

  Room(const Encoding& encoding, const Chunking& chunking, int64_t count, int64_t pixels) {
    const int64_t most_groups = std::min(count, pixels * chunking.channels() / kGroup);
    values = count + kEncodingSlack;
    index = encoding.grouped ? 0 : count + kEncodingSlack;
    groups = encoding.grouped ? most_groups + kEncodingSlack : 0;
    starts = pixels + 1;
    group_starts = encoding.grouped ? starts : 0;
  }

  int64_t bytes() const {
    return round_up(4 * values, kLine) + round_up(2 * index, kLine) + round_up(4 * groups, kLine) +
           round_up(4 * starts, kLine) + round_up(4 * group_starts, kLine);
  }
};

template <class T>
T* take(char** memory, int64_t count) {
  T* array = reinterpret_cast<T*>(*memory);
  *memory += round_up(count * static_cast<int64_t>(sizeof(T)), kLine);
  return array;
}

}  // namespace

Encoding cpo_encoding(const KernelTable& kernels) {
  return {false, kernels.cpo_encode, kernels.cpo_gather, kernels.cpo_sweep};
}

Encoding cps_encoding(const KernelTable& kernels) {
  return {true, kernels.cps_encode, kernels.cps_gather, kernels.cps_sweep};
}

// As few chunks as chunk_channels allows, evenly filled.
Chunking::Chunking(int64_t groups, int64_t channels_per_group)
    : groups_(groups), channels_per_group_(channels_per_group) {
  const int64_t chunks = divide_up(channels_per_group, Tuning::chunk_channels);
  channels_ = round_up(divide_up(channels_per_group, chunks), kGroup);
  per_group_ = divide_up(channels_per_group, channels_);
}

int64_t Chunking::first(int64_t chunk) const {
  return chunk / per_group_ * channels_per_group_ + chunk % per_group_ * channels_;
}

int64_t Chunking::width(int64_t chunk) const {
  return std::min(channels_, channels_per_group_ - chunk % per_group_ * channels_);
}

int64_t encoding_room(const Encoding& encoding, const Chunking& chunking, const int64_t* counts,
                      int64_t pixels) {
  int64_t bytes = 0;
  for (int64_t chunk = 0; chunk < chunking.count(); ++chunk) {
    bytes += Room(encoding, chunking, counts[chunk], pixels).bytes();
  }
  return bytes;
}

std::vector<EncodedChunk> lay_out(const Encoding& encoding, const Chunking& chunking,
                                  const int64_t* counts, int64_t pixels, char* memory) {
  std::vector<EncodedChunk> chunks;
  for (int64_t chunk = 0; chunk < chunking.count(); ++chunk) {
    const Room room(encoding, chunking, counts[chunk], pixels);
    EncodedChunk encoded = {};
    encoded.number = chunk % chunking.per_group();
    encoded.values = take<float>(&memory, room.values);
    encoded.index = take<uint16_t>(&memory, room.index);
    encoded.groups = take<uint32_t>(&memory, room.groups);
    encoded.value_start = take<uint32_t>(&memory, room.starts);
    encoded.group_start = take<uint32_t>(&memory, room.group_starts);
    chunks.push_back(encoded);
  }
  return chunks;
}

EncodingSize measure_encoding(const Encoding& encoding, const KernelTable& kernels, const float* x,
                              int64_t images, int64_t channels, int64_t pixels) {
  const Chunking chunking(1, channels);
  EncodingSize size;
  for (int64_t image = 0; image < images; ++image, x += channels * pixels) {
    std::vector<int64_t> counts;
    for (int64_t c = 0; c < chunking.count(); ++c) {
      counts.push_back(
          kernels.activation_count(x + chunking.first(c) * pixels, chunking.width(c) * pixels));
    }
    const int64_t bytes = encoding_room(encoding, chunking, counts.data(), pixels);
    const AlignedFloats memory = allocate_floats(divide_up(bytes, 4));
    const std::vector<EncodedChunk> chunks =
        lay_out(encoding, chunking, counts.data(), pixels, reinterpret_cast<char*>(memory.get()));
    for (int64_t c = 0; c < chunking.count(); ++c) {
      if (counts[c] == 0) continue;
      encoding.encode({x + chunking.first(c) * pixels, chunking.width(c), pixels,
                       chunking.channels(), chunks[c]});
      size.values += counts[c];
      size.indices += encoding.grouped ? chunks[c].group_start[pixels] : counts[c];
      size.pointers += (encoding.grouped ? 2 : 1) * (pixels + 1);
    }
  }
  size.bytes = 4 * size.values + (encoding.grouped ? 4 : 2) * size.indices + 4 * size.pointers;
  return size;
}

}  // namespace sparsepass
