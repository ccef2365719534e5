// Whether two models of one shape answer alike: the best class of each picture, accuracy before and
// after, and for each picture whose answer flipped the components that flipped it.
//
//   const Store other = Store::Open("after/");
//   const CommonPictures common = CommonPicturesOf(store, other);
//   const AnswerChange change =
//       CompareAnswers({&store, classifier, common.a}, {&other, classifier, common.b}, labels, {});
//   Print(change.counts.first, change.counts.second, change.difference->value);
//   for (const Flip& flip : change.flips) Print(flip.picture, flip.before, flip.after);
//
// A picture's margin is the score of the class that the second model answers minus that of the
// first model's: ⟨e, w_after − w_before⟩, with each model's own embedding and classes. It is below
// 0 under the first model and above 0 under the second. As e is a sum of contributions, so is the
// margin, and the change of the margin is the sum of the components' changes.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/base/bootstrap.h"
#include "cliplens/base/component.h"
#include "cliplens/base/intervals.h"
#include "cliplens/base/progress.h"
#include "cliplens/decompose/store.h"

namespace cliplens {

struct AnswerSide {
  const Store* store;
  ArrayView<const float, 2> classifier;  // unit rows [C, E]
  std::span<const Index> pictures;       // numbers in the store [n]
};

struct AnswerOptions {
  int threads = 0;
  ProgressSink progress = {};  // pictures whose components are scored
};

struct Flip {
  Index picture = 0;                  // in [0, n)
  Index label = -1;                   // -1: none
  Index before = 0, after = 0;        // the best classes
  double margin_a = 0, margin_b = 0;  // of the embeddings, as above
  // Margins of the components by number (Components): their sums are the embeddings' margins up to
  // the stores' certificates.
  std::vector<double> components_a = {}, components_b = {};
  double change() const { return margin_b - margin_a; }
  double ComponentChange(Index number) const {
    return At(components_b, number) - At(components_a, number);
  }
};

// What components did to the pictures that were answered right by one model alone: the mean change
// of their margins. Nothing for fewer than two pictures.
struct FlipMeans {
  Index component = 0;
  std::optional<Estimate> lost;    // pictures that the first model alone answers right
  std::optional<Estimate> gained;  // that the second alone does
};

struct AnswerChange {
  Index images = 0;     // n
  Index labelled = 0;   // of these, pictures with a label
  PairedCounts counts;  // of right answers, over the labelled
  // Accuracy of both, with Wilson's bounds; the second minus the first, with Newcombe's. Nothing
  // without labels.
  std::optional<Estimate> accuracy_a, accuracy_b, difference;
  std::optional<double> p;  // McNemar's exact test
  // All pictures whose best class differs, the largest change of the margin first.
  std::vector<Flip> flips;
  std::vector<FlipMeans> means;  // of each component by number
};

// labels: of each picture, −1 for none. Ties between classes go to the lower class. The same to the
// byte for any number of threads. Throws Error(kInvalidArgument) where shapes, numbers of pictures
// or classes differ, Error(kPrecondition) for a store with statistics only.
AnswerChange CompareAnswers(const AnswerSide& a, const AnswerSide& b, std::span<const Index> labels,
                            const AnswerOptions& options);

}  // namespace cliplens
