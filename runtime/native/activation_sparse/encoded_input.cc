#include "activation_sparse/encoded_input.h"

#include <algorithm>

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

Chunking Chunking::merged(int64_t chunks) const {
  Chunking larger = *this;
  larger.channels_ = chunks * channels_;
  larger.per_group_ = divide_up(per_group_, chunks);
  return larger;
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

}  // namespace sparsepass
