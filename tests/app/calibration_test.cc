#include "cliplens/app/calibration.h"

#include <gtest/gtest.h>

namespace cliplens {
namespace {

// Layers, heads and widths of the shipped models.
Basis SmallBasis() {
  Basis basis;
  basis.heads = Array<float, 4>({6, 6, 32 + FactorLayout{}.constants, 128});
  return basis;
}

std::string FirstReason(const Json& config) {
  StoreInfo store;
  store.model_config = config;
  TextPool table;
  table.texts = {"red", "blue", "day", "night"};
  table.properties = {"colour", "colour", "time", "time"};
  const std::vector<std::string> why = WhyUncalibrated(store, SmallBasis(), 100, table);
  return why.empty() ? "" : why.front();
}

TEST(Calibration, AConfigurationOfAnyFormIsRead) {
  EXPECT_EQ(FirstReason({{"vision", {{"image_size", 80}}}}).find("the model"), std::string::npos);
  EXPECT_NE(FirstReason({{"vision", {{"image_size", 224}}}}).find("224, not 80"),
            std::string::npos);
  for (const Json& config :
       {Json(), Json(3), Json::array(), Json{{"vision", 5}}, Json{{"vision", Json::array({1})}},
        Json{{"vision", {{"image_size", "80"}}}}}) {
    EXPECT_NE(FirstReason(config).find("pixels of a side: 0, not 80"), std::string::npos)
        << config.dump();
  }
}

TEST(Calibration, AModelThatPoolsAllRowsIsUnlikeThoseOfTheFit) {
  const Json pooled = {{"vision", {{"image_size", 80}, {"pooling", "attention"}}}};
  EXPECT_NE(FirstReason(pooled).find("it pools the rows of all tokens"), std::string::npos);
  EXPECT_EQ(FirstReason(pooled).find("width of a head"), std::string::npos);
}

}  // namespace
}  // namespace cliplens
