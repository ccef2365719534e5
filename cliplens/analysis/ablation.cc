#include "cliplens/analysis/ablation.h"

#include <algorithm>

#include <fmt/format.h>

#include "cliplens/analysis/component_scores.h"
#include "cliplens/analysis/scored_labels.h"
#include "cliplens/base/component.h"
#include "cliplens/base/error.h"
#include "cliplens/decompose/factor_block.h"

namespace cliplens {
namespace {

// Pictures of one task: so many that the scores of all components for all classes take this much.
constexpr Index kChunkBytes = Index{64} << 20;
constexpr Index kMostChunk = 64;

// Rows of a result. Those that a model has nothing for are left out at the end.
constexpr const char* kRowNames[] = {"base",          "mlps",     "cls_attn",
                                     "mlps+cls_attn", "pool_mlp", "mlps+pool_mlp"};

// Where each figure of a picture stands: pairs of (right or wrong, score of the right class).
class Layout {
 public:
  static constexpr Index kRows = 6;  // of kRowNames
  Layout(Index layers, Index components) : layers_(layers), components_(components) {}
  Index row(Index i) const { return 2 * i; }
  Index cumulative(Index k) const { return 2 * (kRows + k); }
  Index last_only(Index k) const { return 2 * (kRows + layers_ + 1 + k); }
  Index component(Index i) const { return 2 * (kRows + 2 * (layers_ + 1) + i); }
  Index figures() const { return component(components_); }

 private:
  Index layers_, components_;
};

// One chunk of pictures: fills values [pictures, figures].
class Chunk {
 public:
  Chunk(const ComponentScores& scores, const MeanScores& means, const Layout& layout,
        std::span<const Index> labels, double* values)
      : scores_(scores), means_(means), layout_(layout), labels_(labels), values_(values) {}

  void Run(const FactorBlock& block, Index begin, Index layers, Index num_heads) {
    const auto count = static_cast<Index>(labels_.size());
    const auto rows = [&](const Array<float, 3>& of, Index i) {
      return scores_.Rows(of.view()[i].rows(begin, begin + count));
    };
    const ArrayView<const float, 2> ln = block.ln.rows(begin, begin + count);
    Matrix cls = Matrix::Zero(count, scores_.directions());
    for (Index l = 0; l < layers; ++l) cls += rows(block.cls_attn, l);
    Matrix mlps = Matrix::Zero(count, scores_.directions());
    Matrix pool_mlp = mlps;
    std::vector<Matrix> components;
    std::vector<Matrix> attention(ToSize(layers), mlps);
    for (Index l = 0; l < layers; ++l) {
      for (Index h = 0; h < num_heads; ++h) {
        components.push_back(Head(block, ln, begin, l, h));
        At(attention, l) += components.back();
      }
    }
    for (Index j = 0; j < block.mlp.dim(0); ++j) {
      components.push_back(rows(block.mlp, j));
      (scores_.components().IsPoolMlp(j) ? pool_mlp : mlps) += components.back();
    }
    Matrix sum = mlps;
    for (const Matrix& layer : attention) sum += layer;
    sum += pool_mlp;
    const Matrix mlps_replaced = sum - mlps + Rows(means_.mlp_sum);
    Put(layout_.row(0), sum);
    Put(layout_.row(1), mlps_replaced);
    Put(layout_.row(2), sum - cls + Rows(means_.cls_sum));
    Put(layout_.row(3), mlps_replaced - cls + Rows(means_.cls_sum));
    const Matrix pool_change = Rows(means_.pool_mlp) - pool_mlp;
    Put(layout_.row(4), sum + pool_change);
    const Matrix attention_kept = mlps_replaced + pool_change;
    Put(layout_.row(5), attention_kept);

    Matrix kept = sum;
    Matrix last = attention_kept;
    Put(layout_.cumulative(0), kept);
    Put(layout_.last_only(layers), last);
    for (Index l = 0; l < layers; ++l) {
      const Matrix change = Rows(At(means_.layers, l)) - At(attention, l);
      kept += change;
      last += change;
      Put(layout_.cumulative(l + 1), kept);
      Put(layout_.last_only(layers - l - 1), last);
    }
    for (std::size_t i = 0; i < components.size(); ++i) {
      Put(layout_.component(static_cast<Index>(i)),
          sum - components[i] + Rows(means_.components[i]));
    }
  }

 private:
  Matrix Head(const FactorBlock& block, ArrayView<const float, 2> ln, Index begin, Index l,
              Index h) const {
    const HeadId id = scores_.components().HeadAt(l * scores_.components().heads_a_layer() + h);
    return scores_.Head(id, block.Factors(id, begin, begin + ln.dim(0)));
  }

  // The same mean for every picture.
  Matrix Rows(const Vector& mean) const {
    return mean.transpose().replicate(static_cast<Index>(labels_.size()), 1);
  }

  void Put(Index figure, const Matrix& scores) {
    for (std::size_t b = 0; b < labels_.size(); ++b) {
      if (labels_[b] < 0) continue;
      const auto row = static_cast<Index>(b);
      double* out = values_ + row * layout_.figures() + figure;
      out[0] = BestClass(scores, row) == labels_[b] ? 1 : 0;
      out[1] = scores(row, labels_[b]);
    }
  }

  const ComponentScores& scores_;
  const MeanScores& means_;
  const Layout& layout_;
  std::span<const Index> labels_;
  double* values_;
};

void CheckMeans(const Basis& basis, const Statistics& means) {
  if (means.components() != basis.components() || means.factor_width() != basis.factor_width() ||
      means.embed_width() != basis.embed_width()) {
    throw Error(ErrorCode::kInvalidArgument,
                "ablation: means of {} x {} heads and an embedding of {} for a store of {} x {} "
                "and {}; means must be of the same model",
                means.layers(), means.heads(), means.embed_width(), basis.layers(),
                basis.num_heads(), basis.embed_width());
  }
  if (means.images() == 0) {
    throw Error(ErrorCode::kPrecondition, "ablation: means of no picture");
  }
}

}  // namespace

AblationResult Ablate(const Store& store, const Statistics& means,
                      ArrayView<const float, 2> classifier, std::span<const Index> labels,
                      const AblationOptions& options) {
  CheckLabels("ablation", store, labels, classifier.dim(0));
  CheckMeans(store.basis(), means);
  const Basis& basis = store.basis();
  const Index layers = basis.layers();
  const Index num_heads = basis.num_heads();
  const Index components = basis.components().size();
  const ComponentScores scores(basis, classifier, options.threads);
  const MeanScores mean_scores(means, basis, scores);
  const Layout layout(layers, components);
  const Index chunk = std::clamp<Index>(
      kChunkBytes / (components * scores.directions() * static_cast<Index>(sizeof(double))), 1,
      kMostChunk);
  const Bootstrap bootstrap;
  const BlockSums sums = SumOverPictures(
      store, labels,
      {.figures = layout.figures(),
       .blocks = bootstrap.blocks(),
       .chunk = chunk,
       .threads = options.threads,
       .progress = options.progress},
      [&](const FactorBlock& block, Index begin, std::span<const Index> of_chunk, double* values) {
        Chunk(scores, mean_scores, layout, of_chunk, values).Run(block, begin, layers, num_heads);
      });

  AblationResult result;
  result.images = sums.pictures();
  const auto row = [&](std::string name, Index figure) {
    return AblationRow{std::move(name), bootstrap.Ratio(sums.sum(figure), sums.counted()),
                       bootstrap.Ratio(sums.sum(figure + 1), sums.counted())};
  };
  for (Index i = 0; i < Layout::kRows; ++i) {
    const std::string_view name = kRowNames[i];
    if (name.ends_with("cls_attn") && !store.info().has_class_token()) continue;
    if (name.ends_with("pool_mlp") && !basis.components().has_pool_mlp()) continue;
    // At the level of the pool there are no other MLPs.
    if (name.starts_with("mlps") && basis.components().level() == Level::kPool) continue;
    result.rows.push_back(row(std::string(name), layout.row(i)));
  }
  for (Index k = 0; k <= layers; ++k) {
    result.cumulative.push_back(row(fmt::format("first-{}", k), layout.cumulative(k)));
    result.last_only.push_back(row(fmt::format("last-{}", k), layout.last_only(k)));
  }
  for (Index i = 0; i < components; ++i) {
    const auto lost = [&](Index offset) {
      std::vector<double> difference = sums.sum(layout.row(0) + offset);
      const std::vector<double>& without = sums.sum(layout.component(i) + offset);
      for (std::size_t b = 0; b < difference.size(); ++b) difference[b] -= without[b];
      return bootstrap.Ratio(difference, sums.counted());
    };
    result.components.push_back({NameOf(basis.components().at(i)), lost(0), lost(1)});
  }
  return result;
}

}  // namespace cliplens
