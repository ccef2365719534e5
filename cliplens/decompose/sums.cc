#include "cliplens/decompose/sums.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/decompose/factor_block.h"
#include "cliplens/decompose/grid_rows.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"
#include "cliplens/io/safetensors.h"
#include "cliplens/model/nn/product.h"

namespace cliplens {
namespace {

constexpr Index kPartRows = 64;  // images of one task of contributions

// --- Products ---
// In one fixed order, so that their bits depend neither on the processor nor on the size of its
// caches, and a store can be verified elsewhere.

// Σ a_k b_k in four lanes.
double Dot(const double* a, const float* b, Index n) {
  double lane[4] = {0, 0, 0, 0};
  Index k = 0;
  for (; k + 4 <= n; k += 4) {
    for (int i = 0; i < 4; ++i) lane[i] += a[k + i] * static_cast<double>(b[k + i]);
  }
  double sum = (lane[0] + lane[1]) + (lane[2] + lane[3]);
  for (; k < n; ++k) sum += a[k] * static_cast<double>(b[k]);
  return sum;
}

void CheckSame(Index a, Index b, const char* what) {
  if (a != b) {
    throw Error(ErrorCode::kInvalidArgument,
                "statistics with {} {} cannot be merged with statistics with {}; they are of "
                "different models or settings",
                a, what, b);
  }
}

constexpr const char* kNames[StatisticsSums::kTensors] = {
    "head_sum",         "head_square",           "mlp_sum",
    "mlp_square",       "cls_attn_sum",          "cls_attn_square",
    "embedding_sum",    "embedding_square",      "shared",
    "mlp_total_square", "cls_attn_total_square", "certificate_sum"};
constexpr char kCount[] = "count";
constexpr char kCertificateMax[] = "certificate_max";

}  // namespace

StatisticsSums::StatisticsSums(const FactorSizes& sizes, Index slices)
    : layers_(sizes.layers),
      heads_(sizes.heads),
      factor_width_(sizes.factor.width()),
      embed_width_(sizes.embed_width),
      pool_mlp_(sizes.pool_mlp),
      level_(sizes.level),
      traces_(sizes.factor.constants == 0),
      counts_(ToSize(slices)) {
  for (std::size_t t = 0; t < kTensors; ++t) {
    Index size = 1;
    for (Index d : ShapeOf(static_cast<Tensor>(t))) size *= d;
    values_[t].assign(ToSize(size), 0);
  }
}

std::vector<Index> StatisticsSums::ShapeOf(Tensor tensor) const {
  const Index s = slices();
  switch (tensor) {
    case kHeadSum:
      return {s, layers_, heads_, factor_width_};
    case kHeadSquare:
      return {s, layers_, heads_, traces_ ? 1 : TriangleSize(factor_width_)};
    case kMlpSum:
      return {s, components().num_residual(), embed_width_};
    case kMlpSquare:
      return {s, components().num_residual()};
    case kClsAttnSum:
      return {s, layers_, embed_width_};
    case kClsAttnSquare:
      return {s, layers_};
    case kEmbeddingSum:
      return {s, embed_width_};
    case kEmbeddingSquare:
      return {s};
    case kShared:
      return {s, components().size()};
    case kMlpTotalSquare:
      return {components().num_residual(), TriangleSize(embed_width_)};
    case kClsAttnTotalSquare:
      return {layers_, TriangleSize(embed_width_)};
    case kCertificate:
    case kTensors:
      break;
  }
  return {1};
}

std::vector<double> StatisticsSums::Add(const FactorBlock& block, std::span<const Index> slice_of,
                                        const Basis& basis, int threads) {
  BlockSummation summation(*this, block, slice_of, basis);
  ParallelFor(threads, summation.tasks(), [&](Index task, int) { summation.Run(task); });
  return summation.certificates();
}

void StatisticsSums::Merge(const StatisticsSums& other) {
  CheckSame(layers_, other.layers_, "layers");
  CheckSame(heads_, other.heads_, "heads");
  CheckSame(factor_width_, other.factor_width_, "numbers a factor");
  CheckSame(embed_width_, other.embed_width_, "numbers an embedding");
  CheckSame(components().num_residual(), other.components().num_residual(), "MLPs");
  CheckSame(traces_ ? 1 : 0, other.traces_ ? 1 : 0, "traces");
  CheckSame(slices(), other.slices(), "slices");
  for (std::size_t s = 0; s < counts_.size(); ++s) counts_[s] += other.counts_[s];
  for (std::size_t t = 0; t < kTensors; ++t) {
    for (std::size_t i = 0; i < values_[t].size(); ++i) AddTo(values_[t][i], other.values_[t][i]);
  }
  certificate_max_ = std::max(certificate_max_, other.certificate_max_);
}

Index StatisticsSums::images() const {
  Index n = 0;
  for (const std::int64_t count : counts_) n += count;
  return n;
}

double StatisticsSums::certificate_mean() const {
  return ToDouble(values_[kCertificate][0]) / static_cast<double>(std::max<Index>(images(), 1));
}

std::string StatisticsSums::Difference(const StatisticsSums& other) const {
  if (counts_ != other.counts_) return kCount;
  for (std::size_t t = 0; t < kTensors; ++t) {
    if (values_[t] != other.values_[t]) return kNames[t];
  }
  return certificate_max_ == other.certificate_max_ ? "" : kCertificateMax;
}

std::vector<TensorToWrite> StatisticsSums::Tensors() const {
  static_assert(std::endian::native == std::endian::little, "files are little-endian");
  std::vector<TensorToWrite> tensors;
  const auto add = [&](const char* name, DataType type, std::vector<Index> shape, const auto* data,
                       std::size_t bytes) {
    tensors.push_back(
        {name, type, std::move(shape), {reinterpret_cast<const std::uint8_t*>(data), bytes}});
  };
  add(kCount, DataType::kI64, {slices()}, counts_.data(), counts_.size() * sizeof(std::int64_t));
  for (std::size_t t = 0; t < kTensors; ++t) {
    std::vector<Index> shape = ShapeOf(static_cast<Tensor>(t));
    shape.push_back(2);
    add(kNames[t], DataType::kI64, std::move(shape), values_[t].data(),
        values_[t].size() * sizeof(Fixed));
  }
  add(kCertificateMax, DataType::kF64, {1}, &certificate_max_, sizeof(certificate_max_));
  return tensors;
}

std::string StatisticsSums::Write(const std::filesystem::path& path) const {
  return WriteSafetensors(path, Tensors());
}

std::vector<std::uint8_t> StatisticsSums::ToBytes() const { return SafetensorsBytes(Tensors()); }

StatisticsSums StatisticsSums::Read(const std::filesystem::path& path) {
  const std::vector<std::uint8_t> bytes = ReadFile(path, std::numeric_limits<Index>::max());
  return FromTensors(SafetensorsView(bytes, PathText(path)), path.string());
}

StatisticsSums StatisticsSums::FromBytes(std::span<const std::uint8_t> bytes,
                                         const std::string& name) {
  return FromTensors(SafetensorsView(bytes, name), name);
}

StatisticsSums StatisticsSums::FromTensors(const SafetensorsView& file, const std::string& place) {
  const auto checked = [&](const char* name, DataType type, const std::vector<Index>& shape) {
    const TensorEntry& entry = file.at(name);
    if (entry.shape != shape || entry.type != type) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: tensor '{}' is {} {}, {} {} was expected; decompose again", place, name,
                  NameOf(entry.type), ShapeText(entry.shape), NameOf(type), ShapeText(shape));
    }
    return entry.bytes;
  };
  const std::vector<Index>& heads = file.at(kNames[kHeadSum]).shape;
  const std::vector<Index>& embedding = file.at(kNames[kEmbeddingSum]).shape;
  const auto outside = [](Index n) { return n < 1 || n > 1'000'000; };
  if (heads.size() != 5 || embedding.size() != 3 || std::ranges::any_of(heads, outside) ||
      std::ranges::any_of(embedding, outside)) {
    throw Error(ErrorCode::kCorruptData,
                "{}: '{}' {} and '{}' {} are no statistics; decompose again", place,
                kNames[kHeadSum], ShapeText(heads), kNames[kEmbeddingSum], ShapeText(embedding));
  }
  StatisticsSums sums;
  sums.layers_ = heads[1];
  sums.heads_ = heads[2];
  sums.factor_width_ = heads[3];
  sums.embed_width_ = embedding[1];
  // Which form each has is seen from its shape, which is checked below.
  const std::vector<Index>& mlps = file.at(kNames[kMlpSum]).shape;
  if (mlps.size() == 4 && mlps[1] < 2) sums.level_ = Level::kPool;  // no INPUT
  sums.pool_mlp_ =
      mlps.size() == 4 && mlps[1] == (sums.level_ == Level::kPool ? 1 : sums.layers_ + 2);
  const std::vector<Index>& squares = file.at(kNames[kHeadSquare]).shape;
  sums.traces_ = squares.size() == 5 && squares[3] == 1 && sums.factor_width_ == sums.embed_width_;
  sums.counts_.resize(ToSize(heads[0]));
  const std::span<const std::uint8_t> counts = checked(kCount, DataType::kI64, {heads[0]});
  std::memcpy(sums.counts_.data(), counts.data(), counts.size());
  constexpr std::int64_t kMostImages = std::int64_t{1} << 40;
  for (const std::int64_t count : sums.counts_) {
    if (count < 0 || count > kMostImages) {
      throw Error(ErrorCode::kCorruptData, "{}: a count of {} pictures; decompose again", place,
                  count);
    }
  }
  // Memory is allocated by what the file holds, not by what it claims.
  for (std::size_t t = 0; t < kTensors; ++t) {
    std::vector<Index> shape = sums.ShapeOf(static_cast<Tensor>(t));
    shape.push_back(2);
    const std::span<const std::uint8_t> bytes = checked(kNames[t], DataType::kI64, shape);
    sums.values_[t].resize(bytes.size() / sizeof(Fixed));
    // At the level of a pool without an MLP there are no residual parts.
    if (!bytes.empty()) std::memcpy(sums.values_[t].data(), bytes.data(), bytes.size());
  }
  std::memcpy(&sums.certificate_max_, checked(kCertificateMax, DataType::kF64, {1}).data(),
              sizeof(double));
  return sums;
}

// --- BlockSummation ---

BlockSummation::BlockSummation(StatisticsSums& sums, const FactorBlock& block,
                               std::span<const Index> slice_of, const Basis& basis)
    : sums_(sums), block_(block), basis_(basis), slice_(slice_of.begin(), slice_of.end()) {
  const auto slices = ToSize(sums.slices());
  begin_.assign(slices + 1, 0);
  for (const Index s : slice_) ++begin_[ToSize(s) + 1];
  for (std::size_t s = 0; s < slices; ++s) {
    sums.counts_[s] += begin_[s + 1];
    begin_[s + 1] += begin_[s];
  }
  std::vector<Index> next = begin_;
  order_.resize(slice_.size());
  for (std::size_t b = 0; b < slice_.size(); ++b) {
    const Index at = At(next, slice_[b])++;
    At(order_, at) = static_cast<Index>(b);
  }
  certificates_.resize(slice_.size());
  if (!slice_.empty()) {
    tasks_ =
        sums.components().size() + sums.layers_ + 1 + (block.images() + kPartRows - 1) / kPartRows;
  }
}

void BlockSummation::Run(Index task) {
  using S = StatisticsSums;
  const Index layers = sums_.layers_;
  const Index heads = sums_.components().num_heads();
  const Index triangle = TriangleSize(sums_.embed_width_);
  const Index components = sums_.components().size();
  const Index residual = sums_.components().num_residual();
  if (task < heads) return sums_.traces_ ? AddHeadContributions(task) : AddHead(task);
  task -= heads;
  if (task < residual) {
    return AddRows({.rows = block_.mlp[task],
                    .sum = S::kMlpSum,
                    .square = S::kMlpSquare,
                    .number = task,
                    .count = residual,
                    .shared = sums_.values_[S::kShared].data() + heads + task,
                    .shared_stride = components,
                    .total = sums_.values_[S::kMlpTotalSquare].data() + task * triangle});
  }
  task -= residual;
  if (task < layers) {
    return AddRows({.rows = block_.cls_attn[task],
                    .sum = S::kClsAttnSum,
                    .square = S::kClsAttnSquare,
                    .number = task,
                    .count = layers,
                    .total = sums_.values_[S::kClsAttnTotalSquare].data() + task * triangle});
  }
  task -= layers;
  if (task == 0) {
    return AddRows(
        {.rows = block_.embedding.view(), .sum = S::kEmbeddingSum, .square = S::kEmbeddingSquare});
  }
  AddContributions(task - 1);
}

void BlockSummation::AddHead(Index head) {
  const Index width = sums_.factor_width_;
  const Index heads = sums_.components().num_heads();
  const ArrayView<const float, 2> z = block_.HeadRows(sums_.components().HeadAt(head));
  std::vector<double> factor(ToSize(width));
  for (Index s = 0; s < sums_.slices(); ++s) {
    const Index begin = At(begin_, s);
    const Index count = begin_[ToSize(s) + 1] - begin;
    if (count == 0) continue;
    GridRows u(count, width);
    for (Index i = 0; i < count; ++i) {
      const Index image = At(order_, begin + i);
      basis_.layout().Fill(z.row(image), ScaleOf(block_.ln.row(image)), factor);
      u.Set(i, factor);
    }
    const Index at = s * heads + head;
    u.AddSum(0, count, sums_.values_[StatisticsSums::kHeadSum].data() + at * width);
    u.AddSquare(sums_.values_[StatisticsSums::kHeadSquare].data() + at * TriangleSize(width));
  }
}

void BlockSummation::AddHeadContributions(Index head) {
  AddRows({.rows = block_.HeadRows(sums_.components().HeadAt(head)),
           .sum = StatisticsSums::kHeadSum,
           .square = StatisticsSums::kHeadSquare,
           .number = head,
           .count = sums_.components().num_heads()});
}

void BlockSummation::AddRows(const RowSums& to) {
  // Zeros change no sum: the class token's part where there is none.
  if (std::ranges::all_of(to.rows.flat(), [](float v) { return v == 0.0f; })) return;
  const Index width = sums_.embed_width_;
  const auto images = static_cast<Index>(order_.size());
  GridRows c(images, width);
  std::vector<double> row(ToSize(width));
  for (Index i = 0; i < images; ++i) {
    const Index image = At(order_, i);
    std::ranges::copy(to.rows.row(image), row.begin());
    c.Set(i, row);
    if (to.shared != nullptr) {
      AddTo(to.shared[At(slice_, image) * to.shared_stride],
            ToFixed(Dot(row.data(), block_.embedding.row(image).data(), width)));
    }
  }
  for (Index s = 0; s < sums_.slices(); ++s) {
    const Index begin = At(begin_, s);
    const Index end = begin_[ToSize(s) + 1];
    if (begin == end) continue;
    const Index at = s * to.count + to.number;
    c.AddSum(begin, end, sums_.values_[to.sum].data() + at * width);
    c.AddTrace(begin, end, At(sums_.values_[to.square], at));
  }
  if (to.total != nullptr) c.AddSquare(to.total);
}

void BlockSummation::AddContributions(Index part) {
  const Index begin = part * kPartRows;
  const Index count = std::min(kPartRows, block_.images() - begin);
  const Index width = sums_.embed_width_;
  const Index factor_width = sums_.factor_width_;
  const Index heads = sums_.components().num_heads();
  const Index components = sums_.components().size();
  std::vector<double> sum(ToSize(count * width), 0.0);
  std::vector<double> c(sum.size());
  std::vector<double> u(ToSize(count * factor_width));
  std::vector<Fixed> shared(ToSize(sums_.slices() * heads), 0);
  for (Index i = 0; i < heads; ++i) {
    const HeadId id = sums_.components().HeadAt(i);
    const ArrayView<const float, 2> z = block_.HeadRows(id);
    for (Index b = 0; b < count; ++b) {
      basis_.layout().Fill(z.row(begin + b), ScaleOf(block_.ln.row(begin + b)),
                           {u.data() + b * factor_width, ToSize(factor_width)});
    }
    if (basis_.is_identity()) {
      c = u;
    } else {
      std::ranges::fill(c, 0.0);
      nn::AddProduct(nn::Operand<double>{u.data(), count, factor_width, factor_width, 1},
                     nn::Of(basis_.at(id)), c.data(), width);
    }
    for (Index b = 0; b < count; ++b) {
      const double* row = c.data() + b * width;
      const Index slice = At(slice_, begin + b);
      AddTo(At(shared, slice * heads + i),
            ToFixed(Dot(row, block_.embedding.row(begin + b).data(), width)));
    }
    for (std::size_t k = 0; k < sum.size(); ++k) sum[k] += c[k];
  }
  Fixed certificate_sum = 0;
  double certificate_max = 0;
  for (Index b = 0; b < count; ++b) {
    double error = 0;
    double length = 0;
    for (Index e = 0; e < width; ++e) {
      double total = At(sum, b * width + e);
      for (Index j = 0; j < sums_.components().num_residual(); ++j) {
        total += block_.mlp(j, begin + b, e);
      }
      const double expected = block_.embedding(begin + b, e);
      error += (total - expected) * (total - expected);
      length += expected * expected;
    }
    const double certificate = std::sqrt(error / length);
    At(certificates_, begin + b) = certificate;
    certificate_max = std::max(certificate_max, certificate);
    AddTo(certificate_sum, ToFixed(certificate));
  }
  const std::lock_guard lock(mutex_);
  Fixed* all = sums_.values_[StatisticsSums::kShared].data();
  for (Index s = 0; s < sums_.slices(); ++s) {
    for (Index i = 0; i < heads; ++i) {
      AddTo(all[s * components + i], At(shared, s * heads + i));
    }
  }
  AddTo(sums_.values_[StatisticsSums::kCertificate][0], certificate_sum);
  sums_.certificate_max_ = std::max(sums_.certificate_max_, certificate_max);
}

}  // namespace cliplens
