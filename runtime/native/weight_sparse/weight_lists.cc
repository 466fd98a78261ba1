#include "weight_sparse/weight_lists.h"

#include <algorithm>
#include <limits>
#include <tuple>

#include "base/arithmetic.h"

namespace sparsepass {
namespace {

constexpr int64_t kMost = std::numeric_limits<uint16_t>::max();

// What a row keeps of a slice.
struct Visit {
  int64_t row, begin, end;
  bool first, last;
};

}  // namespace

bool WeightLists::fits(const Layout& layout) {
  int64_t floats = 0;
  const int64_t kernel = static_cast<int64_t>(layout.distance.size());
  return multiply(layout.slice_channels, layout.channel_floats, &floats) &&
         floats <= kMostListDistance && kernel * layout.slice_channels <= kMost;
}

WeightLists::WeightLists(const RowRange& weight, const Layout& layout) {
  add_slices(layout);
  add_chunks(weight, layout);
  const size_t kept = static_cast<size_t>(weight.row_start[weight.rows] - weight.row_start[0]);
  distances_.reserve(kept);
  values_.reserve(kept);
  for (const Chunk& chunk : chunks_) add_chunk(weight, layout, chunk);
  starts_.push_back({runs_.size(), rows_.size(), values_.size()});
  rows_.push_back(0);  // kernels look one row ahead
}

// In equal parts.
void WeightLists::add_slices(const Layout& layout) {
  const int64_t count = divide_up(layout.channels, layout.slice_channels);
  for (int64_t s = 0; s < count; ++s) {
    slices_.push_back({s * layout.channels / count, (s + 1) * layout.channels / count});
  }
}

// With as much work in each, and at least one row.
void WeightLists::add_chunks(const RowRange& weight, const Layout& layout) {
  const auto work = [&](int64_t row) {
    return static_cast<double>(weight.row_start[row] - weight.row_start[0]) +
           layout.entry * static_cast<double>(row);
  };
  const int64_t count =
      std::min(std::max(layout.chunks, divide_up(weight.rows, kMost)), weight.rows);
  int64_t row = 0;
  for (int64_t c = 0; c < count; ++c) {
    const int64_t first = row++;
    const double target =
        work(weight.rows) * static_cast<double>(c + 1) / static_cast<double>(count);
    const int64_t most = std::min(weight.rows - (count - 1 - c), first + kMost);
    // What the chunks behind this one cannot hold.
    const int64_t least = weight.rows - (count - 1 - c) * kMost;
    while (row < most && (row < least || c + 1 == count || work(row) < target)) ++row;
    chunks_.push_back({first, row - first});
  }
}

void WeightLists::add_chunk(const RowRange& weight, const Layout& layout, const Chunk& chunk) {
  const int64_t kernel = static_cast<int64_t>(layout.distance.size());
  std::vector<int64_t> next(weight.row_start + chunk.first,
                            weight.row_start + chunk.first + chunk.rows);
  for (const Slice& slice : slices_) {
    starts_.push_back({runs_.size(), rows_.size(), values_.size()});
    std::vector<Visit> visits;
    for (int64_t r = 0; r < chunk.rows; ++r) {
      const int64_t row = chunk.first + r;
      const int64_t row_begin = weight.row_start[row], row_end = weight.row_start[row + 1];
      const int64_t begin = next[r];
      while (next[r] < row_end && weight.tap[next[r]] < slice.last * kernel) ++next[r];
      // A row without weights is its bias.
      const bool empty = row_begin == row_end && &slice == &slices_.front();
      if (next[r] == begin && !empty) continue;
      visits.push_back({r, begin, next[r], begin == row_begin, next[r] == row_end});
    }
    // The loop over the weights of a row leaves as predicted where rows of one length follow.
    std::stable_sort(visits.begin(), visits.end(), [](const Visit& a, const Visit& b) {
      return std::make_tuple(a.end - a.begin, a.first, a.last) <
             std::make_tuple(b.end - b.begin, b.first, b.last);
    });
    for (const Visit& visit : visits) {
      const auto weights = static_cast<uint16_t>(visit.end - visit.begin);
      const bool same = runs_.size() > starts_.back().run && runs_.back().weights == weights &&
                        runs_.back().first == visit.first && runs_.back().last == visit.last;
      if (same) {
        ++runs_.back().rows;
      } else {
        runs_.push_back({weights, 1, visit.first, visit.last});
      }
      rows_.push_back(static_cast<uint16_t>(visit.row));
      for (int64_t e = visit.begin; e < visit.end; ++e) {
        const int64_t channel = weight.tap[e] / kernel - slice.first;
        const int64_t distance =
            channel * layout.channel_floats + layout.distance[weight.tap[e] % kernel];
        distances_.push_back(static_cast<uint16_t>(distance / kListUnit));
        values_.push_back(weight.value[e]);
      }
    }
  }
}

void WeightLists::set(size_t chunk, size_t slice, ListJob* job) const {
  const Start& start = starts_[chunk * slices_.size() + slice];
  const Start& end = starts_[chunk * slices_.size() + slice + 1];
  job->runs = runs_.data() + start.run;
  job->run_count = static_cast<int64_t>(end.run - start.run);
  job->row = rows_.data() + start.row;
  job->distance = distances_.data() + start.weight;
  job->value = values_.data() + start.weight;
}

size_t WeightLists::bytes() const {
  return starts_.size() * sizeof(Start) + runs_.size() * sizeof(ListRun) +
         (rows_.size() + distances_.size()) * sizeof(uint16_t) + values_.size() * sizeof(float);
}

}  // namespace sparsepass
