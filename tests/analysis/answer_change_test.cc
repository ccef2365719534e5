#include "cliplens/analysis/answer_change.h"

#include <algorithm>
#include <numeric>

#include "tests/analysis/labelled_store.h"
#include "tests/expect_error.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

class AnswerChangeTest : public LabelledStore {
 protected:
  AnswerChangeTest() : a_(Decomposed("pictures", "a", 7)) {
    RandomModel{.seed = 2}.Write(path("other-model"));
    DecomposeOptions options;
    options.out = path("b");
    options.shard_images = 6;
    Decompose(ClipModel::Load(path("other-model")), *OpenImageSet(path("pictures")), options);
    b_.emplace(Store::Open(path("b")));
    other_classifier_ = UnitRows(kClasses, 10, 9);
    all_.resize(ToSize(kImages));
    std::iota(all_.begin(), all_.end(), Index{0});
  }
  static Index Best(const Matrix& scores, Index row) {
    Index best = 0;
    scores.row(row).maxCoeff(&best);
    return best;
  }

  Store a_;
  std::optional<Store> b_;
  Array<float, 2> other_classifier_;
  std::vector<Index> all_;
};

TEST_F(AnswerChangeTest, EqualsTheDefinitionOnContributions) {
  const AnswerChange change = CompareAnswers(
      {&a_, classifier_, all_}, {&*b_, other_classifier_, all_}, labels_, {.threads = 2});
  const Contributions of_a(a_), of_b(*b_);
  const Matrix w_a = AsEigen(classifier_.view()).cast<double>();
  const Matrix w_b = AsEigen(other_classifier_.view()).cast<double>();
  const Matrix scores_a = of_a.All() * w_a.transpose(), scores_b = of_b.All() * w_b.transpose();
  PairedCounts counts;
  std::vector<Index> flipped;
  for (Index i = 0; i < kImages; ++i) {
    const Index before = Best(scores_a, i), after = Best(scores_b, i), label = At(labels_, i);
    if (before != after) flipped.push_back(i);
    if (label < 0) continue;
    const bool first = before == label, second = after == label;
    counts.both += first && second;
    counts.first += first && !second;
    counts.second += !first && second;
    counts.neither += !first && !second;
  }
  EXPECT_EQ(change.labelled, counts.total());
  EXPECT_EQ(change.counts.both, counts.both);
  EXPECT_EQ(change.counts.first, counts.first);
  EXPECT_EQ(change.counts.second, counts.second);
  EXPECT_EQ(change.difference->high, PairedDifference(counts).high);
  EXPECT_EQ(*change.p, McNemar(counts));
  ASSERT_GT(flipped.size(), 3u);
  ASSERT_EQ(change.flips.size(), flipped.size());
  std::vector<double> lost;
  for (std::size_t f = 0; f < flipped.size(); ++f) {
    const Flip& flip = change.flips[f];
    EXPECT_NE(std::ranges::find(flipped, flip.picture), flipped.end());
    EXPECT_LE(flip.change(), change.flips[f > 0 ? f - 1 : 0].change());
    const Index i = flip.picture;
    EXPECT_EQ(flip.before, Best(scores_a, i));
    EXPECT_EQ(flip.after, Best(scores_b, i));
    EXPECT_LT(flip.margin_a, 0);
    EXPECT_GT(flip.margin_b, 0);
    EXPECT_NEAR(flip.margin_a, scores_a(i, flip.after) - scores_a(i, flip.before), 1e-5);
    EXPECT_NEAR(flip.margin_b, scores_b(i, flip.after) - scores_b(i, flip.before), 1e-5);
    const auto heads = static_cast<Index>(of_a.heads.size());
    double sum = 0;
    for (Index c = 0; c < std::ssize(flip.components_a); ++c) {
      const auto part = [&](const Contributions& of, const Matrix& w) {
        const Matrix& rows = c < heads ? At(of.heads, c) : At(of.mlps, c - heads);
        return rows.row(i).dot(w.row(flip.after) - w.row(flip.before));
      };
      EXPECT_NEAR(At(flip.components_a, c), part(of_a, w_a), 1e-5);
      EXPECT_NEAR(At(flip.components_b, c), part(of_b, w_b), 1e-5);
      sum += flip.ComponentChange(c);
    }
    EXPECT_NEAR(sum, flip.change(), 1e-5);
    if (flip.label == flip.before) lost.push_back(flip.ComponentChange(2));
  }
  EXPECT_EQ(std::ssize(lost), counts.first);
  EXPECT_EQ(change.means[2].lost.has_value(), lost.size() >= 2);
  if (lost.size() >= 2) {
    EXPECT_NEAR(change.means[2].lost->high, MeanWithBounds(lost)->high, 1e-12);
  }
}

TEST_F(AnswerChangeTest, AStoreAndItselfAnswerAlike) {
  const AnswerSide side{&a_, classifier_, all_};
  const AnswerChange change = CompareAnswers(side, side, labels_, {});
  EXPECT_TRUE(change.flips.empty());
  EXPECT_EQ(change.counts.first + change.counts.second, 0);
  EXPECT_EQ(change.difference->value, 0);
  EXPECT_EQ(*change.p, 1);
}

TEST_F(AnswerChangeTest, PicturesInAnotherOrderAndWithoutLabels) {
  const std::vector<Index> some = {17, 3, 11};
  const std::vector<Index> labels = {-1, -1, -1};
  const AnswerChange change =
      CompareAnswers({&a_, classifier_, some}, {&*b_, other_classifier_, some}, labels, {});
  EXPECT_EQ(change.images, 3);
  EXPECT_EQ(change.labelled, 0);
  EXPECT_FALSE(change.difference || change.accuracy_a || change.p);
  const AnswerChange whole =
      CompareAnswers({&a_, classifier_, all_}, {&*b_, other_classifier_, all_}, labels_, {});
  for (const Flip& flip : change.flips) {
    const auto same = std::ranges::find(whole.flips, At(some, flip.picture), &Flip::picture);
    ASSERT_NE(same, whole.flips.end());
    EXPECT_EQ(same->components_b, flip.components_b);
  }
}

TEST_F(AnswerChangeTest, WhatDoesNotFitIsRefused) {
  const Array<float, 2> three = UnitRows(3, 10, 5);
  ExpectError(ErrorCode::kInvalidArgument, "4 and 3 classes", [&] {
    CompareAnswers({&a_, classifier_, all_}, {&*b_, three, all_}, labels_, {});
  });
  const Store bare = Decomposed("pictures", "bare", 7, /*stats_only=*/true);
  ExpectError(ErrorCode::kPrecondition, "bare", [&] {
    CompareAnswers({&bare, classifier_, all_}, {&bare, classifier_, all_}, labels_, {});
  });
}

}  // namespace
}  // namespace cliplens
