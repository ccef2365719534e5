#include "cliplens/decompose/statistics.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/decompose/basis.h"
#include "cliplens/io/file.h"
#include "cliplens/io/safetensors.h"

namespace cliplens {
namespace {

// Rows `picked` of a [B, n] array as an fp64 matrix.
Matrix Rows(ArrayView<const float, 2> a, std::span<const Index> picked) {
  Matrix rows(static_cast<Index>(picked.size()), a.dim(1));
  for (Index i = 0; i < rows.rows(); ++i) {
    const std::span<const float> row = a.row(picked[static_cast<std::size_t>(i)]);
    for (Index k = 0; k < rows.cols(); ++k) rows(i, k) = row[static_cast<std::size_t>(k)];
  }
  return rows;
}

// Σ over rows ⟨a_i, b_i⟩ − B ⟨mean a, mean b⟩.
double CenteredProduct(const Matrix& a, const Matrix& b) {
  const auto n = static_cast<double>(a.rows());
  return a.cwiseProduct(b).sum() - n * a.colwise().mean().dot(b.colwise().mean());
}

double MergedWeight(double a, double b) { return a + b > 0 ? a * b / (a + b) : 0.0; }

void MergeMean(double count, Vector& mean, double other_count, const Vector& other_mean) {
  if (other_count == 0) return;
  mean += (other_mean - mean) * (other_count / (count + other_count));
}

void CheckSame(Index a, Index b, const char* what) {
  if (a != b) {
    throw Error(ErrorCode::kInvalidArgument,
                "statistics with {} {} cannot be merged with statistics with {}; they are of "
                "different models or settings",
                a, what, b);
  }
}

}  // namespace

Index SliceOf(std::string_view item_path, Index slices) {
  const std::string digest =
      HashBytes({reinterpret_cast<const std::uint8_t*>(item_path.data()), item_path.size()});
  return static_cast<Index>(std::stoull(digest.substr(0, 15), nullptr, 16)) % slices;
}

void Moments::Add(const Matrix& rows) {
  if (rows.rows() == 0) return;
  Moments block(rows.cols());
  block.count = static_cast<double>(rows.rows());
  block.mean = rows.colwise().mean().transpose();
  const Matrix centered = rows.rowwise() - block.mean.transpose();
  block.scatter.noalias() = centered.transpose() * centered;
  Merge(block);
}

void Moments::Merge(const Moments& other) {
  if (other.count == 0) return;
  if (other.mean.size() != mean.size()) {
    throw Error(ErrorCode::kInvalidArgument, "moments of width {} merged with width {}",
                mean.size(), other.mean.size());
  }
  const Vector delta = other.mean - mean;
  scatter += other.scatter;
  scatter.noalias() += MergedWeight(count, other.count) * delta * delta.transpose();
  MergeMean(count, mean, other.count, other.mean);
  count += other.count;
}

Matrix Moments::Covariance() const {
  if (count < 2) {
    throw Error(ErrorCode::kPrecondition,
                "the variance of {} pictures is not defined; decompose at least two", count);
  }
  return scatter / count;
}

Matrix Moments::SecondMoment() const {
  return scatter / std::max(count, 1.0) + mean * mean.transpose();
}

void TraceMoments::Add(const Matrix& rows) {
  if (rows.rows() == 0) return;
  TraceMoments block(rows.cols());
  block.count = static_cast<double>(rows.rows());
  block.mean = rows.colwise().mean().transpose();
  block.trace = (rows.rowwise() - block.mean.transpose()).squaredNorm();
  Merge(block);
}

void TraceMoments::Merge(const TraceMoments& other) {
  if (other.count == 0) return;
  trace += other.trace + MergedWeight(count, other.count) * (other.mean - mean).squaredNorm();
  MergeMean(count, mean, other.count, other.mean);
  count += other.count;
}

FactorBlock MakeBlock(Index layers, Index heads, Index head_width, Index embed_width,
                      Index images) {
  FactorBlock block;
  block.head_z = Array<float, 4>({layers, heads, images, head_width});
  block.ln = Array<float, 2>({images, 3});
  block.mlp = Array<float, 3>({layers + 1, images, embed_width});
  block.cls_attn = Array<float, 3>({layers, images, embed_width});
  block.embedding = Array<float, 2>({images, embed_width});
  return block;
}

namespace {

SliceStatistics MakeSlice(Index layers, Index heads, Index factor_width, Index embed_width) {
  SliceStatistics s;
  s.heads.assign(static_cast<std::size_t>(layers * heads), Moments(factor_width));
  s.mlps.assign(static_cast<std::size_t>(layers + 1), TraceMoments(embed_width));
  s.cls_attn.assign(static_cast<std::size_t>(layers), TraceMoments(embed_width));
  s.embedding = TraceMoments(embed_width);
  s.shared.assign(static_cast<std::size_t>(layers * heads + layers + 1), 0.0);
  return s;
}

// Adds `other` to `s`. `basis` turns heads' mean factors into mean contributions for the part of
// `shared` that lies between the two means.
void MergeSlice(SliceStatistics& s, const SliceStatistics& other,
                const std::vector<Matrix>& head_bases) {
  const double weight = MergedWeight(s.embedding.count, other.embedding.count);
  const Vector delta = other.embedding.mean - s.embedding.mean;
  const std::size_t heads = s.heads.size();
  for (std::size_t i = 0; i < heads; ++i) {
    const Vector head_delta = other.heads[i].mean - s.heads[i].mean;
    s.shared[i] += other.shared[i] + weight * head_delta.dot(head_bases[i] * delta);
    s.heads[i].Merge(other.heads[i]);
  }
  for (std::size_t i = 0; i < s.mlps.size(); ++i) {
    s.shared[heads + i] +=
        other.shared[heads + i] + weight * (other.mlps[i].mean - s.mlps[i].mean).dot(delta);
    s.mlps[i].Merge(other.mlps[i]);
  }
  for (std::size_t i = 0; i < s.cls_attn.size(); ++i) s.cls_attn[i].Merge(other.cls_attn[i]);
  s.embedding.Merge(other.embedding);
}

std::vector<Matrix> HeadBases(const Basis& basis) {
  std::vector<Matrix> bases;
  for (Index l = 0; l < basis.layers(); ++l) {
    for (Index h = 0; h < basis.num_heads(); ++h) {
      bases.push_back(AsEigen(basis.at({static_cast<int>(l), static_cast<int>(h)})).cast<double>());
    }
  }
  return bases;
}

}  // namespace

Statistics::Statistics(Index layers, Index heads, Index factor_width, Index embed_width,
                       Index slices)
    : layers_(layers), heads_(heads), factor_width_(factor_width), embed_width_(embed_width) {
  slices_.assign(static_cast<std::size_t>(slices),
                 MakeSlice(layers, heads, factor_width, embed_width));
  mlp_moments_.assign(static_cast<std::size_t>(layers + 1), Moments(embed_width));
  cls_attn_moments_.assign(static_cast<std::size_t>(layers), Moments(embed_width));
}

void Statistics::Add(const FactorBlock& block, std::span<const Index> slice_of, const Basis& basis,
                     int threads) {
  const Index head_width = factor_width_ - kExtraFactors;
  std::vector<std::vector<Index>> members(slices_.size());
  for (Index b = 0; b < block.images(); ++b) {
    members[static_cast<std::size_t>(slice_of[static_cast<std::size_t>(b)])].push_back(b);
  }
  const std::vector<Matrix> bases = HeadBases(basis);
  // One slice of the block is summed on its own and then merged, so the sums of a slice do not
  // depend on the other slices.
  std::vector<SliceStatistics> added(slices_.size());
  std::vector<Matrix> embeddings(slices_.size());
  for (std::size_t s = 0; s < slices_.size(); ++s) {
    added[s] = MakeSlice(layers_, heads_, factor_width_, embed_width_);
    embeddings[s] = Rows(block.embedding, members[s]);
    added[s].embedding.Add(embeddings[s]);
  }
  const Index num_heads = layers_ * heads_;
  ParallelFor(threads, num_heads + layers_ + 1 + layers_, [&](Index task, int) {
    if (task >= num_heads) {
      const bool is_mlp = task < num_heads + layers_ + 1;
      const Index i = is_mlp ? task - num_heads : task - num_heads - layers_ - 1;
      const ArrayView<const float, 2> rows = is_mlp ? block.mlp[i] : block.cls_attn[i];
      Moments& moments = is_mlp ? mlp_moments_[static_cast<std::size_t>(i)]
                                : cls_attn_moments_[static_cast<std::size_t>(i)];
      moments.Add(AsEigen(rows).cast<double>());
      for (std::size_t s = 0; s < slices_.size(); ++s) {
        if (members[s].empty()) continue;
        const Matrix part = Rows(rows, members[s]);
        if (is_mlp) {
          added[s].mlps[static_cast<std::size_t>(i)].Add(part);
          added[s].shared[static_cast<std::size_t>(task)] = CenteredProduct(part, embeddings[s]);
        } else {
          added[s].cls_attn[static_cast<std::size_t>(i)].Add(part);
        }
      }
      return;
    }
    const ArrayView<const float, 2> z = block.head_z.view()[task / heads_][task % heads_];
    const Matrix& b = bases[static_cast<std::size_t>(task)];
    for (std::size_t s = 0; s < slices_.size(); ++s) {
      if (members[s].empty()) continue;
      Matrix u(static_cast<Index>(members[s].size()), factor_width_);
      for (Index i = 0; i < u.rows(); ++i) {
        const Index image = members[s][static_cast<std::size_t>(i)];
        const std::span<const float> ln = block.ln.row(image);
        FillFactor(z.row(image), ln[0], ln[1], ln[2],
                   {u.row(i).data(), static_cast<std::size_t>(head_width + kExtraFactors)});
      }
      added[s].heads[static_cast<std::size_t>(task)].Add(u);
      // ⟨u^T B, e⟩ = ⟨u, B e⟩: the contribution itself is not formed.
      added[s].shared[static_cast<std::size_t>(task)] =
          CenteredProduct(u, embeddings[s] * b.transpose());
    }
  });
  for (std::size_t s = 0; s < slices_.size(); ++s) MergeSlice(slices_[s], added[s], bases);
}

void Statistics::Merge(const Statistics& other, const Basis& basis) {
  CheckSame(layers_, other.layers_, "layers");
  CheckSame(heads_, other.heads_, "heads");
  CheckSame(factor_width_, other.factor_width_, "numbers a factor");
  CheckSame(embed_width_, other.embed_width_, "numbers an embedding");
  CheckSame(slices(), other.slices(), "slices");
  const std::vector<Matrix> bases = HeadBases(basis);
  for (std::size_t s = 0; s < slices_.size(); ++s) MergeSlice(slices_[s], other.slices_[s], bases);
  for (std::size_t i = 0; i < mlp_moments_.size(); ++i)
    mlp_moments_[i].Merge(other.mlp_moments_[i]);
  for (std::size_t i = 0; i < cls_attn_moments_.size(); ++i) {
    cls_attn_moments_[i].Merge(other.cls_attn_moments_[i]);
  }
}

Index Statistics::images() const {
  double n = 0;
  for (const SliceStatistics& s : slices_) n += s.embedding.count;
  return static_cast<Index>(n);
}

SliceStatistics Statistics::Total(const Basis& basis) const {
  SliceStatistics total = MakeSlice(layers_, heads_, factor_width_, embed_width_);
  const std::vector<Matrix> bases = HeadBases(basis);
  for (const SliceStatistics& s : slices_) MergeSlice(total, s, bases);
  return total;
}

Moments Statistics::HeadMoments(HeadId id) const {
  Moments total(factor_width_);
  for (const SliceStatistics& s : slices_) {
    total.Merge(s.heads[static_cast<std::size_t>(id.layer * heads_ + id.head)]);
  }
  return total;
}

namespace {

// Named fp64 arrays on their way to and from a file.
class Pack {
 public:
  void Put(const std::string& name, std::vector<Index> shape) {
    values_[name] = {std::move(shape), {}};
    current_ = &values_[name].values;
  }
  void Push(double v) { current_->push_back(v); }
  void Push(const Vector& v) { current_->insert(current_->end(), v.data(), v.data() + v.size()); }
  void Push(const Matrix& m) { current_->insert(current_->end(), m.data(), m.data() + m.size()); }

  std::string Write(const std::filesystem::path& path) const {
    std::vector<TensorToWrite> tensors;
    for (const auto& [name, value] : values_) {
      tensors.push_back({name,
                         DataType::kF64,
                         value.shape,
                         {reinterpret_cast<const std::uint8_t*>(value.values.data()),
                          value.values.size() * sizeof(double)}});
    }
    return WriteSafetensors(path, tensors);
  }

 private:
  struct Value {
    std::vector<Index> shape;
    std::vector<double> values;
  };
  std::map<std::string, Value> values_;
  std::vector<double>* current_ = nullptr;
};

class Unpack {
 public:
  explicit Unpack(const std::filesystem::path& path) : file_(path) {}

  std::vector<Index> ShapeOf(const std::string& name) const { return file_.at(name).shape; }

  void Get(const std::string& name, const std::vector<Index>& shape) {
    const TensorEntry& entry = file_.at(name);
    if (entry.shape != shape || entry.type != DataType::kF64) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: tensor '{}' is {} {}, F64 {} was expected; decompose again",
                  file_.path().string(), name, NameOf(entry.type), ShapeText(entry.shape),
                  ShapeText(shape));
    }
    values_ = ReadAsDouble(entry);
    next_ = 0;
  }
  double Pop() { return values_[next_++]; }
  void Pop(Vector& v) {
    for (double& x : v) x = Pop();
  }
  void Pop(Matrix& m) {
    std::copy_n(values_.data() + next_, m.size(), m.data());
    next_ += static_cast<std::size_t>(m.size());
  }

 private:
  SafetensorsFile file_;
  std::vector<double> values_;
  std::size_t next_ = 0;
};

}  // namespace

std::string Statistics::Write(const std::filesystem::path& path) const {
  const Index s_ = slices();
  Pack pack;
  pack.Put("count", {s_});
  for (const auto& s : slices_) pack.Push(s.embedding.count);
  pack.Put("head_mean", {s_, layers_, heads_, factor_width_});
  for (const auto& s : slices_) {
    for (const auto& m : s.heads) pack.Push(m.mean);
  }
  pack.Put("head_scatter", {s_, layers_, heads_, factor_width_, factor_width_});
  for (const auto& s : slices_) {
    for (const auto& m : s.heads) pack.Push(m.scatter);
  }
  const auto traces = [&](const std::string& name, Index n, auto select) {
    pack.Put(name + "_mean", {s_, n, embed_width_});
    for (const auto& s : slices_) {
      for (const TraceMoments& m : select(s)) pack.Push(m.mean);
    }
    pack.Put(name + "_trace", {s_, n});
    for (const auto& s : slices_) {
      for (const TraceMoments& m : select(s)) pack.Push(m.trace);
    }
  };
  traces("mlp", layers_ + 1, [](const SliceStatistics& s) { return s.mlps; });
  traces("cls_attn", layers_, [](const SliceStatistics& s) { return s.cls_attn; });
  traces("embedding", 1, [](const SliceStatistics& s) { return std::vector{s.embedding}; });
  pack.Put("shared", {s_, layers_ * heads_ + layers_ + 1});
  for (const auto& s : slices_) {
    for (double v : s.shared) pack.Push(v);
  }
  const auto total = [&](const std::string& name, const std::vector<Moments>& moments) {
    const auto n = static_cast<Index>(moments.size());
    pack.Put(name + "_total_mean", {n, embed_width_});
    for (const Moments& m : moments) pack.Push(m.mean);
    pack.Put(name + "_total_scatter", {n, embed_width_, embed_width_});
    for (const Moments& m : moments) pack.Push(m.scatter);
  };
  total("mlp", mlp_moments_);
  total("cls_attn", cls_attn_moments_);
  return pack.Write(path);
}

Statistics Statistics::Read(const std::filesystem::path& path) {
  Unpack unpack(path);
  const std::vector<Index> heads_shape = unpack.ShapeOf("head_mean");
  const std::vector<Index> embedding_shape = unpack.ShapeOf("embedding_mean");
  if (heads_shape.size() != 4 || embedding_shape.size() != 3 ||
      std::ranges::any_of(heads_shape, [](Index n) { return n < 1 || n > 1'000'000; }) ||
      embedding_shape[2] < 1) {
    throw Error(ErrorCode::kCorruptData,
                "{}: 'head_mean' {} and 'embedding_mean' {} are no statistics; decompose again",
                path.string(), ShapeText(heads_shape), ShapeText(embedding_shape));
  }
  const Index s_ = heads_shape[0];
  const Index layers = heads_shape[1];
  const Index heads = heads_shape[2];
  const Index factor_width = heads_shape[3];
  const Index embed_width = embedding_shape[2];
  // The largest tensor is checked first: the others are smaller, so nothing is taken on a claim.
  unpack.Get("head_scatter", {s_, layers, heads, factor_width, factor_width});
  Statistics result(layers, heads, factor_width, embed_width, s_);
  for (auto& s : result.slices_) {
    for (Moments& m : s.heads) unpack.Pop(m.scatter);
  }
  unpack.Get("count", {s_});
  for (auto& s : result.slices_) {
    const double count = unpack.Pop();
    if (!(count >= 0) || count != std::floor(count)) {
      throw Error(ErrorCode::kCorruptData, "{}: a count of {} pictures; decompose again",
                  path.string(), count);
    }
    s.embedding.count = count;
    for (Moments& m : s.heads) m.count = count;
    for (TraceMoments& m : s.mlps) m.count = count;
    for (TraceMoments& m : s.cls_attn) m.count = count;
  }
  unpack.Get("head_mean", heads_shape);
  for (auto& s : result.slices_) {
    for (Moments& m : s.heads) unpack.Pop(m.mean);
  }
  const auto traces = [&](const std::string& name, Index n, auto select) {
    unpack.Get(name + "_mean", {s_, n, embed_width});
    for (auto& s : result.slices_) {
      for (TraceMoments& m : select(s)) unpack.Pop(m.mean);
    }
    unpack.Get(name + "_trace", {s_, n});
    for (auto& s : result.slices_) {
      for (TraceMoments& m : select(s)) m.trace = unpack.Pop();
    }
  };
  traces("mlp", layers + 1, [](SliceStatistics& s) { return std::span(s.mlps); });
  traces("cls_attn", layers, [](SliceStatistics& s) { return std::span(s.cls_attn); });
  traces("embedding", 1, [](SliceStatistics& s) { return std::span(&s.embedding, 1); });
  unpack.Get("shared", {s_, layers * heads + layers + 1});
  for (auto& s : result.slices_) {
    for (double& v : s.shared) v = unpack.Pop();
  }
  const auto images = static_cast<double>(result.images());
  const auto total = [&](const std::string& name, std::vector<Moments>& moments) {
    const auto n = static_cast<Index>(moments.size());
    unpack.Get(name + "_total_mean", {n, embed_width});
    for (Moments& m : moments) {
      m.count = images;
      unpack.Pop(m.mean);
    }
    unpack.Get(name + "_total_scatter", {n, embed_width, embed_width});
    for (Moments& m : moments) unpack.Pop(m.scatter);
  };
  total("mlp", result.mlp_moments_);
  total("cls_attn", result.cls_attn_moments_);
  return result;
}

}  // namespace cliplens
