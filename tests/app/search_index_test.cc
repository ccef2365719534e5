#include "cliplens/app/search_index.h"

#include <filesystem>
#include <functional>

#include "tests/expect_error.h"
#include "tests/planted_store.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

#include "cliplens/io/file.h"
#include "cliplens/io/sealed_json.h"

namespace cliplens {
namespace {

class SearchIndexTest : public testing::Test {
 protected:
  SearchIndexTest() : store_(PlantedStore{.images = 60}.Write(directory_.path() / "store")) {
    const Array<float, 2> texts = PlantedStore::Texts();
    space_ = {.heads = {{0, 1}, {0, 2}},
              .weights = {0.5, 0.75},
              .directions = SpanOfTexts({texts.data(), {PlantedStore::kValues, texts.dim(1)}}),
              .definition = Definition::kSumOfScores,
              .measure = Measure::kDot};
    OutputFiles files(SearchIndexFiles(path_));
    WriteSearchIndex(path_, files, store_, space_, /*threads=*/2);
    files.Commit();
  }

  // Reads the index with its description changed, and sealed again.
  SearchIndex ReadChanged(const std::function<void(Json&)>& change) const {
    const std::filesystem::path description = path_.string() + ".json";
    Json json = ReadSealedJson(description, 1 << 20);
    change(json);
    WriteFileAtomically(description, SealJson(std::move(json)));
    return ReadSearchIndex(path_, store_);
  }

  TemporaryDirectory directory_;
  Store store_;
  SearchSpace space_;
  std::filesystem::path path_ = directory_.path() / "some.faiss";
};

TEST_F(SearchIndexTest, KnowsItsSpaceAndAnswersAsTheStore) {
  const SearchIndex index = ReadSearchIndex(path_, store_);
  EXPECT_TRUE(IsSameSpace(index.space, space_));
  EXPECT_TRUE(std::ranges::equal(index.space.directions.flat(), space_.directions.flat()));
  const SearchVectors vectors(store_, space_);
  const SearchTerm term{&vectors, vectors.OfItem(4)};
  const std::vector<ScoredItem> expected = Search(store_, {&term, 1}, {.count = 8});
  const std::vector<ScoredItem> found = Search(index, index.vectors.row(4), {.count = 8});
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_NEAR(found[i].score, expected[i].score, 1e-5);
  }
}

// Whatever stands in the place of a member is read or refused, with the file's name.
TEST_F(SearchIndexTest, MembersOfOtherTypes) {
  const Json kinds[] = {nullptr,
                        true,
                        -3,
                        1e300,
                        "x",
                        Json::array(),
                        Json::array({"x"}),
                        Json::array({Json::array({1e300})}),
                        Json::object(),
                        {{"a", 1}},
                        {{"0", {{"a", 1}}}}};
  const std::string before = ReadTextFile(path_.string() + ".json", 1 << 20);
  for (const char* key : {"format", "store", "images", "width", "heads", "weights", "directions",
                          "definition", "measure", "index_checksum"}) {
    for (const Json& kind : kinds) {
      try {
        ReadChanged([&](Json& json) { json[key] = kind; });
      } catch (const Error& error) {
        EXPECT_NE(error.code(), ErrorCode::kInternal) << key << ": " << error.what();
      }
      WriteFileAtomically(path_.string() + ".json", before);
    }
  }
  ExpectError(ErrorCode::kCorruptData, "\"directions\" must be a list, it is {\"0\":", [&] {
    ReadChanged([&](Json& json) { json["directions"] = kinds[10]; });
  });
}

TEST_F(SearchIndexTest, DirectionsThatAreNoneAreRefused) {
  ExpectError(ErrorCode::kCorruptData, "9 directions in a space of 8 numbers", [&] {
    ReadChanged([](Json& json) { json["directions"] = Json(9, Json::array()); });
  });
  for (const Json& row : {Json::array(), Json(3), Json(8, "x"), Json(7, 0.5)}) {
    ExpectError(ErrorCode::kCorruptData, "direction 1 is not a list of 8 numbers", [&] {
      ReadChanged([&](Json& json) { json["directions"] = {Json(8, 0.5), row}; });
    });
  }
  // Fewer than the vectors have.
  ExpectError(ErrorCode::kCorruptData, "make the index again",
              [&] { ReadChanged([](Json& json) { json["directions"].erase(0); }); });
}

}  // namespace
}  // namespace cliplens
