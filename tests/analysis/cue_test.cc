// Cues on a store in which heads tell of colour and shape (tests/planted_store.h): the classes are
// the shapes, and the classifier also asks for a colour.
#include "cliplens/analysis/cue.h"

#include <cmath>

#include "tests/expect_error.h"
#include "tests/planted_store.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

#include "cliplens/dataset/labels.h"

namespace cliplens {
namespace {

class CueTest : public testing::Test {
 protected:
  static constexpr Index kValues = PlantedStore::kValues;

  CueTest() : store_(PlantedStore{.images = 2000}.Write(directory_.path() / "store")) {
    Array<float, 2> colours({kValues, PlantedStore::kEmbedWidth});
    for (Index v = 0; v < kValues; ++v) {
      colours(v, v) = 1;
      of_text_.push_back(v);
    }
    colours_ = AnswersTo(store_, colours, of_text_, kValues);
    for (const Item& item : store_.ReadItems()) {
      shapes_.push_back(item.attributes["shape"].get<std::string>()[1] - '0');
    }
  }

  // Class v asks for shape v, and for colour v with weight `lean`.
  static Array<float, 2> Classifier(float lean) {
    Array<float, 2> rows({kValues, PlantedStore::kEmbedWidth});
    for (Index v = 0; v < kValues; ++v) {
      rows(v, v) = lean / std::sqrt(1 + lean * lean);
      rows(v, kValues + v) = 1 / std::sqrt(1 + lean * lean);
    }
    return rows;
  }

  static std::string Chosen(const CueResult& r) {
    std::string names;
    for (const HeadId id : r.chosen_heads()) names += HeadName(id) + " ";
    return names;
  }

  TemporaryDirectory directory_;
  Store store_;
  std::vector<Index> of_text_;
  Grouping colours_;
  std::vector<Index> shapes_;
};

TEST_F(CueTest, TheModelsAnswersAreTheGroups) {
  const std::vector<Item> items = store_.ReadItems();
  for (std::size_t b = 0; b < items.size(); ++b) {
    EXPECT_EQ("c" + std::to_string(colours_.group_of[b]), items[b].attributes["colour"]);
  }
}

TEST_F(CueTest, SaysHowFarTheLogitsFollowTheCue) {
  for (const float lean : {0.5F, 1.0F, 2.0F}) {
    const CueResult r = FindCue(store_, Classifier(lean), colours_, {}, {});
    const double expected = lean * lean / (1 + lean * lean);  // of the logits' variance
    EXPECT_NEAR(r.lean.value, expected, 0.03) << lean;
    EXPECT_LE(r.lean.low, expected);
    EXPECT_GE(r.lean.high, expected);
  }
  const CueResult none = FindCue(store_, Classifier(0), colours_, {}, {});
  EXPECT_LT(none.lean.low, 0.001);
  EXPECT_NEAR(none.lean.value, 0, 0.02);
}

TEST_F(CueTest, ChoosesTheHeadOfTheCueAndNoOther) {
  const CueResult r = FindCue(store_, Classifier(1), colours_, {}, {});
  // H0 tells of the colour alone; H2 of both alike, so it carries as much of the rest.
  EXPECT_EQ(Chosen(r), "L0.H0 ");
  EXPECT_EQ(r.heads[0].id, (HeadId{0, 0}));
  // A head adds 1 to an entry of the embedding that is √½.
  EXPECT_NEAR(r.heads[0].shares.cue.value, std::sqrt(2.0), 0.05);
  EXPECT_NEAR(r.heads[0].shares.rest.value, 0, 0.05);
  for (const CueHead& head : r.heads) {
    if (head.id.head == 1) {
      EXPECT_NEAR(head.shares.rest.value, std::sqrt(2.0), 0.05);
    }
    if (head.id.head == 2) {
      EXPECT_NEAR(head.shares.surplus.value, 0, 0.1);
    }
    if (head.id.head == 4) {  // says the same of all
      EXPECT_NEAR(head.shares.cue.value, 0, 1e-6);
    }
  }
  double cue = 0;
  for (const CueHead& head : r.heads) cue += head.shares.cue.value;
  EXPECT_NEAR(cue, r.all_heads.cue.value, 1e-9);
  EXPECT_NEAR(r.chosen.cue.value, r.heads[0].shares.cue.value, 1e-9);
  // 1 of √½ is taken away: what is left of the colour is 1 − √2 of what it was.
  const double left = std::pow(1 - std::sqrt(2.0), 2);
  EXPECT_NEAR(r.lean_edited.value, left / (1 + left), 0.05);
}

TEST_F(CueTest, HalfOfThePicturesAreHeldOutAndAllGroupsAreCounted) {
  const CueResult r = FindCue(store_, Classifier(1), colours_, {}, {});
  EXPECT_EQ(r.images, 2000);
  EXPECT_NEAR(static_cast<double>(r.held_out), 1000, 100);
  Index sum = 0;
  for (const Index n : r.group_images) sum += n;
  EXPECT_EQ(sum, 2000);
  const CueResult some = FindCue(store_, Classifier(1), colours_, {}, {.most_images = 700});
  EXPECT_EQ(some.images, 667);  // every third
}

TEST_F(CueTest, AnswersByGroup) {
  const CueResult r = FindCue(store_, Classifier(2), colours_, {}, {});
  ASSERT_EQ(r.classes.size(), 4u);
  for (const CueClass& c : r.classes) {
    for (Index g = 0; g < kValues; ++g) {
      // Colour outweighs shape: the class of the colour is the answer.
      EXPECT_EQ(At(c.answers, g).value, c.index == g ? 1 : 0);
    }
    // ⟨e, w⟩ moves by √½ · 2/√5 with the colour.
    EXPECT_NEAR(c.swing, std::sqrt(0.5) * 2 / std::sqrt(5.0), 0.05);
  }
}

TEST_F(CueTest, WithinClassesWhatTheClassesShareIsNotTheCues) {
  // Here the cue is the class itself: it explains everything, but nothing within a class.
  Grouping shapes;
  shapes.groups = kValues;
  for (const Index s : shapes_) shapes.group_of.push_back(static_cast<std::int32_t>(s));
  EXPECT_GT(FindCue(store_, Classifier(0), shapes, {}, {}).lean.low, 0.99);
  const CueResult within = FindCue(store_, Classifier(1), shapes, shapes_, {});
  EXPECT_NEAR(within.lean.value, 0, 1e-9);
  EXPECT_EQ(Chosen(within), "");
  // The colour explains all that differs within a shape.
  EXPECT_GT(FindCue(store_, Classifier(1), colours_, shapes_, {}).lean.low, 0.95);
}

TEST_F(CueTest, TheSameForAnyNumberOfThreads) {
  const CueResult one = FindCue(store_, Classifier(1), colours_, {}, {.threads = 1});
  const CueResult three = FindCue(store_, Classifier(1), colours_, {}, {.threads = 3});
  EXPECT_EQ(one.lean.low, three.lean.low);
  for (std::size_t i = 0; i < one.heads.size(); ++i) {
    EXPECT_EQ(one.heads[i].id, three.heads[i].id);
    EXPECT_EQ(one.heads[i].shares.surplus.low, three.heads[i].shares.surplus.low);
  }
}

TEST_F(CueTest, WhatIsNoCueIsRefused) {
  Grouping all = colours_;
  std::ranges::fill(all.group_of, 1);
  ExpectError(ErrorCode::kInvalidArgument, "needs two",
              [&] { (void)FindCue(store_, Classifier(1), all, {}, {}); });
  all.group_of.pop_back();
  ExpectError(ErrorCode::kInvalidArgument, "1999 groups",
              [&] { (void)FindCue(store_, Classifier(1), all, {}, {}); });
  Array<float, 2> one({1, PlantedStore::kEmbedWidth});
  ExpectError(ErrorCode::kInvalidArgument, "two classes",
              [&] { (void)FindCue(store_, one, colours_, {}, {}); });
  ExpectError(ErrorCode::kInvalidArgument, "cue: texts",
              [&] { (void)AnswersTo(store_, one, of_text_, 4); });
}

}  // namespace
}  // namespace cliplens
