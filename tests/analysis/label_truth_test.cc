#include "cliplens/analysis/label_truth.h"

#include <numeric>

#include "tests/expect_error.h"
#include "tests/planted_store.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

std::vector<Index> All(Index images) {
  std::vector<Index> all(ToSize(images));
  std::iota(all.begin(), all.end(), Index{0});
  return all;
}

Item Picture(const char* colour) {
  Item item;
  item.path = "p.png";
  if (colour != nullptr) item.attributes = {{"colour", colour}};
  return item;
}

TEST(LabelTruth, FactorsAreTheAttributesValues) {
  const std::vector<Item> items = {Picture("red"), Picture("blue"), Picture(nullptr),
                                   Picture("red")};
  const std::vector<std::string> names = {"colour"};
  const std::vector<Factor> factors = KnownFactors(items, names, All(4));
  ASSERT_EQ(factors.size(), 1u);
  EXPECT_EQ(factors[0].values, (std::vector<std::string>{"red", "blue"}));
  EXPECT_EQ(factors[0].value_of, (std::vector<std::int32_t>{0, 1, -1, 0}));
  const std::vector<std::string> missing = {"mood"};
  ExpectError(ErrorCode::kNotFound, "no picture has anything as the attribute 'mood'",
              [&] { KnownFactors(items, missing, All(4)); });
  const std::vector<Index> reds = {0, 3};
  ExpectError(ErrorCode::kInvalidArgument, "the same value as the attribute 'colour'",
              [&] { KnownFactors(items, names, reds); });
}

TEST(LabelTruth, PlantedHeadsHaveTheirFactor) {
  const TemporaryDirectory directory;
  const Store store = PlantedStore{}.Write(directory.path() / "store");
  const std::vector<std::string> names = {"colour", "shape"};
  const std::vector<Index> all = All(400);
  const std::vector<Factor> factors = KnownFactors(store.ReadItems(), names, all);
  const std::vector<HeadId> heads = {{0, 0}, {0, 1}, {0, 2}, {0, 3}, {0, 4}};
  const std::vector<HeadTruth> truth = TruthOfHeads(store, heads, factors, all, 2);
  EXPECT_EQ(truth[0].first, 0);
  EXPECT_EQ(truth[1].first, 1);
  EXPECT_TRUE(truth[0].clear);
  EXPECT_TRUE(truth[1].clear);
  EXPECT_NEAR(truth[0].shares[0].value, 0.75 / (0.75 + 8 * 0.01 / 3), 0.005);
  EXPECT_NEAR(truth[0].variance, 0.75 + 8 * 0.01 / 3, 0.02);
  EXPECT_LT(truth[0].shares[0].low, truth[0].shares[0].value);
  EXPECT_FALSE(truth[2].clear);
  EXPECT_NE(truth[2].first, truth[2].second);
  EXPECT_LE(truth[3].shares[0].low, 0);
  EXPECT_EQ(truth[4].first, -1);
  EXPECT_EQ(truth[4].variance, 0);
}

TEST(LabelTruth, PicturesWithoutTheAttributeAreLeftOut) {
  const TemporaryDirectory directory;
  const Store store = PlantedStore{.images = 100}.Write(directory.path() / "store");
  const std::vector<std::string> names = {"colour"};
  const std::vector<Index> all = All(100);
  std::vector<Factor> factors = KnownFactors(store.ReadItems(), names, all);
  std::vector<Index> half;
  for (Index b = 0; b < 100; ++b) {
    if (b % 2 == 0) {
      half.push_back(b);
    } else {
      At(factors[0].value_of, b) = -1;
    }
  }
  const std::vector<HeadTruth> some = TruthOfHeads(store, {{0, 0}}, factors, all, 1);
  const std::vector<HeadTruth> same =
      TruthOfHeads(store, {{0, 0}}, KnownFactors(store.ReadItems(), names, half), half, 1);
  EXPECT_NEAR(some[0].shares[0].value, same[0].shares[0].value, 1e-12);
}

HeadLabel Label(Index label, double confidence) {
  HeadLabel head;
  head.label = label;
  head.confidence = confidence;
  return head;
}

HeadTruth Truth(Index first, double variance, bool clear) {
  HeadTruth head;
  head.first = first;
  head.variance = variance;
  head.clear = clear;
  return head;
}

TEST(LabelTruth, TheEvaluationByHand) {
  const PropertyTable table = {{"shape", "colour"}, {{0, 1}, {2, 3}}};
  const std::vector<Factor> factors = {{"colour", {}, {}}, {"shape", {}, {}}};
  // Right and clear; wrong; none; right; no variance, which does not count.
  const LabelEvaluation e = EvaluateLabels(
      {Label(1, 0.95), Label(0, 0.55), Label(-1, 0), Label(0, 0.52), Label(-1, 0)}, table, factors,
      {Truth(0, 4, true), Truth(0, 2, true), Truth(1, 1, false), Truth(1, 1, false),
       Truth(-1, 0, false)});
  EXPECT_EQ(e.heads, 4);
  EXPECT_EQ(e.right, 2);
  EXPECT_EQ(e.abstained, 1);
  EXPECT_EQ(e.clear, 2);
  EXPECT_EQ(e.clear_right, 1);
  EXPECT_DOUBLE_EQ(e.fidelity, 5.0 / 8);
  EXPECT_DOUBLE_EQ(e.fidelity_of_labelled, 5.0 / 7);
  EXPECT_DOUBLE_EQ(e.abstained_variance, 1.0 / 8);
  EXPECT_DOUBLE_EQ(e.commonest, 6.0 / 8);
  // Bins: .52 and .55 with one of two right, .95 with one of one.
  EXPECT_NEAR(e.calibration_error, 2.0 / 3 * 0.035 + 1.0 / 3 * 0.05, 1e-12);
  ASSERT_EQ(e.bins.size(), 2u);
  EXPECT_EQ(e.bins[0].heads, 2);
  EXPECT_DOUBLE_EQ(e.bins[0].right, 0.5);
  ExpectError(ErrorCode::kInvalidArgument, "1 labels, the truth of 0 heads",
              [&] { EvaluateLabels({Label(0, 1)}, table, factors, {}); });
}

}  // namespace
}  // namespace cliplens
