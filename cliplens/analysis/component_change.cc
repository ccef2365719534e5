#include "cliplens/analysis/component_change.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <utility>

#include <fmt/format.h>

#include "cliplens/analysis/cka.h"
#include "cliplens/analysis/group_share.h"
#include "cliplens/base/error.h"
#include "cliplens/base/intervals.h"
#include "cliplens/base/parallel.h"
#include "cliplens/model/nn/product.h"

namespace cliplens {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
// A variance below this part of what all pictures have, or of the second moment about zero, is
// rounding: the pictures that are left are alike.
constexpr double kRoundingPart = 1e-12;

// Σ ⟨p, q⟩ about the means of all rows, then of the rows without each block about their own means.
// Rows of p and q are about the means of all.
std::vector<double> CovarianceByBlock(const Matrix& p, const Matrix& q, Index blocks) {
  double all = 0;
  std::vector<double> values(ToSize(blocks + 1), 0.0);
  for (Index g = 0; g < blocks; ++g) {
    const RowRange range = BlockOf(g, blocks, p.rows());
    double own = 0;
    Matrix of_p = Matrix::Zero(1, p.cols()), of_q = of_p;
    for (Index i = range.begin; i < range.end; ++i) {
      own += p.row(i).cwiseProduct(q.row(i)).sum();
      of_p += p.row(i);
      of_q += q.row(i);
    }
    // The other rows' sums are the negatives of this block's.
    const auto rest = static_cast<double>(p.rows() - range.size());
    const double of_means = rest > 0 ? of_p.cwiseProduct(of_q).sum() / rest : kNone;
    values[ToSize(g + 1)] = own + of_means;
    all += own;
  }
  values[0] = all;
  for (Index g = 1; g <= blocks; ++g) values[ToSize(g)] = all - values[ToSize(g)];
  return values;
}

// The share of a component by block, from its covariance with the embedding and the embedding's
// variance.
std::vector<double> Divided(const std::vector<double>& covariance,
                            const std::vector<double>& variance) {
  std::vector<double> shares;
  for (std::size_t i = 0; i < covariance.size(); ++i) {
    const bool varies = variance[i] > kRoundingPart * variance[0];
    shares.push_back(varies ? covariance[i] / variance[i] : kNone);
  }
  return shares;
}

std::optional<Estimate> Bounded(const std::vector<double>& by_block) {
  return Jackknife(by_block.front(), std::span(by_block).subspan(1));
}

void PutShareChange(const std::vector<double>& a, const std::vector<double>& b,
                    ComponentChange& c) {
  std::vector<double> difference;
  for (std::size_t i = 0; i < a.size(); ++i) difference.push_back(b[i] - a[i]);
  c.share_a = Bounded(a);
  c.share_b = Bounded(b);
  c.share_change = Bounded(difference);
}

// One store's side: its pictures in the order of the blocks.
class Side {
 public:
  Side(const Store& store, std::vector<Index> pictures, Index blocks)
      : store_(store),
        pictures_(std::move(pictures)),
        blocks_(blocks),
        ln_(store.ReadLn(pictures_)) {
    embedding_ = Gathered([&](Index s) { return store_.ReadEmbeddings(s); });
    variance_ = CovarianceByBlock(embedding_, embedding_, blocks_);
  }

  const Matrix& embedding() const { return embedding_; }  // [n, E] about the mean
  // Coordinates [n, r] of a head about the mean, without rows where it has no variance, and its
  // shares.
  Matrix Head(HeadId id, std::vector<double>& shares) const {
    const HeadCoordinates coordinates = CoordinatesOf(store_.basis().at(id));
    HeadRows rows = ReadHeadRows(store_, id, ln_, pictures_, coordinates);
    if (rows.total <= 0) rows.y.setZero();
    const Matrix along =
        nn::Product(nn::Of(embedding_), nn::Of(coordinates.from_text).Transposed());
    shares = Divided(CovarianceByBlock(rows.y, along, blocks_), variance_);
    if (rows.total <= 0) return {};
    // Of mean length 1, whatever the head's scale.
    rows.y /= std::sqrt(rows.total / static_cast<double>(rows.y.rows()));
    return std::move(rows.y);
  }
  std::vector<double> Residual(Index part) const {
    const Matrix rows = Gathered([&](Index s) { return store_.ReadMlp(part, s); });
    return Divided(CovarianceByBlock(rows, embedding_, blocks_), variance_);
  }

 private:
  // Rows of the pictures, about their mean.
  template <typename Read>
  Matrix Gathered(const Read& read) const {
    Matrix rows;
    ForShardsWith(store_, pictures_, [&](Index s, Index first, std::span<const Index> places) {
      const Array<float, 2> shard = read(s);
      if (rows.size() == 0) rows.resize(std::ssize(pictures_), shard.dim(1));
      for (const Index i : places) {
        std::ranges::copy(shard.row(At(pictures_, i) - first), rows.row(i).data());
      }
    });
    const double about_zero = rows.squaredNorm();
    rows.rowwise() -= rows.colwise().mean().eval();
    if (rows.squaredNorm() <= kRoundingPart * about_zero) rows.setZero();
    return rows;
  }

  const Store& store_;
  std::vector<Index> pictures_;
  Index blocks_;
  Array<float, 2> ln_;
  Matrix embedding_;
  std::vector<double> variance_;
};

std::string Names(const Store& a, const Store& b) {
  return fmt::format("{} and {}", a.directory().string(), b.directory().string());
}

// Whether the stores are of the same set of pictures, as far as their manifests say.
bool IsSameSet(const Store& a, const Store& b) {
  const auto same_source = [](const DataSource& x, const DataSource& y) {
    return x.set_checksum == y.set_checksum && x.images == y.images;
  };
  const auto same_skipped = [](const SkippedItem& x, const SkippedItem& y) {
    return x.source == y.source && x.picture.path == y.picture.path;
  };
  if (!std::ranges::equal(a.info().data, b.info().data, same_source) ||
      !std::ranges::equal(a.info().skipped, b.info().skipped, same_skipped) ||
      a.statistics().slices() != b.statistics().slices()) {
    return false;
  }
  for (Index s = 0; s < a.statistics().slices(); ++s) {
    if (a.statistics().slice(s).embedding.count != b.statistics().slice(s).embedding.count) {
      return false;
    }
  }
  return true;
}

// Shares of a component by slice: of all pictures, then without each slice that has any.
class SliceShares {
 public:
  explicit SliceShares(const Store& store) : store_(store), statistics_(store.statistics()) {
    for (Index s = 0; s < statistics_.slices(); ++s) {
      if (statistics_.slice(s).embedding.count > 0) slices_.push_back(s);
    }
    const auto width = statistics_.embed_width();
    embedding_.resize(std::ssize(slices_), width);
    std::vector<double> traces;
    for (std::size_t i = 0; i < slices_.size(); ++i) {
      const TraceMoments& moments = statistics_.slice(slices_[i]).embedding;
      embedding_.row(static_cast<Index>(i)) = moments.mean.transpose();
      traces.push_back(moments.trace);
    }
    variance_ = Covariances(embedding_, traces);
  }

  Index blocks() const { return std::ssize(slices_); }
  std::vector<double> Of(Index number) const {
    const Components components = statistics_.components();
    Matrix means(blocks(), embedding_.cols());
    std::vector<double> shared;
    for (std::size_t i = 0; i < slices_.size(); ++i) {
      const SliceStatistics& slice = statistics_.slice(slices_[i]);
      const auto row = static_cast<Index>(i);
      shared.push_back(At(slice.shared, number));
      if (components.IsHead(number)) {
        const Vector& u = At(slice.heads, number).mean;
        const nn::Operand<double> of_u{u.data(), 1, u.size(), u.size(), 1};
        means.row(row) = nn::Product(of_u, nn::Of(store_.basis().at(components.HeadAt(number))));
      } else {
        means.row(row) = At(slice.mlps, components.ResidualAt(number)).mean.transpose();
      }
    }
    return Divided(Covariances(means, shared), variance_);
  }

 private:
  // Σ ⟨c, e⟩ about the means of the slices that are counted, from sums within slices and the
  // slices' means: with all slices, then without each.
  std::vector<double> Covariances(const Matrix& means, const std::vector<double>& within) const {
    std::vector<double> values;
    for (Index without = -1; without < blocks(); ++without) {
      double n = 0, sum = 0;
      RowVector of_c = RowVector::Zero(means.cols()), of_e = of_c;
      for (Index i = 0; i < blocks(); ++i) {
        if (i == without) continue;
        const double count = statistics_.slice(At(slices_, i)).embedding.count;
        n += count;
        of_c += count * means.row(i);
        of_e += count * embedding_.row(i);
      }
      of_c /= n;
      of_e /= n;
      for (Index i = 0; i < blocks(); ++i) {
        if (i == without) continue;
        const double count = statistics_.slice(At(slices_, i)).embedding.count;
        sum += At(within, i) +
               count * (means.row(i) - of_c).cwiseProduct(embedding_.row(i) - of_e).sum();
      }
      values.push_back(sum);
    }
    return values;
  }

  const Store& store_;
  const Statistics& statistics_;
  std::vector<Index> slices_;
  Matrix embedding_;
  std::vector<double> variance_;
};

StoreChange CompareStatistics(const Store& a, const Store& b, const ChangeOptions& options) {
  if (!IsSameSet(a, b)) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: {} keeps statistics only, which do not name pictures, and the two are not of "
                "the same set of pictures; decompose one set with both models, or both without "
                "--stats-only",
                Names(a, b), (a.info().stats_only ? a : b).directory().string());
  }
  StoreChange change;
  change.from_statistics = true;
  change.images_a = change.images_b = change.common = change.images = a.info().images;
  const SliceShares of_a(a), of_b(b);
  change.blocks = of_a.blocks();
  const Components components = a.basis().components();
  change.components.resize(ToSize(components.size()));
  ParallelFor(options.threads, components.size(), [&](Index i, int) {
    ComponentChange& c = At(change.components, i);
    c.id = components.at(i);
    if (change.images >= 3) PutShareChange(of_a.Of(i), of_b.Of(i), c);
  });
  return change;
}

}  // namespace

void CheckSameShape(const Store& a, const Store& b) {
  const Basis& of_a = a.basis();
  const Basis& of_b = b.basis();
  CheckSameLevel(a, b);
  if (of_a.layers() == of_b.layers() && of_a.num_heads() == of_b.num_heads()) return;
  throw Error(
      ErrorCode::kInvalidArgument,
      "{} is of a model of {} layers of {} heads, {} of one of {} of {}: heads are compared "
      "place by place, which needs models of one shape; 'cliplens match' finds like heads "
      "of any two models",
      a.directory().string(), of_a.layers(), of_a.num_heads(), b.directory().string(),
      of_b.layers(), of_b.num_heads());
}

StoreChange CompareComponents(const Store& a, const Store& b, const ChangeOptions& options) {
  CheckSameShape(a, b);
  const bool named = !a.info().stats_only && !b.info().stats_only;
  return CompareComponents(a, b, named ? CommonPicturesOf(a, b) : CommonPictures(), options);
}

StoreChange CompareComponents(const Store& a, const Store& b, const CommonPictures& common,
                              const ChangeOptions& options) {
  CheckSameShape(a, b);
  if (options.most_images < 1) {
    throw Error(ErrorCode::kInvalidArgument, "components are compared on {} pictures; 1 at least",
                options.most_images);
  }
  if (a.info().stats_only || b.info().stats_only) return CompareStatistics(a, b, options);
  if (common.size() == 0) {
    throw Error(ErrorCode::kInvalidArgument,
                "{} have no picture of the same path; decompose the same set of pictures with both "
                "models",
                Names(a, b));
  }
  StoreChange change;
  change.images_a = a.info().images;
  change.images_b = b.info().images;
  change.common = common.size();
  const std::vector<Index> chosen = InOrderOfHash(common, options.most_images);
  change.images = std::ssize(chosen);
  change.blocks = std::min(change.images, kMostCkaBlocks);
  const Side of_a(a, NumbersAt(common.a, chosen), change.blocks);
  const Side of_b(b, NumbersAt(common.b, chosen), change.blocks);
  const Components components = a.basis().components();
  change.components.resize(ToSize(components.size()));
  std::mutex mutex;
  Index done = 0;
  // The embeddings are the widest and so come first.
  ParallelFor(options.threads, components.size() + 1, [&](Index task, int) {
    if (task == 0) {
      change.similarity = DebiasedCka(of_a.embedding(), of_b.embedding(), change.blocks);
      return;
    }
    const Index number = task - 1;
    ComponentChange& c = At(change.components, number);
    c.id = components.at(number);
    std::vector<double> in_a, in_b;
    if (components.IsHead(number)) {
      const HeadId id = components.HeadAt(number);
      const Matrix x = of_a.Head(id, in_a);
      const Matrix y = of_b.Head(id, in_b);
      if (x.size() > 0 && y.size() > 0) c.similarity = DebiasedCka(x, y, change.blocks);
    } else {
      in_a = of_a.Residual(components.ResidualAt(number));
      in_b = of_b.Residual(components.ResidualAt(number));
    }
    if (change.images >= 3) PutShareChange(in_a, in_b, c);
    if (!options.progress) return;
    const std::lock_guard lock(mutex);
    options.progress(++done, components.size());
  });
  return change;
}

}  // namespace cliplens
