#include "cliplens/analysis/reconstruction.h"

#include <algorithm>
#include <set>

#include "cliplens/analysis/component_scores.h"
#include "cliplens/analysis/scored_labels.h"
#include "cliplens/analysis/text_span.h"
#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/decompose/factor_block.h"
#include "cliplens/model/nn/product.h"

namespace cliplens {
namespace {

constexpr Index kReconstructionChunk = 64;  // pictures of one task

// A reconstructed head: what its first texts bring to the scores.
struct HeadTexts {
  HeadId id;
  Vector mean;     // of the factor [K+3]
  Matrix weights;  // [K+3, n]: (u − mean) · weight is what the picture has of a text
  Matrix scores;   // [n, C]: of the text's direction
};

HeadTexts MakeHead(const Store& store, HeadId id, const TextSpanResult& span,
                   ArrayView<const float, 2> classifier) {
  const ArrayView<const float, 2> basis = store.basis().at(id);
  HeadTexts head{id, store.statistics().HeadMoments(id).mean,
                 Matrix(basis.dim(0), static_cast<Index>(span.texts.size())), Matrix()};
  for (std::size_t t = 0; t < span.texts.size(); ++t) {
    head.weights.col(static_cast<Index>(t)) = span.texts[t].weight;
  }
  head.scores = nn::Product(nn::Of(DirectionsOf(span, basis)), nn::Of(classifier).Transposed());
  return head;
}

void Check(const ReconstructionOptions& options, const Basis& basis,
           ArrayView<const float, 2> texts) {
  if (options.counts.empty() || options.counts.front() < 1 ||
      !std::ranges::is_sorted(options.counts, std::less_equal<>())) {
    throw Error(ErrorCode::kInvalidArgument,
                "reconstruction: counts of texts must ascend from 1 on, each once");
  }
  if (options.layers < 1 || options.layers > basis.layers()) {
    throw Error(ErrorCode::kInvalidArgument, "reconstruction: the last {} layers of {}",
                options.layers, basis.layers());
  }
  if (texts.dim(0) == 0) {
    throw Error(ErrorCode::kInvalidArgument, "reconstruction: no texts to choose from");
  }
}

}  // namespace

ReconstructionResult Reconstruct(const Store& store, ArrayView<const float, 2> texts,
                                 ArrayView<const float, 2> classifier,
                                 std::span<const Index> labels,
                                 const ReconstructionOptions& options) {
  const Basis& basis = store.basis();
  CheckLabels("reconstruction", store, labels, classifier.dim(0));
  Check(options, basis, texts);
  const ComponentScores scores(basis, classifier, options.threads);
  const auto num_counts = static_cast<Index>(options.counts.size());
  std::vector<HeadId> ids;
  for (Index l = basis.layers() - options.layers; l < basis.layers(); ++l) {
    for (Index h = 0; h < basis.num_heads(); ++h) {
      ids.push_back({static_cast<int>(l), static_cast<int>(h)});
    }
  }
  const std::vector<TextSpanResult> spans =
      TextSpanOfHeads(store.statistics(), basis, ids, texts,
                      {.count = options.counts.back(), .rank = options.rank}, options.threads);
  std::vector<HeadTexts> heads(ids.size());
  ParallelFor(options.threads, static_cast<Index>(ids.size()), [&](Index i, int) {
    const auto at = ToSize(i);
    heads[at] = MakeHead(store, ids[at], spans[at], classifier);
  });

  // What is the same for every picture: the means of all attention, and those of MLPs and INPUT.
  const MeanScores means(store.statistics(), basis, scores);
  Vector attention_mean = Vector::Zero(classifier.dim(0));
  for (const Vector& layer : means.layers) attention_mean += layer;

  // Figures of a picture: right or wrong for nothing, each count, the whole; with MLPs and alone.
  const Index steps = num_counts + 2;
  const Index figures = 2 * steps;
  const Bootstrap bootstrap;
  const BlockSums sums = SumOverPictures(
      store, labels, figures, bootstrap.blocks(), kReconstructionChunk, options.threads,
      options.progress,
      [&](const FactorBlock& block, Index begin, std::span<const Index> of_chunk, double* values) {
        const auto count = static_cast<Index>(of_chunk.size());
        // parts[k]: what the texts beyond the count before bring; the last: the heads as they are.
        std::vector<Matrix> parts(ToSize(num_counts + 1), Matrix::Zero(count, classifier.dim(0)));
        for (const HeadTexts& head : heads) {
          Matrix u = block.Factors(head.id, begin, begin + count);
          u.rowwise() -= head.mean.transpose();
          const Matrix along = nn::Product(nn::Of(u), nn::Of(head.weights));
          Index from = 0;
          for (Index k = 0; k < num_counts; ++k) {
            const Index to = std::min(At(options.counts, k), along.cols());
            if (to <= from) break;
            const nn::Operand<double> a{along.data() + from, count, to - from, along.cols(), 1};
            const nn::Operand<double> b{head.scores.data() + from * head.scores.cols(), to - from,
                                        head.scores.cols(), head.scores.cols(), 1};
            nn::AddProduct(a, b, At(parts, k));
            from = to;
          }
          nn::AddProduct(nn::Of(u), nn::Of(scores.OfHead(head.id)), parts.back());
        }
        Matrix mlps = Matrix::Zero(count, classifier.dim(0));
        for (Index j = 0; j <= basis.layers(); ++j) {
          mlps += scores.Rows(block.mlp.view()[j].rows(begin, begin + count));
        }
        Matrix kept = attention_mean.transpose().replicate(count, 1);
        const auto put = [&](Index step, const Matrix& attention) {
          const Matrix with_mlps = attention + mlps;
          const Matrix alone = attention + means.mlp_sum.transpose().replicate(count, 1);
          for (Index b = 0; b < count; ++b) {
            const Index label = At(of_chunk, b);
            double* out = values + b * figures + 2 * step;
            out[0] = BestClass(with_mlps, b) == label ? 1 : 0;
            out[1] = BestClass(alone, b) == label ? 1 : 0;
          }
        };
        put(0, kept);
        put(steps - 1, kept + parts.back());
        for (Index k = 0; k < num_counts; ++k) {
          kept += At(parts, k);
          put(k + 1, kept);
        }
      });

  ReconstructionResult result;
  result.images = sums.pictures();
  result.heads = static_cast<Index>(heads.size());
  const auto row = [&](Index step, Index count) {
    ReconstructionRow r;
    r.count = count;
    r.accuracy = bootstrap.Ratio(sums.sum(2 * step), sums.counted());
    r.accuracy_alone = bootstrap.Ratio(sums.sum(2 * step + 1), sums.counted());
    return r;
  };
  result.nothing = row(0, 0);
  result.whole = row(steps - 1, 0);
  result.whole.explained = 1;
  for (Index k = 0; k < num_counts; ++k) {
    ReconstructionRow r = row(k + 1, At(options.counts, k));
    std::set<Index> distinct;
    double explained = 0;
    double variance = 0;
    for (const TextSpanResult& span : spans) {
      const auto n = std::min(ToSize(r.count), span.texts.size());
      for (std::size_t t = 0; t < n; ++t) distinct.insert(span.texts[t].index);
      if (n > 0) explained += span.variance * span.texts[n - 1].cumulative;
      variance += span.variance;
    }
    r.distinct_texts = static_cast<Index>(distinct.size());
    r.explained = variance > 0 ? explained / variance : 0.0;
    result.rows.push_back(r);
  }
  return result;
}

}  // namespace cliplens
