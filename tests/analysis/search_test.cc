#include "cliplens/analysis/search.h"

#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "tests/expect_error.h"
#include "tests/planted_store.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

#include "cliplens/decompose/basis.h"

namespace cliplens {
namespace {

class SearchTest : public testing::Test {
 protected:
  SearchTest()
      : store_(PlantedStore{}.Write(directory_.path() / "store")), items_(store_.ReadItems()) {}

  std::string Of(Index item, const char* attribute) const {
    return At(items_, item).attributes[attribute].get<std::string>();
  }

  // Part of the neighbours of a few pictures that share an attribute with them.
  double Agreement(const SearchSpace& space, const char* attribute) const {
    const SearchVectors vectors(store_, space);
    double same = 0;
    for (Index item = 0; item < 10; ++item) {
      const SearchTerm term{&vectors, vectors.OfItem(item)};
      for (const ScoredItem& found : Search(store_, {&term, 1}, {.count = 10, .exclude = {item}})) {
        EXPECT_NE(found.item, item);
        same += Of(found.item, attribute) == Of(item, attribute) ? 0.01 : 0;
      }
    }
    return same;
  }

  TemporaryDirectory directory_;
  Store store_;
  std::vector<Item> items_;
};

TEST_F(SearchTest, NeighboursShareWhatTheHeadTellsOf) {
  EXPECT_GT(Agreement({.heads = {{0, 0}}}, "colour"), 0.99);
  EXPECT_LT(Agreement({.heads = {{0, 0}}}, "shape"), 0.5);
  EXPECT_GT(Agreement({.heads = {{0, 1}}}, "shape"), 0.99);
  EXPECT_GT(Agreement({.heads = {{0, 0}, {0, 1}}}, "colour"), 0.99);
  EXPECT_GT(Agreement({.heads = {{0, 0}, {0, 1}}}, "shape"), 0.99);
}

TEST_F(SearchTest, WeightsAreFactorsOfTheContributions) {
  for (const Definition definition : {Definition::kScoreOfSum, Definition::kSumOfScores}) {
    const std::vector<HeadId> heads = {{0, 0}, {0, 1}};
    const auto vectors = [&](std::vector<double> weights, std::vector<HeadId> of) {
      return SearchVectors(store_, {.heads = std::move(of),
                                    .weights = std::move(weights),
                                    .definition = definition,
                                    .measure = Measure::kDot})
          .OfItem(7);
    };
    const std::vector<float> first = vectors({1, 1e-9}, heads);
    const std::vector<float> second = vectors({1e-9, 1}, heads);
    const std::vector<float> both = vectors({0.5, 2}, heads);
    ASSERT_EQ(both.size(), first.size());
    for (std::size_t k = 0; k < both.size(); ++k) {
      EXPECT_NEAR(both[k], 0.5 * first[k] + 2 * second[k], 1e-6);
    }
    EXPECT_EQ(vectors({1, 1}, heads), vectors({}, heads));
  }
  // A head of little weight decides little.
  EXPECT_LT(Agreement({.heads = {{0, 0}, {0, 1}}, .weights = {1, 0.01}}, "shape"), 0.5);
  EXPECT_GT(Agreement({.heads = {{0, 0}, {0, 1}}, .weights = {0.01, 1}}, "shape"), 0.99);
}

TEST_F(SearchTest, ScoresAreTheirDefinitions) {
  const std::vector<HeadId> heads = {{0, 0}, {0, 2}, {0, 4}};
  const std::vector<double> weights = {1, 0.5, 2};
  const Index width = PlantedStore::kEmbedWidth;
  Array<float, 2> directions({2, width});
  directions(0, 1) = 1;
  directions(1, 2) = 0.6F;
  directions(1, 5) = 0.8F;
  for (const Array<float, 2>& along : {Array<float, 2>(), directions}) {
    // What takes a contribution to the part of it that is compared.
    const Matrix project = along.size() > 0 ? Matrix(AsEigen(along.view()).cast<double>())
                                            : Matrix(Matrix::Identity(width, width));
    const Index numbers = project.rows();
    for (const Definition definition : {Definition::kScoreOfSum, Definition::kSumOfScores}) {
      const bool sum = definition == Definition::kScoreOfSum;
      Matrix rows = Matrix::Zero(store_.info().images, sum ? numbers : 3 * numbers);
      for (Index h = 0; h < 3; ++h) {
        const auto at = ToSize(h);
        const Matrix basis = AsEigen(store_.basis().at(heads[at])).cast<double>();
        const Matrix factors = store_.ReadFactors(heads[at]);
        rows.middleCols(sum ? 0 : h * numbers, numbers) +=
            weights[at] * factors * basis * project.transpose();
      }
      for (const Measure measure : {Measure::kCosine, Measure::kDot, Measure::kRaw}) {
        Matrix expected = rows;
        if (measure != Measure::kRaw) expected.rowwise() -= rows.colwise().mean();
        if (measure == Measure::kCosine) expected.rowwise().normalize();
        const SearchVectors vectors(store_, {.heads = heads,
                                             .weights = weights,
                                             .directions = along,
                                             .definition = definition,
                                             .measure = measure});
        const std::vector<float> query = vectors.OfItem(3);
        for (Index other = 0; other < 20; ++other) {
          const std::vector<float> vector = vectors.OfItem(other);
          const double score = std::inner_product(query.begin(), query.end(), vector.begin(), 0.0);
          EXPECT_NEAR(score, expected.row(3).dot(expected.row(other)), 1e-5)
              << NameOf(definition) << " " << NameOf(measure) << " " << other;
        }
        // A text is compared along the same directions, in each head.
        const Array<float, 2> texts = PlantedStore::Texts();
        const std::vector<float> text = vectors.OfText(texts.row(2));
        Vector part = project * AsEigen(texts.view()).row(2).cast<double>().transpose();
        if (!sum) part = part.replicate(3, 1).eval();
        if (measure == Measure::kCosine) part.normalize();
        if (along.size() == 0) continue;
        ASSERT_EQ(static_cast<Index>(text.size()), part.size());
        for (Index k = 0; k < part.size(); ++k) {
          EXPECT_NEAR(At(text, k), part[k], 1e-6);
        }
      }
    }
  }
}

TEST_F(SearchTest, DirectionsLeaveOutTheRest) {
  const Array<float, 2> texts = PlantedStore::Texts();
  const auto span = [&](Index first) {
    return SpanOfTexts({texts.row(first).data(), {PlantedStore::kValues, texts.dim(1)}});
  };
  const Array<float, 2> colours = span(0), shapes = span(PlantedStore::kValues);
  // Four texts differ in three directions, those of one property in none of the other's.
  ASSERT_EQ(colours.dim(0), 3);
  const Matrix products =
      AsEigen(colours.view()).cast<double>() * AsEigen(colours.view()).cast<double>().transpose();
  EXPECT_LT((products - Matrix::Identity(3, 3)).norm(), 1e-6);
  for (Index i = 0; i < 3; ++i) {
    for (Index k = PlantedStore::kValues; k < 8; ++k) EXPECT_NEAR(colours(i, k), 0, 1e-6);
  }
  // A head that tells of both.
  EXPECT_GT(Agreement({.heads = {{0, 2}}}, "shape"), 0.99);
  EXPECT_GT(Agreement({.heads = {{0, 2}}, .directions = colours}, "colour"), 0.99);
  EXPECT_LT(Agreement({.heads = {{0, 2}}, .directions = colours}, "shape"), 0.5);
  EXPECT_GT(Agreement({.heads = {{0, 2}}, .directions = shapes}, "shape"), 0.99);
  EXPECT_EQ(SpanOfTexts(Array<float, 2>({1, 8}, 1)).size(), 0);
  EXPECT_EQ(SpanOfTexts(Array<float, 2>({3, 8}, 1)).size(), 0);
  // More texts than numbers.
  Array<float, 2> many({40, 8});
  for (Index t = 0; t < 40; ++t) many(t, t % 5) = static_cast<float>(t);
  EXPECT_EQ(SpanOfTexts(many).dim(0), 5);
}

TEST_F(SearchTest, SpacesAreTheSameWhateverTheirRows) {
  const auto at = [](std::vector<std::vector<float>> rows) {
    Array<float, 2> directions({static_cast<Index>(rows.size()), 8});
    for (std::size_t i = 0; i < rows.size(); ++i) {
      std::ranges::copy(rows[i], directions.row(static_cast<Index>(i)).begin());
    }
    return SearchSpace{.heads = {{0, 0}}, .directions = directions};
  };
  const SearchSpace space = at({{1, 0}, {0, 1}});
  EXPECT_TRUE(IsSameSpace(space, space));
  EXPECT_TRUE(IsSameSpace(space, at({{0.6F, 0.8F}, {-0.8F, 0.6F}})));
  EXPECT_FALSE(IsSameSpace(space, at({{1, 0}, {0, 0, 1}})));
  EXPECT_FALSE(IsSameSpace(space, at({{1, 0}})));
  EXPECT_FALSE(IsSameSpace(space, {.heads = {{0, 0}}}));
  EXPECT_FALSE(IsSameSpace({.heads = {{0, 0}}}, {.heads = {{0, 1}}}));
  EXPECT_FALSE(IsSameSpace({.heads = {{0, 0}}}, {.heads = {{0, 0}}, .measure = Measure::kRaw}));
  EXPECT_TRUE(
      IsSameSpace({.heads = {{0, 0}}}, {.heads = {{0, 0}}, .directions = Array<float, 2>({0, 8})}));
}

TEST_F(SearchTest, UnlikeTurnsAway) {
  const SearchVectors colour(store_, {.heads = {{0, 0}}});
  const SearchVectors shape(store_, {.heads = {{0, 1}}});
  const std::vector<SearchTerm> terms = {{&colour, colour.OfItem(3)},
                                         {&shape, shape.OfItem(3), -1}};
  for (const ScoredItem& found : Search(store_, terms, {.count = 5})) {
    EXPECT_EQ(Of(found.item, "colour"), Of(3, "colour"));
    EXPECT_NE(Of(found.item, "shape"), Of(3, "shape"));
  }
}

TEST_F(SearchTest, ATextFindsItsPictures) {
  const Array<float, 2> texts = PlantedStore::Texts();
  for (const SearchSpace& space : {SearchSpace{.heads = {{0, 0}}}, SearchSpace{}}) {
    const SearchVectors vectors(store_, space);
    const SearchTerm term{&vectors, vectors.OfText(texts.row(2))};
    for (const ScoredItem& found : Search(store_, {&term, 1}, {.count = 5})) {
      EXPECT_EQ(Of(found.item, "colour"), "c2");
    }
  }
}

TEST_F(SearchTest, AHeadThatSaysNothingFindsTheFirst) {
  const SearchVectors vectors(store_, {.heads = {{0, 4}}});
  const SearchTerm term{&vectors, vectors.OfItem(9)};
  const std::vector<ScoredItem> found = Search(store_, {&term, 1}, {.count = 3});
  ASSERT_EQ(found.size(), 3u);
  for (Index i = 0; i < 3; ++i) {
    EXPECT_EQ(At(found, i).item, i);
    EXPECT_EQ(At(found, i).score, 0);
  }
}

TEST_F(SearchTest, TheSameForAnyNumberOfThreads) {
  const SearchVectors vectors(store_, {.heads = {{0, 0}, {0, 2}, {0, 3}}});
  const SearchTerm term{&vectors, vectors.OfItem(9)};
  const std::vector<ScoredItem> one = Search(store_, {&term, 1}, {.count = 400, .threads = 1});
  const std::vector<ScoredItem> more = Search(store_, {&term, 1}, {.count = 900, .threads = 3});
  ASSERT_EQ(one.size(), 400u);
  ASSERT_EQ(more.size(), 400u);
  for (std::size_t i = 0; i < one.size(); ++i) {
    EXPECT_EQ(one[i].item, more[i].item);
    EXPECT_EQ(one[i].score, more[i].score);
  }
}

TEST_F(SearchTest, WhatIsNotThereIsRefused) {
  ExpectError(ErrorCode::kInvalidArgument, "no head L1.H0", [&] {
    SearchVectors(store_, {.heads = {{1, 0}}});
  });
  for (const auto& weights : std::vector<std::vector<double>>{{1, 1}, {0}, {-1}}) {
    ExpectError(ErrorCode::kInvalidArgument, "each head has one, above 0", [&] {
      SearchVectors(store_, {.heads = {{0, 0}}, .weights = weights});
    });
  }
  for (const SearchSpace& space :
       {SearchSpace{.directions = Array<float, 2>({1, 8}, 1)},
        {.heads = {{0, 0}}, .directions = Array<float, 2>({1, 7}, 1)},
        {.heads = {{0, 0}}, .directions = Array<float, 2>({1, 8}, NAN)}}) {
    ExpectError(ErrorCode::kInvalidArgument, "each has 8 finite numbers",
                [&] { SearchVectors(store_, space); });
  }
  const SearchVectors vectors(store_, SearchSpace{});
  ExpectError(ErrorCode::kInvalidArgument, "no item 400", [&] { vectors.OfItem(400); });
  ExpectError(ErrorCode::kInvalidArgument, "no item -1", [&] { vectors.OfItem(-1); });
  const SearchTerm term{&vectors, {1, 2}};
  ExpectError(ErrorCode::kInvalidArgument, "2 numbers in a space of 8", [&] {
    Search(store_, {&term, 1}, {});
  });
}

}  // namespace
}  // namespace cliplens
