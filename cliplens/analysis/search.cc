#include "cliplens/analysis/search.h"

#include <algorithm>
#include <cmath>
#include <mutex>

#include "cliplens/base/error.h"
#include "cliplens/base/finite.h"
#include "cliplens/base/parallel.h"
#include "cliplens/decompose/basis.h"
#include "cliplens/model/nn/product.h"

namespace cliplens {
namespace {

// A vector shorter than this part of the mean's length, about the mean, is rounding of fp32.
constexpr double kShort = 1e-6;

RowVector MeanEmbedding(const Statistics& statistics) {
  RowVector sum = RowVector::Zero(statistics.embed_width());
  double count = 0;
  for (Index s = 0; s < statistics.slices(); ++s) {
    const TraceMoments& part = statistics.slice(s).embedding;
    sum += part.count * part.mean.transpose();
    count += part.count;
  }
  return sum / std::max(count, 1.0);
}

Matrix AsRows(ArrayView<const float, 2> rows) { return AsEigen(rows).cast<double>(); }

// Two texts differ along a direction when they do so by this part of the most along any.
constexpr double kDiffer = 1e-3;

void CheckSpace(const SearchSpace& space, Index embed_width) {
  if (!space.weights.empty() && (space.weights.size() != space.heads.size() ||
                                 !std::ranges::all_of(space.weights, [](double weight) {
                                   return weight > 0 && std::isfinite(weight);
                                 }))) {
    throw Error(ErrorCode::kInvalidArgument,
                "search: {} weights of {} heads; each head has one, above 0", space.weights.size(),
                space.heads.size());
  }
  const Array<float, 2>& directions = space.directions;
  if (directions.size() > 0 &&
      (directions.dim(1) != embed_width || space.heads.empty() || !AllFinite(directions.flat()))) {
    throw Error(ErrorCode::kInvalidArgument,
                "search: {} directions of {} numbers for {} heads; they are for heads, and each "
                "has {} finite numbers",
                directions.dim(0), directions.dim(1), space.heads.size(), embed_width);
  }
}

}  // namespace

const char* NameOf(Measure measure) {
  switch (measure) {
    case Measure::kCosine:
      return "cosine";
    case Measure::kDot:
      return "dot";
    case Measure::kRaw:
      return "raw";
  }
  return "";
}

const char* NameOf(Definition definition) {
  return definition == Definition::kSumOfScores ? "sum-of-scores" : "score-of-sum";
}

std::optional<Measure> MeasureNamed(std::string_view name) {
  for (const Measure measure : {Measure::kCosine, Measure::kDot, Measure::kRaw}) {
    if (name == NameOf(measure)) return measure;
  }
  return std::nullopt;
}

std::optional<Definition> DefinitionNamed(std::string_view name) {
  for (const Definition definition : {Definition::kSumOfScores, Definition::kScoreOfSum}) {
    if (name == NameOf(definition)) return definition;
  }
  return std::nullopt;
}

bool IsSameSpace(const SearchSpace& a, const SearchSpace& b) {
  const Index rows = a.directions.dim(0);
  if (a.heads != b.heads || a.weights != b.weights || a.definition != b.definition ||
      a.measure != b.measure || rows != b.directions.dim(0)) {
    return false;
  }
  if (rows == 0) return true;
  if (a.directions.dim(1) != b.directions.dim(1)) return false;
  // The squares of the products of orthonormal rows sum to their number where the spans are one.
  const Matrix products =
      nn::Product(nn::Of(a.directions.view()), nn::Of(b.directions.view()).Transposed());
  return std::abs(products.squaredNorm() - static_cast<double>(rows)) < kDiffer;
}

Array<float, 2> SpanOfTexts(ArrayView<const float, 2> texts) {
  Matrix rows = AsRows(texts);
  if (rows.rows() < 2) return {};
  rows.rowwise() -= rows.colwise().mean().eval();
  // Of the two Gram matrices the smaller one.
  const bool of_texts = rows.rows() < rows.cols();
  const nn::Operand<double> r = nn::Of(rows);
  const SymmetricEigen eigen =
      EigenOfSymmetric(of_texts ? nn::Product(r, r.Transposed()) : nn::Product(r.Transposed(), r));
  const double least = kDiffer * kDiffer * std::max(eigen.values[0], 0.0);
  Index count = 0;
  while (count < eigen.values.size() && eigen.values[count] > least) ++count;
  Array<float, 2> span({count, rows.cols()});
  for (Index i = 0; i < count; ++i) {
    Vector direction = eigen.vectors.col(i);
    if (of_texts) direction = rows.transpose() * direction / std::sqrt(eigen.values[i]);
    AsEigen(span.view()).row(i) = direction.transpose().cast<float>();
  }
  return span;
}

SearchVectors::SearchVectors(const Store& store, SearchSpace space)
    : store_(store), space_(std::move(space)) {
  const Basis& basis = store.basis();
  if (store.info().stats_only) {
    throw Error(ErrorCode::kPrecondition,
                "{}: this store has statistics only, a search needs the pictures' factors; "
                "decompose without --stats-only",
                store.directory().string());
  }
  CheckSpace(space_, basis.embed_width());
  if (space_.heads.empty()) {
    width_ = basis.embed_width();
    mean_ = MeanEmbedding(store.statistics());
    return;
  }
  const Matrix along = AsRows(space_.directions);
  side_by_side_ = space_.definition == Definition::kSumOfScores || space_.heads.size() == 1;
  std::vector<Vector> means;
  for (const HeadId id : space_.heads) {
    if (!basis.components().Has(id)) {
      throw Error(ErrorCode::kInvalidArgument, "search: no head {} in a store of {} x {} heads",
                  HeadName(id), basis.layers(), basis.num_heads());
    }
    if (along.rows() > 0) {
      const Matrix head = AsEigen(basis.at(id)).cast<double>();
      from_factor_.push_back(nn::Product(nn::Of(along), nn::Of(head).Transposed()));
      if (side_by_side_ || from_text_.empty()) from_text_.push_back(along);
    } else if (!side_by_side_) {
      from_factor_.push_back(AsEigen(basis.at(id)).cast<double>().transpose());
    } else {
      HeadCoordinates coordinates = CoordinatesOf(basis.at(id));
      from_factor_.push_back(std::move(coordinates.from_factor));
      from_text_.push_back(std::move(coordinates.from_text));
    }
    if (!space_.weights.empty()) from_factor_.back() *= space_.weights[means.size()];
    means.push_back(from_factor_.back() * store.statistics().HeadMoments(id).mean);
  }
  if (!side_by_side_) {
    width_ = from_factor_.front().rows();
    mean_ = RowVector::Zero(width_);
    for (const Vector& mean : means) mean_ += mean.transpose();
    return;
  }
  for (const Vector& mean : means) width_ += mean.size();
  mean_.resize(width_);
  Index at = 0;
  for (const Vector& mean : means) {
    mean_.segment(at, mean.size()) = mean.transpose();
    at += mean.size();
  }
}

Array<float, 2> SearchVectors::Rows(const std::vector<Matrix>& factors, Index count) const {
  Matrix rows = Matrix::Zero(count, width_);
  Index at = 0;
  for (std::size_t h = 0; h < from_factor_.size(); ++h) {
    const Matrix& from = from_factor_[h];
    nn::AddProduct(nn::Of(factors[h]), nn::Of(from).Transposed(), rows.data() + at, width_);
    if (side_by_side_) at += from.rows();
  }
  return Finish(std::move(rows), /*about_mean=*/true);
}

Array<float, 2> SearchVectors::Finish(Matrix rows, bool about_mean) const {
  if (about_mean && space_.measure != Measure::kRaw) rows.rowwise() -= mean_;
  Array<float, 2> out({rows.rows(), width_});
  for (Index b = 0; b < rows.rows(); ++b) {
    double scale = 1;
    if (space_.measure == Measure::kCosine) {
      const double length = rows.row(b).norm();
      const double least = about_mean ? kShort * mean_.norm() : 0;
      scale = length > least ? 1 / length : 0;
    }
    for (Index k = 0; k < width_; ++k) out(b, k) = static_cast<float>(scale * rows(b, k));
  }
  return out;
}

Array<float, 2> SearchVectors::OfShard(Index shard) const {
  if (space_.heads.empty()) return Finish(AsRows(store_.ReadEmbeddings(shard)), true);
  const Array<float, 2> ln = store_.ReadLn(shard);
  std::vector<Matrix> factors;
  for (const HeadId id : space_.heads) {
    factors.push_back(FactorsOf(store_.basis().layout(), store_.ReadHead(id, shard), ln));
  }
  return Rows(factors, ln.dim(0));
}

std::vector<float> SearchVectors::OfItem(Index item) const {
  Index first = 0;
  for (Index s = 0; item >= 0 && s < store_.num_shards(); ++s) {
    const Index images = store_.shard(s).images;
    if (item < first + images) {
      const Array<float, 2> rows = OfShard(s);
      const std::span<const float> row = rows.row(item - first);
      return {row.begin(), row.end()};
    }
    first += images;
  }
  throw Error(ErrorCode::kInvalidArgument, "{}: no item {}; it has items 0 to {}",
              store_.directory().string(), item, store_.info().images - 1);
}

std::vector<float> SearchVectors::OfPicture(const Captures& captures,
                                            std::span<const float> embedding) const {
  Array<float, 2> row;
  if (space_.heads.empty()) {
    row = Finish(AsRows({embedding.data(), {1, static_cast<Index>(embedding.size())}}), true);
  } else {
    std::vector<Matrix> factors;
    for (const HeadId id : space_.heads) {
      Matrix u(1, store_.basis().factor_width());
      store_.basis().layout().Fill(captures.z[id.layer].row(id.head), captures.scale,
                                   {u.data(), ToSize(u.size())});
      factors.push_back(std::move(u));
    }
    row = Rows(factors, 1);
  }
  return {row.flat().begin(), row.flat().end()};
}

std::vector<float> SearchVectors::OfText(std::span<const float> text) const {
  const Matrix row = AsRows({text.data(), {1, static_cast<Index>(text.size())}});
  Matrix query(1, width_);
  if (from_text_.empty()) {
    query = row;
  } else {
    Index at = 0;
    for (const Matrix& from : from_text_) {
      query.middleCols(at, from.rows()) = nn::Product(nn::Of(row), nn::Of(from).Transposed());
      at += from.rows();
    }
  }
  const Array<float, 2> out = Finish(std::move(query), /*about_mean=*/false);
  return {out.flat().begin(), out.flat().end()};
}

std::vector<ScoredItem> Search(const Store& store, std::span<const SearchTerm> terms,
                               const SearchOptions& options) {
  for (const SearchTerm& term : terms) {
    if (static_cast<Index>(term.query.size()) != term.vectors->width()) {
      throw Error(ErrorCode::kInvalidArgument, "search: a query of {} numbers in a space of {}",
                  term.query.size(), term.vectors->width());
    }
  }
  std::vector<Index> first = {0};
  for (Index s = 0; s < store.num_shards(); ++s) {
    first.push_back(first.back() + store.shard(s).images);
  }
  const Index first_shard = options.part.first(store.num_shards());
  const Index shards = options.part.end(store.num_shards()) - first_shard;
  const Index begin = At(first, first_shard);
  std::vector<double> scores(ToSize(At(first, first_shard + shards) - begin), 0.0);
  std::mutex mutex;
  Index done = 0;
  ParallelFor(options.threads, shards, [&](Index i, int) {
    const Index s = first_shard + i;
    for (const SearchTerm& term : terms) {
      const Array<float, 2> rows = term.vectors->OfShard(s);
      for (Index b = 0; b < rows.dim(0); ++b) {
        const std::span<const float> row = rows.row(b);
        double dot = 0;
        for (std::size_t k = 0; k < row.size(); ++k) {
          dot += static_cast<double>(row[k]) * static_cast<double>(term.query[k]);
        }
        At(scores, At(first, s) - begin + b) += term.weight * dot;
      }
    }
    if (options.progress) {
      const std::lock_guard lock(mutex);
      options.progress(++done, shards);
    }
  });
  std::vector<bool> wanted(scores.size(), true);
  for (const Index item : options.exclude) {
    if (item >= begin && item < begin + std::ssize(scores)) At(wanted, item - begin) = false;
  }
  std::vector<ScoredItem> found;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (wanted[i]) found.push_back({begin + static_cast<Index>(i), scores[i]});
  }
  KeepBest(found, options.count);
  return found;
}

}  // namespace cliplens
