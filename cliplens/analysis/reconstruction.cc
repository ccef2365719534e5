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

// A reconstructed head: what its first texts add to the scores.
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

// The heads of the last layers, each with the texts that span it.
std::vector<HeadTexts> MakeHeads(const Store& store, const std::vector<HeadId>& ids,
                                 const std::vector<TextSpanResult>& spans,
                                 ArrayView<const float, 2> classifier, int threads) {
  std::vector<HeadTexts> heads(ids.size());
  ParallelFor(threads, static_cast<Index>(ids.size()), [&](Index i, int) {
    const auto at = ToSize(i);
    heads[at] = MakeHead(store, ids[at], spans[at], classifier);
  });
  return heads;
}

// Figures of a picture: whether it is right with nothing, with each count of texts, and with the
// heads as they are; each of these steps with the MLPs as they are and alone.
class ReconstructedScores {
 public:
  ReconstructedScores(const ComponentScores& scores, const MeanScores& means,
                      const std::vector<HeadTexts>& heads, const std::vector<Index>& counts)
      : scores_(scores), means_(means), heads_(heads), counts_(counts) {
    attention_mean_ = Vector::Zero(scores.directions());
    for (const Vector& layer : means.layers) attention_mean_ += layer;
  }

  Index steps() const { return static_cast<Index>(counts_.size()) + 2; }
  Index figures() const { return 2 * steps(); }

  void Fill(const FactorBlock& block, Index begin, std::span<const Index> labels,
            double* values) const {
    const auto count = static_cast<Index>(labels.size());
    const std::vector<Matrix> parts = Parts(block, begin, count);
    Matrix mlps = Matrix::Zero(count, scores_.directions());
    for (Index j = 0; j < block.mlp.dim(0); ++j) {
      mlps += scores_.Rows(block.mlp.view()[j].rows(begin, begin + count));
    }
    const Vector mlp_mean = means_.mlp_sum + means_.pool_mlp;
    const Matrix mlp_means = mlp_mean.transpose().replicate(count, 1);
    const auto put = [&](Index step, const Matrix& attention) {
      const Matrix with_mlps = attention + mlps;
      const Matrix alone = attention + mlp_means;
      for (Index b = 0; b < count; ++b) {
        double* out = values + b * figures() + 2 * step;
        out[0] = BestClass(with_mlps, b) == At(labels, b) ? 1 : 0;
        out[1] = BestClass(alone, b) == At(labels, b) ? 1 : 0;
      }
    };
    Matrix kept = attention_mean_.transpose().replicate(count, 1);
    put(0, kept);
    put(steps() - 1, kept + parts.back());
    for (Index k = 0; k + 2 < steps(); ++k) {
      kept += At(parts, k);
      put(k + 1, kept);
    }
  }

 private:
  // Scores about their means: of the texts between one count and the next, for each count, and last
  // of the heads as they are.
  std::vector<Matrix> Parts(const FactorBlock& block, Index begin, Index count) const {
    std::vector<Matrix> parts(counts_.size() + 1, Matrix::Zero(count, scores_.directions()));
    for (const HeadTexts& head : heads_) {
      Matrix u = block.Factors(head.id, begin, begin + count);
      u.rowwise() -= head.mean.transpose();
      const Matrix along = nn::Product(nn::Of(u), nn::Of(head.weights));
      Index from = 0;
      for (std::size_t k = 0; k < counts_.size(); ++k) {
        const Index to = std::min(counts_[k], along.cols());
        if (to <= from) break;
        const nn::Operand<double> a{along.data() + from, count, to - from, along.cols(), 1};
        const nn::Operand<double> b{head.scores.data() + from * head.scores.cols(), to - from,
                                    head.scores.cols(), head.scores.cols(), 1};
        nn::AddProduct(a, b, parts[k]);
        from = to;
      }
      nn::AddProduct(nn::Of(u), nn::Of(scores_.OfHead(head.id)), parts.back());
    }
    return parts;
  }

  const ComponentScores& scores_;
  const MeanScores& means_;
  const std::vector<HeadTexts>& heads_;
  const std::vector<Index>& counts_;
  Vector attention_mean_;
};

// What the first `row.count` texts of each head are and explain.
void PutTexts(const std::vector<TextSpanResult>& spans, ReconstructionRow& row) {
  std::set<Index> distinct;
  double explained = 0;
  double variance = 0;
  for (const TextSpanResult& span : spans) {
    const auto n = std::min(ToSize(row.count), span.texts.size());
    for (std::size_t t = 0; t < n; ++t) distinct.insert(span.texts[t].index);
    if (n > 0) explained += span.variance * span.texts[n - 1].cumulative;
    variance += span.variance;
  }
  row.distinct_texts = static_cast<Index>(distinct.size());
  row.explained = variance > 0 ? explained / variance : 0.0;
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
  std::vector<HeadId> ids;
  for (Index l = basis.layers() - options.layers; l < basis.layers(); ++l) {
    for (Index h = 0; h < basis.num_heads(); ++h) {
      ids.push_back({static_cast<int>(l), static_cast<int>(h)});
    }
  }
  const std::vector<TextSpanResult> spans =
      TextSpanOfHeads(store.statistics(), basis, ids, texts,
                      {.count = options.counts.back(), .rank = options.rank}, options.threads);
  const std::vector<HeadTexts> heads = MakeHeads(store, ids, spans, classifier, options.threads);
  const MeanScores means(store.statistics(), basis, scores);
  const ReconstructedScores reconstructed(scores, means, heads, options.counts);
  const Bootstrap bootstrap;
  const BlockSums sums =
      SumOverPictures(store, labels,
                      {.figures = reconstructed.figures(),
                       .blocks = bootstrap.blocks(),
                       .threads = options.threads,
                       .progress = options.progress},
                      [&](const FactorBlock& block, Index begin, std::span<const Index> of_chunk,
                          double* values) { reconstructed.Fill(block, begin, of_chunk, values); });

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
  result.whole = row(reconstructed.steps() - 1, 0);
  result.whole.explained = 1;
  for (std::size_t k = 0; k < options.counts.size(); ++k) {
    result.rows.push_back(row(static_cast<Index>(k) + 1, options.counts[k]));
    PutTexts(spans, result.rows.back());
  }
  return result;
}

}  // namespace cliplens
