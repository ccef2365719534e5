#include "cliplens/app/search.h"

#include <string>

#include "tests/expect_error.h"
#include "tests/planted_store.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

#include "cliplens/app/pictures.h"
#include "cliplens/io/file.h"

namespace cliplens {
namespace {

class SearchTest : public testing::Test {
 protected:
  TemporaryDirectory directory_;
  Store store_ = PlantedStore{.images = 60}.Write(directory_.path() / "store");
  LazyModel model_{store_, {}};  // which is not there
};

TEST_F(SearchTest, ReferencesAreItemsTextsOrFiles) {
  EXPECT_EQ(ParseQuery("12").Name(), "item 12");
  EXPECT_EQ(ParseQuery("text:a duck").Name(), "\"a duck\"");
  EXPECT_EQ(ParseQuery("duck.png").Name(), "duck.png");
  EXPECT_EQ(ParseQuery("12.png").Name(), "12.png");
}

TEST_F(SearchTest, ItemsNeedNoModelAndAreNotFoundThemselves) {
  const SearchReport report = FindPictures(
      store_, model_,
      {.queries = {{.item = 7}, {.item = 9, .unlike = true, .in = "L0.H1"}}, .count = 60}, {});
  EXPECT_EQ(report.results.size(), 58U);
  for (const ScoredItem& found : report.results) EXPECT_TRUE(found.item != 7 && found.item != 9);
  ASSERT_EQ(report.items.size(), report.results.size());
  EXPECT_EQ(report.items[0].path, "picture-" + std::to_string(report.results[0].item) + ".png");
  EXPECT_EQ(report.terms[0].in, "embedding");
  EXPECT_EQ(report.terms[1].in, "L0.H1");
  EXPECT_TRUE(report.terms[1].unlike);
}

TEST_F(SearchTest, WhatNeedsTheModelSaysThatItIsGone) {
  ExpectError(ErrorCode::kNotFound, "the model planted of this store is not there", [&] {
    FindPictures(store_, model_,
                 {.queries = {{.kind = SearchQuery::Kind::kText, .text = "a duck"}}}, {});
  });
}

TEST_F(SearchTest, AnIndexIsMadeOnceAndKeepsItsSpace) {
  SearchChoice choice{.queries = {{.item = 3}},
                      .space = {.heads = {.heads = "L0.H0"}},
                      .space_is_chosen = true,
                      .count = 5,
                      .index = (directory_.path() / "some.faiss").string()};
  const SearchReport made = FindPictures(store_, model_, choice, {});
  EXPECT_TRUE(Exists(choice.index));
  choice.space = {};
  choice.space_is_chosen = false;
  const SearchReport again = FindPictures(store_, model_, choice, {});
  EXPECT_EQ(again.terms[0].in, "the index");
  ASSERT_EQ(again.results.size(), 5U);
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(again.results[i].item, made.results[i].item);
  choice.space_is_chosen = true;
  ExpectError(ErrorCode::kInvalidArgument, "an index of other heads",
              [&] { FindPictures(store_, model_, choice, {}); });
  choice.queries.push_back({.item = 4});
  ExpectError(ErrorCode::kInvalidArgument, "--index answers one query",
              [&] { FindPictures(store_, model_, choice, {}); });
}

TEST_F(SearchTest, NothingToSearchForIsRefused) {
  ExpectError(ErrorCode::kInvalidArgument, "nothing to search for",
              [&] { FindPictures(store_, model_, {}, {}); });
}

TEST_F(SearchTest, PicturesOfAStoreThatAreGoneAreNone) {
  EXPECT_EQ(OpenImagesOf(store_, ""), nullptr);
  ExpectError(ErrorCode::kNotFound, "elsewhere",
              [&] { OpenImagesOf(store_, (directory_.path() / "elsewhere").string()); });
}

}  // namespace
}  // namespace cliplens
