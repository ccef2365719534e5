#include "cliplens/analysis/component_scores.h"

#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/model/nn/product.h"

namespace cliplens {
namespace {

// A vector as a row.
nn::Operand<double> RowOf(const Vector& v) { return {v.data(), 1, v.size(), v.size(), 1}; }

}  // namespace

ComponentScores::ComponentScores(const Basis& basis, ArrayView<const float, 2> directions,
                                 int threads)
    : components_(basis.components()),
      rows_(AsEigen(directions).cast<double>()),
      heads_(ToSize(basis.components().num_heads())) {
  if (directions.dim(1) != basis.embed_width() || directions.dim(0) == 0) {
    throw Error(ErrorCode::kInvalidArgument,
                "scores: directions of shape [{}, {}] for an embedding of {}", directions.dim(0),
                directions.dim(1), basis.embed_width());
  }
  ParallelFor(threads, static_cast<Index>(heads_.size()), [&](Index i, int) {
    At(heads_, i) =
        nn::Product(nn::Of(basis.at(components_.HeadAt(i))), nn::Of(rows_).Transposed());
  });
}

Matrix ComponentScores::Head(HeadId id, const Matrix& u) const {
  return nn::Product(nn::Of(u), nn::Of(OfHead(id)));
}

Vector ComponentScores::Head(HeadId id, const Vector& u) const {
  return nn::Product(RowOf(u), nn::Of(OfHead(id))).transpose();
}

Matrix ComponentScores::Component(Index number, const FactorBlock& block, Index begin,
                                  Index end) const {
  if (components_.IsHead(number)) {
    const HeadId id = components_.HeadAt(number);
    return Head(id, block.Factors(id, begin, end));
  }
  return Rows(block.mlp.view()[components_.ResidualAt(number)].rows(begin, end));
}

Matrix ComponentScores::Rows(ArrayView<const float, 2> rows) const {
  return nn::Product(nn::Of(rows), nn::Of(rows_).Transposed());
}

Vector ComponentScores::Row(const Vector& row) const {
  return nn::Product(RowOf(row), nn::Of(rows_).Transposed()).transpose();
}

MeanScores::MeanScores(const Statistics& statistics, const Basis& basis,
                       const ComponentScores& scores) {
  const SliceStatistics total = statistics.Total(basis);
  const Index classes = scores.directions();
  const Index num_heads = statistics.heads();
  mlp_sum = cls_sum = pool_mlp = Vector::Zero(classes);
  for (Index l = 0; l < statistics.layers(); ++l) {
    layers.push_back(Vector::Zero(classes));
    for (Index h = 0; h < num_heads; ++h) {
      const Index number = l * num_heads + h;
      components.push_back(
          scores.Head(statistics.components().HeadAt(number), At(total.heads, number).mean));
      layers.back() += components.back();
    }
    cls_sum += scores.Row(At(total.cls_attn, l).mean);
  }
  for (std::size_t j = 0; j < total.mlps.size(); ++j) {
    components.push_back(scores.Row(total.mlps[j].mean));
    const bool of_pool = statistics.components().IsPoolMlp(static_cast<Index>(j));
    (of_pool ? pool_mlp : mlp_sum) += components.back();
  }
}

}  // namespace cliplens
