#include "cliplens/analysis/live_edit.h"

#include <algorithm>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/model/nn/product.h"

namespace cliplens {
namespace {

using Kind = ComponentId::Kind;

constexpr std::size_t kTogether = 4;  // components whose matrices are held at once
constexpr Index kRowsATask = 256;

}  // namespace

LiveEdit::LiveEdit(const Store& store, ArrayView<const float, 2> classifier, int threads)
    : store_(store), threads_(threads), ln_(store.ReadLn()) {
  const Basis& basis = store.basis();
  const Index layers = basis.layers();
  if (classifier.size() > 0 && classifier.dim(1) != basis.embed_width()) {
    throw Error(ErrorCode::kInvalidArgument, "{}: a classifier of {} numbers for embeddings of {}",
                store.directory().string(), classifier.dim(1), basis.embed_width());
  }
  Index first = 0;
  for (Index s = 0; s < store.num_shards(); ++s) {
    first_.push_back(first);
    first += store.shard(s).images;
  }
  weights_.assign(ToSize(basis.components().size()), 0.0);
  constant_ = Vector::Zero(basis.embed_width());
  if (store.statistics().images() > 0) {
    const ContributionMeans contributions(basis, store.statistics());
    const auto add = [&](const ComponentId& id) {
      const Vector mean = contributions.Of(id);
      std::vector<float> row;  // as an edit's file holds it
      for (const double v : mean) row.push_back(static_cast<float>(v));
      means_.push_back(std::move(row));
    };
    const Components all = basis.components();
    for (Index i = 0; i < all.size(); ++i) add(all.at(i));
    for (int l = 0; l < layers; ++l) add({l, Kind::kLayer, 0, all.level()});
  }
  if (classifier.size() == 0) return;
  classifier_ = AsEigen(classifier).cast<double>();
  base_scores_ = Matrix::Zero(store.info().images, classifier.dim(0));
  ParallelFor(threads, store.num_shards(), [&](Index s, int) {
    const Array<float, 2> rows = store.ReadEmbeddings(s);
    nn::AddProduct(nn::Of(rows.view()), nn::Of(classifier_).Transposed(),
                   base_scores_.row(At(first_, s)).data(), base_scores_.cols());
  });
  base_answers_ = BestOf(base_scores_, Vector::Zero(base_scores_.cols()));
}

void LiveEdit::Apply(std::span<const ComponentId> targets, bool mean, double scale) {
  const Basis& basis = store_.basis();
  const Index layers = basis.layers();
  const Index heads = basis.num_heads();
  if (!targets.empty() && mean && means_.empty()) {
    throw Error(ErrorCode::kPrecondition, "an edit by means of no picture");
  }
  std::vector<double> weights(weights_.size(), 0.0);
  std::vector<bool> named(weights_.size(), false);
  Vector constant = Vector::Zero(basis.embed_width());
  for (const ComponentId& t : targets) {
    const bool pool = t.kind == Kind::kPoolMlp && basis.pool_mlp() && t.layer == layers;
    if (t.layer < 0 || (t.layer >= layers && !pool) || t.head < 0 || t.head >= heads ||
        t.level != basis.components().level()) {
      throw Error(ErrorCode::kInvalidArgument, "{}: the model has {} layers x {} heads", NameOf(t),
                  layers, heads);
    }
    const auto [begin, end] = basis.components().NumbersOf(t);
    for (auto i = ToSize(begin); i < ToSize(end); ++i) {
      if (named[i]) {
        throw Error(ErrorCode::kInvalidArgument, "{}: it is edited twice; name it once", NameOf(t));
      }
      named[i] = true;
      weights[i] = mean ? 1.0 : 1.0 - scale;
    }
    if (!mean) continue;
    const std::size_t of_layer = weights.size() + ToSize(t.layer);
    const std::vector<float>& row = means_[t.kind == Kind::kLayer ? of_layer : ToSize(begin)];
    for (std::size_t e = 0; e < row.size(); ++e) constant[static_cast<Index>(e)] += row[e];
  }
  const ComponentId any = basis.components().at(0);
  if (!mean) {
    (void)MakeScaleEdit(store_.info(), basis, scale,
                        targets.empty() ? std::span(&any, 1) : targets);
  }
  weights_ = std::move(weights);
  constant_ = std::move(constant);
  answers_.clear();
  rows_are_made_ = false;
}

const std::vector<Index>& LiveEdit::Answers() {
  if (answers_.empty() && classifier_.size() > 0) {
    Bring(scores_, /*rows=*/false);
    answers_ = BestOf(scores_.values, classifier_ * constant_);
  }
  return answers_;
}

const Array<float, 2>& LiveEdit::Rows() {
  if (rows_are_made_) return unit_rows_;
  Bring(rows_, /*rows=*/true);
  const Index images = rows_.values.rows();
  if (unit_rows_.empty()) unit_rows_ = Array<float, 2>({images, rows_.values.cols()});
  ParallelFor(threads_, (images + kRowsATask - 1) / kRowsATask, [&](Index task, int) {
    const Index end = std::min(images, (task + 1) * kRowsATask);
    for (Index b = task * kRowsATask; b < end; ++b) {
      const std::span<float> row = unit_rows_.row(b);
      for (std::size_t e = 0; e < row.size(); ++e) {
        const auto at = static_cast<Index>(e);
        row[e] = static_cast<float>(rows_.values(b, at) + constant_[at]);
      }
      NormalizeRow(row);
    }
  });
  rows_are_made_ = true;
  return unit_rows_;
}

void LiveEdit::Bring(Sums& sums, bool rows) {
  std::vector<Index> changed, own;
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    if (weights_[i] != 0) own.push_back(static_cast<Index>(i));
    if (sums.values.size() > 0 && weights_[i] != sums.weights[i]) {
      changed.push_back(static_cast<Index>(i));
    }
  }
  try {
    if (sums.values.size() == 0 || changed.size() > own.size()) {
      sums.weights.assign(weights_.size(), 0.0);
      changed = own;
      if (!rows) {
        sums.values = base_scores_;
      } else {
        sums.values.resize(store_.info().images, store_.basis().embed_width());
        ParallelFor(threads_, store_.num_shards(), [&](Index s, int) {
          const Array<float, 2> part = store_.ReadEmbeddings(s);
          sums.values.middleRows(At(first_, s), part.dim(0)) = AsEigen(part.view()).cast<double>();
        });
      }
    }
    for (std::size_t i = 0; i < changed.size(); i += kTogether) {
      Add(sums, rows, std::span(changed).subspan(i, std::min(kTogether, changed.size() - i)));
    }
  } catch (...) {
    sums = {};  // some shards are done, others are not
    throw;
  }
  sums.weights = weights_;
}

void LiveEdit::Add(Sums& sums, bool rows, std::span<const Index> components) {
  const Basis& basis = store_.basis();
  const Components parts = basis.components();
  const auto change_of = [&](Index component) {
    const auto at = ToSize(component);
    return sums.weights[at] - weights_[at];
  };
  // What factors [K+3] and MLPs [E] are multiplied by for scores, the change of weight in it.
  std::vector<Matrix> to_scores(components.size());
  if (!rows) {
    ParallelFor(threads_, static_cast<Index>(components.size()), [&](Index i, int) {
      const Index component = At(components, i);
      Matrix& matrix = At(to_scores, i);  // [K+3, C] or [C, E]
      matrix = parts.IsHead(component) ? nn::Product(nn::Of(basis.at(parts.HeadAt(component))),
                                                     nn::Of(classifier_).Transposed())
                                       : classifier_;
      matrix *= change_of(component);
    });
  }
  const Index width = sums.values.cols();
  ParallelFor(threads_, store_.num_shards(), [&](Index s, int) {
    const Index first = At(first_, s);
    const Index images = store_.shard(s).images;
    double* const values = sums.values.data() + first * width;
    for (std::size_t i = 0; i < components.size(); ++i) {
      const Index component = components[i];
      if (parts.IsHead(component)) {
        const HeadId id = parts.HeadAt(component);
        const Array<float, 2> z = store_.ReadHead(id, s);
        Matrix u = FactorsOf(basis.layout(), z, ln_.rows(first, first + images));
        if (rows) {
          u *= change_of(component);
          nn::AddProduct(nn::Of(u), nn::Of(basis.at(id)), values, width);
        } else {
          nn::AddProduct(nn::Of(u), nn::Of(to_scores[i]), values, width);
        }
        continue;
      }
      const Array<float, 2> part = store_.ReadMlp(parts.ResidualAt(component), s);
      if (rows) {
        sums.values.middleRows(first, images) +=
            change_of(component) * AsEigen(part.view()).cast<double>();
      } else {
        nn::AddProduct(nn::Of(part.view()), nn::Of(to_scores[i]).Transposed(), values, width);
      }
    }
  });
}

std::vector<Index> LiveEdit::BestOf(const Matrix& scores, const Vector& constant) const {
  std::vector<Index> best(ToSize(scores.rows()));
  ParallelFor(threads_, (scores.rows() + kRowsATask - 1) / kRowsATask, [&](Index task, int) {
    const Index end = std::min(scores.rows(), (task + 1) * kRowsATask);
    for (Index b = task * kRowsATask; b < end; ++b) {
      const double* const row = scores.data() + b * scores.cols();
      Index at = 0;
      double highest = row[0] + constant[0];
      for (Index c = 1; c < scores.cols(); ++c) {
        const double score = row[c] + constant[c];
        if (score <= highest) continue;
        highest = score;
        at = c;
      }
      At(best, b) = at;
    }
  });
  return best;
}

}  // namespace cliplens
