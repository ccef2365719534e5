#include "cliplens/analysis/answer_change.h"

#include <algorithm>

#include "cliplens/analysis/component_change.h"
#include "cliplens/analysis/component_scores.h"
#include "cliplens/analysis/scored_labels.h"
#include "cliplens/base/error.h"
#include "cliplens/base/linear_algebra.h"
#include "cliplens/base/parallel.h"
#include "cliplens/decompose/factor_block.h"
#include "cliplens/model/nn/product.h"

namespace cliplens {
namespace {

constexpr Index kChunk = 64;  // pictures

void CheckSides(const AnswerSide& a, const AnswerSide& b, std::span<const Index> labels) {
  CheckSameShape(*a.store, *b.store);
  for (const AnswerSide* side : {&a, &b}) {
    if (!side->store->info().stats_only) continue;
    throw Error(ErrorCode::kPrecondition,
                "answers: {} has statistics only, this needs the pictures' factors; decompose "
                "without --stats-only",
                side->store->directory().string());
  }
  if (a.classifier.dim(0) != b.classifier.dim(0) || a.pictures.size() != b.pictures.size() ||
      labels.size() != a.pictures.size()) {
    throw Error(ErrorCode::kInvalidArgument,
                "answers: {} and {} classes, {} and {} pictures, {} labels", a.classifier.dim(0),
                b.classifier.dim(0), a.pictures.size(), b.pictures.size(), labels.size());
  }
}

// The best class of each picture.
std::vector<Index> Answers(const AnswerSide& side, int threads) {
  std::vector<Index> answers(side.pictures.size());
  ForShardsWith(*side.store, side.pictures, [&](Index shard, Index first, auto places) {
    const Array<float, 2> rows = side.store->ReadEmbeddings(shard);
    const Index count = std::ssize(places);
    ParallelFor(threads, (count + kChunk - 1) / kChunk, [&](Index task, int) {
      const Index begin = task * kChunk;
      const Index end = std::min(count, begin + kChunk);
      Array<float, 2> some({end - begin, rows.dim(1)});
      for (Index i = begin; i < end; ++i) {
        const Index number = At(side.pictures, At(places, i)) - first;
        std::ranges::copy(rows.row(number), some.row(i - begin).data());
      }
      const Matrix scores = nn::Product(nn::Of(some.view()), nn::Of(side.classifier).Transposed());
      for (Index i = begin; i < end; ++i) At(answers, At(places, i)) = BestClass(scores, i - begin);
    });
  });
  return answers;
}

// Where a flip keeps the margin of a component; that of the embedding stands behind them.
double& MarginOf(Flip& flip, bool second, Index number) {
  std::vector<double>& components = second ? flip.components_b : flip.components_a;
  if (number < std::ssize(components)) return At(components, number);
  return second ? flip.margin_b : flip.margin_a;
}

// Fills the margins of the flips under one model.
void PutMargins(const AnswerSide& side, bool second, std::vector<Flip>& flips,
                const AnswerOptions& options, Index& done, Index total) {
  if (flips.empty()) return;
  const Components components = side.store->basis().components();
  const ComponentScores scores(side.store->basis(), side.classifier, options.threads);
  std::vector<Index> numbers;
  numbers.reserve(flips.size());
  for (const Flip& flip : flips) numbers.push_back(At(side.pictures, flip.picture));
  ForShardsWith(*side.store, numbers, [&](Index shard, Index first, auto places) {
    const FactorBlock whole = side.store->ReadShard(shard);
    std::vector<Index> rows;
    for (const Index f : places) rows.push_back(At(numbers, f) - first);
    const FactorBlock block = SelectRows(whole, rows);
    const Index count = block.images();
    const auto flip = [&](Index i) -> Flip& { return At(flips, At(places, i)); };
    ParallelFor(options.threads, components.size() + 1, [&](Index number, int) {
      if (number < components.size() && components.IsHead(number)) {
        const HeadId id = components.HeadAt(number);
        const Matrix u = block.Factors(id, 0, count);
        const Matrix& of_class = scores.OfHead(id);
        // Of all classes only two count for a picture.
        for (Index i = 0; i < count; ++i) {
          double margin = 0;
          for (Index k = 0; k < u.cols(); ++k) {
            margin += u(i, k) * (of_class(k, flip(i).after) - of_class(k, flip(i).before));
          }
          MarginOf(flip(i), second, number) = margin;
        }
        return;
      }
      const bool residual = number < components.size();
      for (Index begin = 0; begin < count; begin += kChunk) {
        const Index end = std::min(count, begin + kChunk);
        const Matrix some =
            scores.Rows(residual ? block.mlp.view()[components.ResidualAt(number)].rows(begin, end)
                                 : block.embedding.rows(begin, end));
        for (Index i = begin; i < end; ++i) {
          MarginOf(flip(i), second, number) =
              some(i - begin, flip(i).after) - some(i - begin, flip(i).before);
        }
      }
    });
    done += count;
    if (options.progress) options.progress(done, total);
  });
}

std::vector<FlipMeans> MeansOf(const std::vector<Flip>& flips, Index components) {
  std::vector<FlipMeans> means;
  for (Index number = 0; number < components; ++number) {
    std::vector<double> lost, gained;
    for (const Flip& flip : flips) {
      if (flip.label < 0) continue;
      if (flip.label == flip.before) lost.push_back(flip.ComponentChange(number));
      if (flip.label == flip.after) gained.push_back(flip.ComponentChange(number));
    }
    means.push_back({number, MeanWithBounds(lost), MeanWithBounds(gained)});
  }
  return means;
}

}  // namespace

AnswerChange CompareAnswers(const AnswerSide& a, const AnswerSide& b, std::span<const Index> labels,
                            const AnswerOptions& options) {
  CheckSides(a, b, labels);
  const Index components = a.store->basis().components().size();
  AnswerChange change;
  change.images = std::ssize(labels);
  const std::vector<Index> before = Answers(a, options.threads);
  const std::vector<Index> after = Answers(b, options.threads);
  for (Index i = 0; i < change.images; ++i) {
    const Index label = At(labels, i);
    if (label >= 0) {
      ++change.labelled;
      const bool first = At(before, i) == label;
      const bool second = At(after, i) == label;
      PairedCounts& counts = change.counts;
      ++(first ? (second ? counts.both : counts.first) : (second ? counts.second : counts.neither));
    }
    if (At(before, i) == At(after, i)) continue;
    Flip flip{.picture = i, .label = label, .before = At(before, i), .after = At(after, i)};
    flip.components_a.assign(ToSize(components), 0.0);
    flip.components_b = flip.components_a;
    change.flips.push_back(std::move(flip));
  }
  if (change.labelled > 0) {
    const PairedCounts& counts = change.counts;
    change.accuracy_a = WilsonShare(counts.both + counts.first, change.labelled);
    change.accuracy_b = WilsonShare(counts.both + counts.second, change.labelled);
    change.difference = PairedDifference(counts);
    change.p = McNemar(counts);
  }
  Index done = 0;
  const Index total = 2 * std::ssize(change.flips);
  PutMargins(a, /*second=*/false, change.flips, options, done, total);
  PutMargins(b, /*second=*/true, change.flips, options, done, total);
  change.means = MeansOf(change.flips, components);
  std::ranges::stable_sort(change.flips,
                           [](const Flip& x, const Flip& y) { return x.change() > y.change(); });
  return change;
}

}  // namespace cliplens
