#include "spmm_code.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "emitter.h"

namespace sparsepass {
namespace {

#if defined(__x86_64__)

// Arguments of generated code, in the registers of the System V convention.
constexpr Register kX = rdi, kWeights = rsi, kY = rdx, kResidual = rcx, kPartial = r8, kUnitInfo = r9;
using Function = void(__attribute__((sysv_abi)) *)(const float* x, const float* weights, float* y,
                                                  const float* residual, float* partial,
                                                  uint64_t unit, const uint8_t* next);
// Where the slice of the next piece begins that a call asks for.
constexpr Register kNext = r11;
constexpr size_t kLine = 64;
// Bytes of code and weights per multiply-add, about, for planning prefetches.
constexpr int64_t kMultiplyBytes = 15;

// Walks the stream of weights, in the order in which the code reads them.  The register points into
// the middle of a window that one-byte displacements reach.
template <class Emit, int kWindow>
class WeightStream {
 public:
  WeightStream(Emit& emit, std::vector<float>& weights) : emit_(emit), weights_(weights) {}

  // Appends a value and returns its address.
  Memory next(float value) {
    if (used_ == kWindow) reserve(kWindow);
    weights_.push_back(value);
    return {kWeights, (used_++ - kWindow / 2) * 4};
  }

  // Makes the next `count` values addressable at the same time.
  void reserve(int count) {
    if (used_ + count <= kWindow) return;
    emit_.Emitter::add(kWeights, used_ * 4);
    used_ = 0;
  }

 private:
  Emit& emit_;
  std::vector<float>& weights_;
  int used_ = 0;
};

// Both writers cover one unit of 16 positions, so that everything around them is the same.
//
// AVX-512: one register per output channel; the weight is broadcast by the multiply-add itself.
class Avx512Writer {
 public:
  static constexpr int kRows = 28;
  static constexpr int kWindow = 256;
  Avx512Emitter emit;
  WeightStream<Avx512Emitter, kWindow> stream;

  explicit Avx512Writer(std::vector<float>& weights) : stream(emit, weights) {}

  void begin(int row, float bias) { emit.broadcast(row, stream.next(bias)); }
  void resume(int row) { emit.load(row, {kPartial, row * 64}); }
  void suspend(int row) { emit.store({kPartial, row * 64}, row); }
  void load_input(int32_t bytes) {
    input_ = input_ == 30 ? 31 : 30;
    emit.load(input_, {kX, bytes});
  }
  void multiply_add(int row, float value) { emit.fma(row, input_, stream.next(value)); }

  void open_epilogue(const SpmmCodeOptions& options) {
    const Epilogue& e = options.epilogue;
    stream.reserve(3);
    if (e.low > -std::numeric_limits<float>::infinity()) emit.broadcast(28, stream.next(e.low));
    if (e.high < std::numeric_limits<float>::infinity()) emit.broadcast(29, stream.next(e.high));
    if (e.slope != 1.0f) {
      emit.broadcast(30, stream.next(e.slope));
      emit.zero(31);
    }
    emit.move_to_mask(2, kUnitInfo);
    emit.shift_right(kUnitInfo, 16);
    emit.move_to_mask(1, kUnitInfo);
  }
  void finish(int row, int32_t y_bytes, const SpmmCodeOptions& options) {
    const Epilogue& e = options.epilogue;
    if (options.gaps) emit.compress(row, row, 2);
    if (options.residual) emit.add_masked(row, {kResidual, y_bytes}, 1);
    if (e.slope != 1.0f) {
      emit.compare_less(3, row, 31);
      emit.multiply_masked(row, row, 30, 3);
    }
    if (e.low > -std::numeric_limits<float>::infinity()) emit.max(row, 28, row);
    if (e.high < std::numeric_limits<float>::infinity()) emit.min(row, 29, row);
    emit.store_masked({kY, y_bytes}, row, 1);
  }

 private:
  int input_ = 30;
};

// AVX2: two registers per output channel, lower and upper half of the unit.
class Avx2Writer {
 public:
  static constexpr int kRows = 6;
  static constexpr int kWindow = 64;
  Avx2Emitter emit;
  WeightStream<Avx2Emitter, kWindow> stream;

  explicit Avx2Writer(std::vector<float>& weights) : stream(emit, weights) {}

  void begin(int row, float bias) {
    const Memory m = stream.next(bias);
    emit.broadcast(2 * row, m);
    emit.broadcast(2 * row + 1, m);
  }
  void resume(int row) {
    emit.load(2 * row, {kPartial, row * 64});
    emit.load(2 * row + 1, {kPartial, row * 64 + 32});
  }
  void suspend(int row) {
    emit.store({kPartial, row * 64}, 2 * row);
    emit.store({kPartial, row * 64 + 32}, 2 * row + 1);
  }
  void load_input(int32_t bytes) {
    emit.load(12, {kX, bytes});
    emit.load(13, {kX, bytes + 32});
  }
  void multiply_add(int row, float value) {
    weight_ = weight_ == 14 ? 15 : 14;
    emit.broadcast(weight_, stream.next(value));
    emit.fma(2 * row, 12, weight_);
    emit.fma(2 * row + 1, 13, weight_);
  }

  void open_epilogue(const SpmmCodeOptions& options) {
    const Epilogue& e = options.epilogue;
    stream.reserve(3);
    if (e.low > -std::numeric_limits<float>::infinity()) emit.broadcast(12, stream.next(e.low));
    if (e.high < std::numeric_limits<float>::infinity()) emit.broadcast(13, stream.next(e.high));
    if (e.slope != 1.0f) slope_ = stream.next(e.slope);
    emit.mov(rax, {kUnitInfo, 128});  // LaneMoves::upper_bytes
    emit.lea(r8, kY, rax);
    if (options.residual) emit.lea(r10, kResidual, rax);
  }
  void finish(int row, int32_t y_bytes, const SpmmCodeOptions& options) {
    const Epilogue& e = options.epilogue;
    for (int half = 0; half < 2; ++half) {
      const int acc = 2 * row + half;
      const Register y = half ? r8 : kY, residual = half ? r10 : kResidual;
      const Memory from = {kUnitInfo, 32 * half}, keep = {kUnitInfo, 64 + 32 * half};
      if (options.gaps) {
        emit.load(14, from);
        emit.permute(acc, 14, acc);
      }
      emit.load(14, keep);
      if (options.residual) {
        emit.load_masked(15, 14, {residual, y_bytes});
        emit.add(acc, acc, 15);
      }
      if (e.slope != 1.0f) {
        emit.broadcast(15, slope_);
        emit.multiply(15, acc, 15);
        emit.blend(acc, acc, 15, acc);
      }
      if (e.low > -std::numeric_limits<float>::infinity()) emit.max(acc, 12, acc);
      if (e.high < std::numeric_limits<float>::infinity()) emit.min(acc, 13, acc);
      emit.store_masked({y, y_bytes}, 14, acc);
    }
  }

 private:
  int weight_ = 14;
  Memory slope_ = {kWeights, 0};
};

// One kept weight of a block: its tap, counted from the block's first, and its row in the block.
struct Multiply {
  int32_t tap, row;
  float value;
};

// The kept weights of rows [first, first + rows), ordered by tap.
std::vector<Multiply> by_tap(const SparseRows& weight, int64_t first, int64_t rows) {
  const int64_t begin = weight.row_start[first], end = weight.row_start[first + rows];
  if (begin == end) return {};
  const auto range = std::minmax_element(weight.tap.begin() + begin, weight.tap.begin() + end);
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
  int64_t lines;      // of the next piece that a call asks for
  const std::vector<int64_t>* offset;
  const SpmmCodeOptions* options;
};

int64_t SpmmCode::block_rows(Isa isa) {
  return isa == Isa::avx512 ? Avx512Writer::kRows : isa == Isa::avx2 ? Avx2Writer::kRows : 0;
}

bool SpmmCode::generate(Isa isa, const SparseRows& weight, const float* bias,
                        const std::vector<int64_t>& offset, const SpmmCodeOptions& options) {
  const int64_t most = std::numeric_limits<int32_t>::max() / 4 - 2 * kUnit;
  if (!block_rows(isa) || options.y_stride * block_rows(isa) > most) return false;
  if (!offset.empty() && *std::max_element(offset.begin(), offset.end()) > most) return false;
  isa_ = isa;
  y_stride_ = options.y_stride;
  if (isa == Isa::avx512) return generate_with<Avx512Writer>(weight, bias, offset, options);
  return generate_with<Avx2Writer>(weight, bias, offset, options);
}

// Appends a piece to `image` and returns where it lies.
template <class Writer>
SpmmCode::Piece SpmmCode::write_piece(const PieceContent& content, std::vector<uint8_t>* image) {
  std::vector<float> weights;
  Writer writer(weights);
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
  int64_t asked = 0;
  int32_t loaded = -1;
  for (int64_t i = 0; i < count; ++i) {
    const Multiply& multiply = content.begin[i];
    if (multiply.tap != loaded) {
      loaded = multiply.tap;
      writer.load_input(static_cast<int32_t>((*content.offset)[loaded] * 4));
    }
    for (; asked * count < i * content.lines; ++asked) {
      writer.emit.prefetch({kNext, static_cast<int32_t>(asked * kLine)});
    }
    writer.multiply_add(multiply.row, multiply.value);
  }
  if (content.is_last) {
    writer.open_epilogue(options);
    for (int r = 0; r < content.rows; ++r) {
      writer.finish(r, static_cast<int32_t>(r * options.y_stride * 4), options);
    }
  } else {
    for (int r = 0; r < content.rows; ++r) writer.suspend(r);
  }
  writer.emit.ret();

  Piece piece = {};
  piece.code = image->size();
  piece.slice = static_cast<size_t>(content.lines) * kLine;
  image->insert(image->end(), writer.emit.data(), writer.emit.data() + writer.emit.size());
  image->resize((image->size() + kLine - 1) / kLine * kLine, 0xCC);
  piece.weights = image->size() + Writer::kWindow / 2 * sizeof(float);
  const uint8_t* values = reinterpret_cast<const uint8_t*>(weights.data());
  image->insert(image->end(), values, values + weights.size() * sizeof(float));
  image->resize((image->size() + kLine - 1) / kLine * kLine, 0xCC);
  return piece;
}

template <class Writer>
bool SpmmCode::generate_with(const SparseRows& weight, const float* bias,
                             const std::vector<int64_t>& offset, const SpmmCodeOptions& options) {
  const int64_t count = (weight.rows + Writer::kRows - 1) / Writer::kRows;
  std::vector<uint8_t> image;
  for (int64_t b = 0; b < count; ++b) {
    const int64_t first = b * weight.rows / count;
    const int rows = static_cast<int>((b + 1) * weight.rows / count - first);
    const std::vector<Multiply> multiplies = by_tap(weight, first, rows);
    const int64_t total = static_cast<int64_t>(multiplies.size());
    const int64_t split =
        std::max<int64_t>(1, (total + options.most_multiplies / 2) / options.most_multiplies);
    SpmmBlock block = {first, rows, pieces_.size(), pieces_.size() + split};
    for (int64_t s = 0; s < split; ++s) {
      PieceContent content = {};
      content.begin = multiplies.data() + s * total / split;
      content.end = multiplies.data() + (s + 1) * total / split;
      content.rows = rows;
      content.bias = s == 0 ? bias + first : nullptr;
      content.is_last = s + 1 == split;
      content.offset = &offset;
      content.options = &options;
      // Pieces are about as long as their neighbours.
      const int64_t bytes = total / split * kMultiplyBytes;
      content.lines = bytes / static_cast<int64_t>(kLine) / options.units + 1;
      pieces_.push_back(write_piece<Writer>(content, &image));
    }
    if (split > 1) partial_floats_ = std::max<int64_t>(partial_floats_, rows * kUnit);
    blocks_.push_back(block);
  }
  for (size_t p = 0; p < pieces_.size(); ++p) {
    pieces_[p].next = pieces_[(p + 1) % pieces_.size()].code;
  }
  return code_.load(image.data(), image.size());
}

void SpmmCode::prefetch(const SpmmBlock& block) const {
  const Piece& first = pieces_[block.first_piece];
  const size_t end = block.first_piece + 1 < pieces_.size() ? first.next : code_.bytes();
  for (size_t at = first.code; at < end; at += kLine) {
    __builtin_prefetch(code_.data() + at, 0, 2);
  }
}

void SpmmCode::set_units(const Unit* units, int64_t count) {
  if (isa_ != Isa::avx2) return;
  lane_moves_.resize(count);
  for (int64_t u = 0; u < count; ++u) {
    LaneMoves& moves = lane_moves_[u];
    moves = {};
    for (int half = 0; half < 2; ++half) {
      int kept = 0;
      for (int i = 0; i < 8; ++i) {
        if (!(units[u].mask >> (8 * half + i) & 1)) continue;
        moves.from[8 * half + kept] = i;
        moves.keep[8 * half + kept++] = -1;
      }
      if (half == 0) moves.upper_bytes = kept * 4;
    }
  }
}

void SpmmCode::run(const SpmmBlock& block, const Unit* units, int64_t first, int64_t count,
                   const float* x, const float* residual, float* y, float* partial) const {
  float* rows = y + block.first_row * y_stride_;
  const float* added = residual ? residual + block.first_row * y_stride_ : nullptr;
  for (size_t p = block.first_piece; p < block.last_piece; ++p) {
    const Piece& piece = pieces_[p];
    const auto function = reinterpret_cast<Function>(
        reinterpret_cast<uintptr_t>(code_.data() + piece.code));
    const float* weights = reinterpret_cast<const float*>(code_.data() + piece.weights);
    const uint8_t* next = code_.data() + piece.next;
    for (int64_t u = first; u < first + count; ++u) {
      const Unit& unit = units[u];
      uint64_t info;
      if (isa_ == Isa::avx512) {
        const uint32_t kept = (1u << __builtin_popcount(unit.mask)) - 1;
        info = unit.mask | kept << 16;
      } else {
        info = reinterpret_cast<uintptr_t>(&lane_moves_[u]);
      }
      function(x + unit.x, weights, rows + unit.y, added ? added + unit.y : nullptr,
               partial + (u - first) * partial_floats_, info, next);
      next += piece.slice;
    }
  }
}

#else

int64_t SpmmCode::block_rows(Isa) { return 0; }
bool SpmmCode::generate(Isa, const SparseRows&, const float*, const std::vector<int64_t>&,
                        const SpmmCodeOptions&) {
  return false;
}
void SpmmCode::set_units(const Unit*, int64_t) {}
void SpmmCode::prefetch(const SpmmBlock&) const {}
void SpmmCode::run(const SpmmBlock&, const Unit*, int64_t, int64_t, const float*, const float*,
                   float*, float*) const {}

#endif

}  // namespace sparsepass
