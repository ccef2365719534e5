#include "cliplens/report/json.h"

#include "tests/expect_error.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

StoreInfo SmallStore() {
  StoreInfo store;
  store.model_name = "small";
  store.fingerprint = "00ff";
  store.images = 12;
  store.data = {{.kind = "folder",
                 .root = "pictures",
                 .split = {},
                 .images = 12,
                 .set_images = 12,
                 .set_checksum = "00"}};
  store.certificate = {2e-7, 1e-7};
  return store;
}

const std::vector<ComponentShare> kShares = {{"L0.H0", 0, 0, 0.75, 0.01, 0.5},
                                             {"INPUT", -1, -1, 0.05, 0.01, 0.1},
                                             {"L0.MLP", 0, -1, 0.20, 0.02, 0.2}};

TEST(SpanJson, HoldsTheContract) {
  const TextPool pool{"pool.txt", {"a duck", "snow"}, {"object", std::nullopt}};
  TextSpanResult span;
  span.rank = 7;
  span.variance = 0.5;
  span.texts = {{1, 0.5, 0.5, {}}, {0, 0.25, 0.75, {}}};
  const Json json = SpanJson(SmallStore(), pool, {{0, 0}}, {span}, kShares);
  EXPECT_EQ(json.begin().key(), "format");
  EXPECT_EQ(json["format"], "cliplens.span/1");
  EXPECT_EQ(json["images"], 12);
  EXPECT_EQ(json["pool"]["name"], "pool.txt");
  EXPECT_EQ(json["pool"]["texts"], 2);
  ASSERT_EQ(json["heads"].size(), 1u);
  const Json& head = json["heads"][0];
  EXPECT_EQ(head["head"], "L0.H0");
  EXPECT_EQ(head["rank"], 7);
  EXPECT_EQ(head["variance_share"], 0.75);
  EXPECT_EQ(head["texts"][0]["text"], "snow");
  EXPECT_EQ(head["texts"][0]["index"], 1);
  EXPECT_EQ(head["texts"][0]["share"], 0.5);
  EXPECT_FALSE(head["texts"][0].contains("property"));
  EXPECT_EQ(head["texts"][1]["property"], "object");
  EXPECT_EQ(head["texts"][1]["cumulative"], 0.75);
  EXPECT_FALSE(head["texts"][0].contains("held_out"));
  const Json held = SpanJson(SmallStore(), pool, {{0, 0}}, {span}, kShares, {{0.4, 0.6, 0.7}});
  EXPECT_EQ(held["heads"][0]["texts"][1]["held_out"], 0.6);
  EXPECT_FALSE(SpanJson(SmallStore(), pool, {{0, 0}}, {span}, kShares, {{}})["heads"][0]["texts"][0]
                   .contains("held_out"));
}

TEST(SpanJson, RefusesWhatDoesNotFitTogether) {
  const TextPool pool{"pool.txt", {"a duck"}, {}};
  TextSpanResult span;
  ExpectError(ErrorCode::kInvalidArgument, "1 heads", [&] {
    SpanJson(SmallStore(), pool, {{0, 0}}, {}, kShares);
  });
  ExpectError(ErrorCode::kInvalidArgument, "L3.H0", [&] {
    SpanJson(SmallStore(), pool, {{3, 0}}, {span}, kShares);
  });
  span.texts = {{1, 0.5, 0.5, {}}};
  ExpectError(ErrorCode::kInvalidArgument, "text 1", [&] {
    SpanJson(SmallStore(), pool, {{0, 0}}, {span}, kShares);
  });
}

TEST(ComponentsJson, HoldsAllComponents) {
  const Json json = ComponentsJson(kShares);
  ASSERT_EQ(json.size(), 3u);
  EXPECT_EQ(json[1]["component"], "INPUT");
  EXPECT_EQ(json[2]["share"], 0.20);
}

}  // namespace
}  // namespace cliplens
