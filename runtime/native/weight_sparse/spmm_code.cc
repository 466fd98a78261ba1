#include "weight_sparse/spmm_code.h"

#include <algorithm>
#include <limits>

#include "base/arithmetic.h"
#include "base/cache_lines.h"

#if defined(__x86_64__)
#include "weight_sparse/spmm_writers.h"
#endif

namespace sparsepass {
namespace {

#if defined(__x86_64__)

// One kept weight of a block: its tap, counted from the block's first, and its row in the block.
struct Multiply {
  int32_t tap, row;
  float value;
};

// The kept weights of rows [first, first + rows), ordered by tap.
std::vector<Multiply> by_tap(const RowRange& weight, int64_t first, int64_t rows) {
  const int64_t begin = weight.row_start[first], end = weight.row_start[first + rows];
  if (begin == end) return {};
  const auto range = std::minmax_element(weight.tap + begin, weight.tap + end);
  const int32_t least = *range.first;
  std::vector<int64_t> place(*range.second - least + 2, 0);
  for (int64_t e = begin; e < end; ++e) ++place[weight.tap[e] - least + 1];
  for (size_t t = 1; t < place.size(); ++t) place[t] += place[t - 1];
  std::vector<Multiply> ordered(end - begin);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t e = weight.row_start[first + r]; e < weight.row_start[first + r + 1]; ++e) {
      ordered[place[weight.tap[e] - least]++] = {weight.tap[e], static_cast<int32_t>(r),
                                                 weight.value[e]};
    }
  }
  return ordered;
}

#endif

}  // namespace

#if defined(__x86_64__)

// What one piece computes: multiplies [begin, end) of `rows` channels.
struct SpmmCode::PieceContent {
  const Multiply *begin, *end;
  int rows;
  const float* bias;  // null: goes on from the piece before
  bool is_last;       // of its block: applies the epilogue
  int64_t lines;      // of the next piece, that one call prefetches
  const std::vector<int64_t>* offset;
  const SpmmCodeOptions* options;
};

bool SpmmCode::knows(Isa isa) { return isa == Isa::avx512; }

// The machine code of a piece, then its weights; `weights` gets the distance between them.
std::vector<uint8_t> SpmmCode::write_piece(const PieceContent& content, size_t* weights_at) {
  std::vector<float> weights;
  CodeWriter writer(weights);
  const SpmmCodeOptions& options = *content.options;
  if (content.lines) writer.emit.mov_stack_argument(kNext);
  for (int r = 0; r < content.rows; ++r) {
    if (content.bias) {
      writer.begin(r, content.bias[r]);
    } else {
      writer.resume(r);
    }
  }
  const int64_t count = content.end - content.begin;
  int64_t prefetched = 0;
  // Evenly over the piece, and all of them: a line that is missing stops the machine for as long as
  // dozens of multiplications take.
  const auto prefetch = [&](int64_t done) {
    for (;
         prefetched * count < done * content.lines || (done == count && prefetched < content.lines);
         ++prefetched) {
      writer.emit.prefetch({kNext, static_cast<int32_t>(prefetched * kLine)});
    }
  };
  int32_t loaded = -1;
  for (int64_t i = 0; i < count; ++i) {
    const Multiply& multiply = content.begin[i];
    if (multiply.tap != loaded) {
      loaded = multiply.tap;
      writer.load_input(static_cast<int32_t>((*content.offset)[loaded] * 4));
    }
    prefetch(i);
    writer.multiply_add(multiply.row, multiply.value);
  }
  prefetch(count);
  if (content.is_last) {
    writer.open_epilogue(options);
    for (int r = 0; r < content.rows; ++r) {
      writer.finish(r, static_cast<int32_t>(r * options.y_stride * 4), options);
    }
  } else {
    for (int r = 0; r < content.rows; ++r) writer.suspend(r);
  }
  if (content.is_last) writer.emit.clear_upper_halves();
  writer.emit.ret();

  std::vector<uint8_t> bytes(writer.emit.data(), writer.emit.data() + writer.emit.size());
  bytes.resize((bytes.size() + kLine - 1) / kLine * kLine, 0xCC);
  *weights_at = bytes.size() + WeightStream::kWindow / 2 * sizeof(float);
  const uint8_t* values = reinterpret_cast<const uint8_t*>(weights.data());
  bytes.insert(bytes.end(), values, values + weights.size() * sizeof(float));
  bytes.resize((bytes.size() + kLine - 1) / kLine * kLine, 0xCC);
  return bytes;
}

bool SpmmCode::generate(const RowRange& weight, const float* bias,
                        const std::vector<int64_t>& offset, const SpmmCodeOptions& options) {
  // Floats that a displacement reaches, less what the code may add to it.
  const int64_t most = std::numeric_limits<int32_t>::max() / 4 - 4096;
  if (options.y_stride * CodeWriter::kRows > most) return false;
  if (!offset.empty() && *std::max_element(offset.begin(), offset.end()) > most) return false;
  gaps_ = options.gaps;
  y_stride_ = options.y_stride;
  const int64_t count = divide_up(weight.rows, CodeWriter::kRows);
  std::vector<std::vector<Multiply>> multiplies(count);
  std::vector<PieceContent> contents;
  for (int64_t b = 0; b < count; ++b) {
    const int64_t first = b * weight.rows / count;
    const int rows = static_cast<int>((b + 1) * weight.rows / count - first);
    multiplies[b] = by_tap(weight, first, rows);
    const int64_t total = static_cast<int64_t>(multiplies[b].size());
    const int64_t split =
        std::max<int64_t>(1, (total + options.most_multiplies / 2) / options.most_multiplies);
    blocks_.push_back({first, rows, contents.size(), contents.size() + split});
    for (int64_t s = 0; s < split; ++s) {
      PieceContent content = {};
      content.begin = multiplies[b].data() + s * total / split;
      content.end = multiplies[b].data() + (s + 1) * total / split;
      content.rows = rows;
      content.bias = s == 0 ? bias + first : nullptr;
      content.is_last = s + 1 == split;
      content.offset = &offset;
      content.options = &options;
      contents.push_back(content);
    }
    if (split > 1) partial_floats_ = std::max<int64_t>(partial_floats_, rows * kUnit);
  }
  // From the last to the first, so that each knows how long the next one is.  Behind the last comes
  // the first again, for the next strip or image: about as long as when it asks for nothing.
  pieces_.resize(contents.size());
  std::vector<std::vector<uint8_t>> written(contents.size());
  if (contents.size() > 1) written[0] = write_piece(contents[0], &pieces_[0].weights);
  for (size_t p = contents.size(); p-- > 0;) {
    PieceContent& content = contents[p];
    const int64_t lines = written[(p + 1) % contents.size()].size() / kLine;
    content.lines = (lines + options.units - 1) / options.units;
    pieces_[p].slice = static_cast<size_t>(content.lines) * kLine;
    written[p] = write_piece(content, &pieces_[p].weights);
  }
  std::vector<uint8_t> image;
  for (size_t p = 0; p < contents.size(); ++p) {
    pieces_[p].code = image.size();
    pieces_[p].weights += image.size();
    image.insert(image.end(), written[p].begin(), written[p].end());
    written[p] = {};
  }
  for (size_t p = 0; p < contents.size(); ++p) {
    pieces_[p].next = pieces_[(p + 1) % contents.size()].code;
  }
  code_end_ = image.size();
  return code_.load(image.data(), image.size(), options.most_bytes);
}

void SpmmCode::prefetch(const SpmmBlock& block) const {
  const Piece& first = pieces_[block.first_piece];
  const size_t end = block.first_piece + 1 < pieces_.size() ? first.next : code_end_;
  for (size_t at = first.code; at < end; at += kLine) {
    __builtin_prefetch(code_.data() + at, 0, 2);
  }
}

void SpmmCode::flush_outputs(const SpmmBlock& block, const Unit* units, int64_t count,
                             float* y) const {
  for (int64_t u = 0; u < count; ++u) {
    flush_lines(y + block.first_row * y_stride_ + units[u].y, block.rows, y_stride_, kUnit);
  }
}

void SpmmCode::run(const SpmmBlock& block, const SpmmBlock* next, const Unit* units, int64_t first,
                   int64_t count, const float* x, const float* residual, float* y,
                   float* partial) const {
  float* rows = y + block.first_row * y_stride_;
  const float* added = residual ? residual + block.first_row * y_stride_ : nullptr;
  for (size_t p = block.first_piece; p < block.last_piece; ++p) {
    const Piece& piece = pieces_[p];
    const auto function =
        reinterpret_cast<Function>(reinterpret_cast<uintptr_t>(code_.data() + piece.code));
    const float* weights = reinterpret_cast<const float*>(code_.data() + piece.weights);
    const uint8_t* next_code = code_.data() + piece.next;
    for (int64_t u = first; u < first + count; ++u) {
      const Unit& unit = units[u];
      const uint32_t kept = gaps_ ? (1u << __builtin_popcount(unit.mask)) - 1 : unit.mask;
      if (next && p == block.first_piece) {
        flush_outputs(*next, &unit, 1, y);
      }
      if (next && p + 1 == block.last_piece && u + Tuning::prefetch_ahead_units < first + count) {
        prefetch_for_write(rows + units[u + Tuning::prefetch_ahead_units].y, block.rows, y_stride_);
      }
      const int64_t at = unit.y - skipped(unit);
      function(x + unit.x, weights, rows + at, added ? added + at : nullptr,
               partial + (u - first) * partial_floats_, unit.mask | kept << 16, next_code);
      next_code += piece.slice;
    }
  }
}

#else

bool SpmmCode::knows(Isa) { return false; }
bool SpmmCode::generate(const RowRange&, const float*, const std::vector<int64_t>&,
                        const SpmmCodeOptions&) {
  return false;
}
void SpmmCode::prefetch(const SpmmBlock&) const {}
void SpmmCode::flush_outputs(const SpmmBlock&, const Unit*, int64_t, float*) const {}
void SpmmCode::run(const SpmmBlock&, const SpmmBlock*, const Unit*, int64_t, int64_t, const float*,
                   const float*, float*, float*) const {}

#endif

}  // namespace sparsepass
