#include "cliplens/analysis/heat_map.h"

#include <cmath>
#include <optional>

#include "tests/expect_error.h"
#include "tests/random_model.h"
#include "tests/random_pictures.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

class HeatMapTest : public testing::Test {
 protected:
  HeatMapTest() {
    RandomModel{}.Write(directory_.path() / "model");
    model_.emplace(ClipModel::Load(directory_.path() / "model"));
    pass_ = PassOf(*model_, RandomPicture(3, 40, 25), 1);
    classes_ =
        model_->EmbedTexts(std::vector<std::string>{"red", "a", "b c", "dots", "x"}, false, 1);
  }

  std::vector<HeatMap> Maps(ArrayView<const float, 2> rows,
                            const std::vector<HeadId>& heads = {}) const {
    return HeatMaps(*model_, pass_, rows, heads, 1);
  }

  TemporaryDirectory directory_;
  std::optional<ClipModel> model_;
  TokenPass pass_;
  Array<float, 2> classes_;
};

TEST_F(HeatMapTest, MapAndRestAreTheScoreForAnyHeads) {
  for (const std::vector<HeadId>& heads :
       {std::vector<HeadId>{}, {{1, 1}}, {{0, 0}, {2, 0}, {2, 1}}}) {
    for (const HeatMap& map : Maps(classes_, heads)) {
      EXPECT_EQ(map.grid.shape(), (Shape<2>{3, 3}));
      EXPECT_NEAR(map.sum(), map.score, 1e-5);
    }
  }
}

TEST_F(HeatMapTest, ContrastsAreAntisymmetricAndThoseWithTheMeanCancel) {
  const std::vector<HeatMap> maps = Maps(classes_);
  // Asked for in another order, beside other texts, the numbers are the same to the bit.
  Array<float, 2> two({2, classes_.dim(1)});
  std::ranges::copy(classes_.row(1), two.row(0).data());
  std::ranges::copy(classes_.row(0), two.row(1).data());
  const std::vector<HeatMap> turned = Maps(two);
  const HeatMap ab = Difference(maps[0], maps[1]);
  const HeatMap ba = Difference(turned[0], turned[1]);
  EXPECT_EQ(ab.score, -ba.score);
  EXPECT_EQ(ab.rest.sum(), -ba.rest.sum());
  for (Index i = 0; i < 9; ++i) EXPECT_EQ(ab.grid(i / 3, i % 3), -ba.grid(i / 3, i % 3));

  const HeatMap mean = MeanOf(maps);
  HeatMap sum = Difference(maps[0], mean);
  for (std::size_t c = 1; c < maps.size(); ++c) {
    const HeatMap contrast = Difference(maps[c], mean);
    for (Index i = 0; i < 9; ++i) sum.grid(i / 3, i % 3) += contrast.grid(i / 3, i % 3);
    EXPECT_NEAR(contrast.sum(), contrast.score, 1e-5);
  }
  for (const double v : sum.grid.flat()) EXPECT_NEAR(v, 0, 1e-15);

  // The mean of the maps is the map of the mean.
  Array<float, 2> row({1, classes_.dim(1)});
  for (Index e = 0; e < row.dim(1); ++e) {
    double total = 0;
    for (Index c = 0; c < classes_.dim(0); ++c) total += classes_(c, e);
    row(0, e) = static_cast<float>(total / static_cast<double>(classes_.dim(0)));
  }
  const HeatMap of_mean = Maps(row).front();
  for (Index i = 0; i < 9; ++i) {
    EXPECT_NEAR(of_mean.grid(i / 3, i % 3), mean.grid(i / 3, i % 3), 1e-7);
  }
}

TEST_F(HeatMapTest, ThePassIsThatOfEmbedding) {
  const Array<float, 2> text = model_->EmbedTexts(std::vector<std::string>{"red a"}, false, 1);
  const TokenPass pass = PassOf(*model_, "red a", 2);
  EXPECT_TRUE(std::ranges::equal(pass.embedding.flat(), text.flat()));
  EXPECT_EQ(pass.pooled, pass.tokens.end);
  EXPECT_EQ(pass.captures.pattern.dim(2), pass.tokens.end + 1);
  const TokenPass threads = PassOf(*model_, RandomPicture(3, 40, 25), 3);
  EXPECT_TRUE(std::ranges::equal(threads.embedding.flat(), pass_.embedding.flat()));
  EXPECT_TRUE(std::ranges::equal(threads.captures.pattern.values.flat(),
                                 pass_.captures.pattern.values.flat()));
}

TEST_F(HeatMapTest, RefusesWhatDoesNotFit) {
  HeatMap small;
  small.grid = Array<double, 2>({2, 2});
  ExpectError(ErrorCode::kInvalidArgument, "3 x 3 and 2 x 2",
              [&] { Difference(Maps(classes_).front(), small); });
  ExpectError(ErrorCode::kInvalidArgument, "mean of none", [&] { MeanOf({}); });
}

}  // namespace
}  // namespace cliplens
