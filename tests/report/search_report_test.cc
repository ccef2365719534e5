#include "cliplens/report/search_report.h"

#include "tests/analysis/labelled_store.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

class SearchReportTest : public LabelledStore {};

TEST_F(SearchReportTest, ItemsAreThoseOfTheNumbersInAnyShard) {
  const Store store = Decomposed("pictures", "store", 7);
  const std::vector<Item> all = store.ReadItems();
  const std::vector<ScoredItem> found = {{19, 0.9}, {0, 0.8}, {13, 0.7}, {14, 0.6}, {0, 0.5}};
  const std::vector<Item> items = ItemsOf(store, found);
  ASSERT_EQ(items.size(), found.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(items[i].path, At(all, found[i].item).path);
  }
  EXPECT_TRUE(ItemsOf(store, {}).empty());
}

}  // namespace
}  // namespace cliplens
