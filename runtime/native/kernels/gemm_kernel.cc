// The register tiles of the dense matrix product.
#include "kernels/gemm_kernel.h"

#include "kernels/gemm_finish.h"
#include "kernels/gemm_plain.h"
#include "simd/shuffle.h"
#include "simd/vector.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {
namespace {

#if SPARSEPASS_LANES == 16  // 32 vector registers
constexpr int kTileFilters = 8;
constexpr int kTileColumns = 14;
#else  // 16 vector registers
constexpr int kTileFilters = 4;
constexpr int kTileColumns = 6;
#endif
constexpr int kMostVectors = 3;

// How far ahead weights are fetched: a page, because the processor's own prefetching stops there.
// Only where a vector is a whole cache line: with shorter ones the loads that this takes cost more.
constexpr int kAhead = 4096 / sizeof(float);

// Calls add(row) with every row of the panel from `column` on, in order of depth.
//
// Loops end at addresses: where GCC counts in memory instead, a multiply-add waits for the count.
// Both have at least one turn: a loop that may be empty makes it keep sums in memory.
template <class Add>
SPARSEPASS_INLINE void for_each_row(const GemmJob& job, int64_t column, const Add& add) {
  const float* row = job.panel + column;
  const float* const end = row + job.panel_rows * job.panel_stride;
  const int64_t* const last = job.window_offset + job.window;
  do {
    const int64_t* offset = job.window_offset;
    do {
      add(row + *offset);
    } while (++offset != last);
    row += job.panel_stride;
  } while (row != end);
}

// The same where the window is 1.
template <class Add>
SPARSEPASS_INLINE void for_each_single_row(const GemmJob& job, int64_t column, const Add& add) {
  const float* row = job.panel + *job.window_offset + column;
  const float* const end = row + job.panel_rows * job.panel_stride;
  do {
    add(row);
    row += job.panel_stride;
  } while (row != end);
}

// One register tile, vectors along columns: kFilters filters from `filter` on, whose weights are
// neighbours in one block, by kVectors vectors from `column` on, which kCopy copies to the strip.
template <int kFilters, int kVectors, bool kCopy>
void tile_of_columns(const GemmJob& job, int64_t filter, int64_t column) {
  vf sums[kFilters * kVectors];
  for (int i = 0; i < kFilters * kVectors; ++i) sums[i] = vf{};
  const float* weight = job.weight + filter / kLanes * job.weight_stride + filter % kLanes;
  float* copy = job.strip;
  const int64_t last =
      job.columns - column - (kVectors - 1) * kLanes;  // columns of the last vector
  const auto add = [&](const float* from) {
    if (kVectors == 1) __builtin_prefetch(weight + kAhead);
    vf x[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      const bool part = kCopy && v == kVectors - 1;
      x[v] = part ? load_up_to(from + v * kLanes, last) : load(from + v * kLanes);
      if (kCopy) {
        // Rows lie too far apart for the processor to see what the next strip reads.
        __builtin_prefetch(from + (kVectors + v) * kLanes);
        store(copy + v * kLanes, x[v]);
      }
    }
    if (kCopy) copy += kVectors * kLanes;
    for (int f = 0; f < kFilters; ++f) {
      vf w = splat(weight[f]);
      for (int v = 0; v < kVectors; ++v) {
        sums[f * kVectors + v] = fma(w, x[v], sums[f * kVectors + v]);
      }
    }
    weight += kLanes;
  };
  if (kCopy || job.window == 1) {
    for_each_single_row(job, column, add);
  } else {
    for_each_row(job, column, add);
  }
  if (!job.accumulate && column + kVectors * kLanes <= job.columns) {
    const int64_t at = filter * job.out_stride + column;
    if (job.bias != nullptr) {
      complete_sums<kVectors>(sums, job.bias + filter, job.residual ? job.residual + at : nullptr,
                              job.out_stride, job.epilogue);
    }
    float* const out = job.out + at;
#pragma GCC unroll 32
    for (int i = 0; i < kFilters * kVectors; ++i) {
      store(out + i / kVectors * job.out_stride + i % kVectors * kLanes, sums[i]);
    }
    return activate_sums(job, filter, kFilters, column, kVectors * kLanes);
  }
  vf tile[kFilters * kVectors];
#pragma GCC unroll 32
  for (int i = 0; i < kFilters * kVectors; ++i) tile[i] = sums[i];
  finish_columns(job, tile, kFilters, kVectors, filter, column);
}

// The register tile for the filters from `filter` on; returns how many it takes.
template <int kVectors, bool kCopy>
int64_t next_tile_of_columns(const GemmJob& job, int64_t filter, int64_t column) {
  // One vector leaves registers for a whole block, whose weights are then read only once.
  constexpr int kMost = kVectors == 1 ? kLanes : kTileFilters;
  const int64_t left = job.filters - filter;
  if (left >= kMost) {
    tile_of_columns<kMost, kVectors, kCopy>(job, filter, column);
    return kMost;
  }
  if (kMost > 8 && left >= 8) {
    tile_of_columns<8, kVectors, kCopy>(job, filter, column);
    return 8;
  }
  if (left >= 4) {
    tile_of_columns<4, kVectors, kCopy>(job, filter, column);
    return 4;
  }
  if (left >= 2) {
    tile_of_columns<2, kVectors, kCopy>(job, filter, column);
    return 2;
  }
  tile_of_columns<1, kVectors, kCopy>(job, filter, column);
  return 1;
}

// The register tiles for the filters from `filter` on.
template <int kVectors>
void tiles_of_columns(const GemmJob& job, int64_t filter, int64_t column) {
  if (kVectors > 1 && is_plain<kVectors>(job, column)) {
    filter = plain_tiles<kTileFilters, kVectors>(job, filter, column);
  }
  while (filter < job.filters) filter += next_tile_of_columns<kVectors, false>(job, filter, column);
}

template <int kVectors>
void strip_of_columns(const GemmJob& job, int64_t column) {
  if (job.strip == nullptr) return tiles_of_columns<kVectors>(job, 0, column);
  const int64_t filter = next_tile_of_columns<kVectors, true>(job, 0, column);
  GemmJob rest = job;
  rest.panel = job.strip - column;
  rest.panel_stride = kVectors * kLanes;
  tiles_of_columns<kVectors>(rest, filter, column);
}

void multiply_columns(const GemmJob& job) {
  int64_t column = 0;
  while (column < job.columns) {
    int64_t vectors = (job.columns - column + kLanes - 1) / kLanes;
    // Four are two and two: one vector alone keeps the multipliers waiting for loads.
    if (vectors == 1) {
      strip_of_columns<1>(job, column);
      column += kLanes;
    } else if (vectors == 2 || vectors == 4) {
      strip_of_columns<2>(job, column);
      column += 2 * kLanes;
    } else {
      strip_of_columns<kMostVectors>(job, column);
      column += kMostVectors * kLanes;
    }
  }
}

// One register tile, vectors along filters: kBlocks blocks of filters from `filter` on by kColumns
// columns, transposed when it is stored.
template <int kColumns, int kBlocks>
void tile_of_filters(const GemmJob& job, int64_t filter, int64_t column) {
  vf sums[kColumns][kBlocks];
  for (int n = 0; n < kColumns; ++n) {
    for (int b = 0; b < kBlocks; ++b) sums[n][b] = vf{};
  }
  const float* weight = job.weight + filter / kLanes * job.weight_stride;
  const auto add = [&](const float* from) {
    vf w[kBlocks];
    for (int b = 0; b < kBlocks; ++b) {
      w[b] = load(weight + b * job.weight_stride);
      if (kLanes == 16) __builtin_prefetch(weight + b * job.weight_stride + kAhead);
    }
    for (int n = 0; n < kColumns; ++n) {
      vf x = splat(from[n]);
      for (int b = 0; b < kBlocks; ++b) sums[n][b] = fma(x, w[b], sums[n][b]);
    }
    weight += kLanes;
  };
  if (job.window == 1) {
    for_each_single_row(job, column, add);
  } else {
    for_each_row(job, column, add);
  }
  vf tile[kColumns * kBlocks];
  for (int n = 0; n < kColumns; ++n) {
    for (int b = 0; b < kBlocks; ++b) tile[n * kBlocks + b] = sums[n][b];
  }
  for (int b = 0; b < kBlocks; ++b) {
    finish_filters(job, tile + b, kColumns, kBlocks, filter + b * kLanes, column);
  }
}

using FiltersTile = void (*)(const GemmJob&, int64_t, int64_t);

template <int kBlocks>
FiltersTile filters_tile(int64_t columns) {
  static constexpr FiltersTile tiles[] = {
      tile_of_filters<1, kBlocks>,  tile_of_filters<2, kBlocks>,  tile_of_filters<3, kBlocks>,
      tile_of_filters<4, kBlocks>,  tile_of_filters<5, kBlocks>,  tile_of_filters<6, kBlocks>,
#if SPARSEPASS_LANES == 16
      tile_of_filters<7, kBlocks>,  tile_of_filters<8, kBlocks>,  tile_of_filters<9, kBlocks>,
      tile_of_filters<10, kBlocks>, tile_of_filters<11, kBlocks>, tile_of_filters<12, kBlocks>,
      tile_of_filters<13, kBlocks>, tile_of_filters<14, kBlocks>,
#endif
  };
  return tiles[columns - 1];
}

void multiply_filters(const GemmJob& job) {
  int64_t parts = (job.columns + kTileColumns - 1) / kTileColumns;
  for (int64_t filter = 0; filter < job.filters;) {
    int64_t blocks = job.filters - filter > kLanes ? 2 : 1;
    for (int64_t part = 0; part < parts; ++part) {
      int64_t column = job.columns * part / parts;
      int64_t columns = job.columns * (part + 1) / parts - column;
      FiltersTile tile = blocks == 2 ? filters_tile<2>(columns) : filters_tile<1>(columns);
      tile(job, filter, column);
    }
    filter += blocks * kLanes;
  }
}

}  // namespace

int64_t gemm_lanes() { return kLanes; }

void gemm(const GemmJob& job) {
  if (job.lanes == GemmLanes::columns) {
    multiply_columns(job);
  } else {
    multiply_filters(job);
  }
}

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass
