#include "cliplens/app/report_content.h"

#include <vector>

#include "tests/expect_error.h"
#include "tests/planted_store.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

class ReportContentTest : public testing::Test {
 protected:
  TemporaryDirectory directory_;
  Store store_ = PlantedStore{.images = 60}.Write(directory_.path() / "store");
  Array<float, 2> texts_ = PlantedStore::Texts();
};

// ⟨c, t⟩ of the pictures for one head and text, about their mean.
std::vector<double> ScoresAlong(const Store& store, HeadId id, std::span<const float> text) {
  const Array<float, 2> z = store.ReadHead(id);
  std::vector<double> scores;
  double mean = 0;
  for (Index b = 0; b < z.dim(0); ++b) {
    double score = 0;
    for (Index k = 0; k < z.dim(1); ++k) {
      score += static_cast<double>(z(b, k)) * text[static_cast<std::size_t>(k)];
    }
    scores.push_back(score);
    mean += score / static_cast<double>(z.dim(0));
  }
  for (double& score : scores) score -= mean;
  return scores;
}

TEST_F(ReportContentTest, PicturesAreRankedAlongTheTextsThatPeopleRead) {
  const std::vector<HeadId> heads = {{0, 2}, {0, 0}};
  const std::vector<ReportHead> described =
      DescribeHeads(store_, texts_, heads, {.span = {.count = 4}, .pictured_texts = 3});
  ASSERT_EQ(described.size(), 2U);
  for (std::size_t h = 0; h < heads.size(); ++h) {
    EXPECT_EQ(described[h].id, heads[h]);
    ASSERT_EQ(described[h].extremes.size(), 3U);
    for (std::size_t t = 0; t < 3; ++t) {
      // The text itself, also for a text that others were chosen before.
      const std::vector<double> scores =
          ScoresAlong(store_, heads[h], texts_.row(described[h].span.texts[t].index));
      const Extremes& extremes = described[h].extremes[t];
      ASSERT_EQ(extremes.highest.size(), 6U);
      EXPECT_NEAR(extremes.highest[0].score, *std::ranges::max_element(scores), 1e-6);
      EXPECT_NEAR(extremes.lowest[0].score, *std::ranges::min_element(scores), 1e-6);
      for (const ScoredItem& one : extremes.highest) {
        EXPECT_NEAR(one.score, scores[static_cast<std::size_t>(one.item)], 1e-6);
      }
    }
  }
}

TEST_F(ReportContentTest, WithoutPicturesThereAreTextsAlone) {
  const std::vector<ReportHead> described =
      DescribeHeads(store_, texts_, {{0, 0}}, {.span = {.count = 2}, .pictures = 0});
  EXPECT_EQ(described.front().span.texts.size(), 2U);
  EXPECT_TRUE(described.front().extremes.empty());
}

}  // namespace
}  // namespace cliplens
