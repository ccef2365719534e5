// One score split over neurons of either tower, held against the definition of their effects.
#include "cliplens/app/explanations.h"

#include <optional>

#include "tests/expect_error.h"
#include "tests/neuron_definition.h"
#include "tests/random_model.h"
#include "tests/random_pictures.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

constexpr Index kLayer = 0;

class ExplanationThroughTest : public testing::Test {
 protected:
  ExplanationThroughTest() {
    RandomModel{}.Write(directory_.path());
    model_.emplace(ClipModel::Load(directory_.path()));
    tensors_ = LoadCheckpoint(directory_.path()).tensors;
  }

  TokenPass Picture() const {
    return PassOf(*model_, RandomPicture(3, 24, 27), 1, "picture", CapturesThrough(kLayer));
  }
  // Σ over all neurons, and each by itself, of ⟨φ_n, direction⟩ in one pass of a tower.
  Vector Scores(const char* prefix, const TowerConfig& config, const Captures& captures,
                const Vector& direction) const {
    const NeuronDefinition definition(tensors_, config, model_->config().embed_width, prefix,
                                      captures);
    Vector scores(config.mlp_width);
    for (Index n = 0; n < scores.size(); ++n) {
      scores[n] = definition.Effect(kLayer, n).dot(direction);
    }
    return scores;
  }
  Vector ScoresOfText(const std::string& text, const Vector& direction) const {
    const TokenPass pass = PassOf(*model_, text, 1, false, CapturesThrough(kLayer));
    return Scores("text", model_->config().text, pass.captures, direction);
  }
  // Every neuron's share of constants is a part of its effect.
  static void ExpectScores(const ExplanationReport& report, const Vector& wanted) {
    const ScoreThrough& through = *report.through;
    ASSERT_EQ(through.scores.pairs.rows(), wanted.size());
    const double each = through.scores.constants / static_cast<double>(wanted.size());
    for (Index n = 0; n < wanted.size(); ++n) {
      EXPECT_NEAR(through.scores.of_neuron(n) + each, wanted[n], 1e-12 * wanted.norm()) << n;
    }
    EXPECT_NEAR(through.sum(), report.explanation.score, 1e-6);
    ASSERT_EQ(through.neurons.size(), 5u);
    for (Index n = 0; n < 5; ++n) {
      double sum = 0;
      for (const double token : through.tokens.row(n)) sum += token;
      EXPECT_NEAR(sum, through.scores.of_neuron(At(through.neurons, n)), 1e-12);
    }
  }

  TemporaryDirectory directory_;
  std::optional<ClipModel> model_;
  TensorMap tensors_;
};

TEST_F(ExplanationThroughTest, TheImageTowersNeurons) {
  const TokenPass picture = Picture();
  const ExplanationReport report =
      ExplainPicture(*model_, picture, {.text = "a bed", .through = kLayer, .top = 5}, 1);
  const Vector text = VectorOfRow(PassOf(*model_, "a bed", 1).embedding.row(0));
  EXPECT_FALSE(report.through->text);
  ExpectScores(report, Scores("vision", model_->config().vision, picture.captures, text));
}

TEST_F(ExplanationThroughTest, TheTextTowersNeurons) {
  const TokenPass picture = Picture();
  const Vector image = VectorOfRow(picture.embedding.row(0));
  const ExplanationReport report = ExplainPicture(
      *model_, picture, {.text = "a bed", .through = kLayer, .through_text = true, .top = 5}, 1);
  EXPECT_TRUE(report.through->text);
  ExpectScores(report, ScoresOfText("a bed", image));
  // A word for each of the text's, from its start to its end.
  ASSERT_EQ(report.through->text_words.size(), 4u);
  EXPECT_EQ(report.through->text_words[0].text, kStartWord);
  EXPECT_EQ(report.through->text_words[2].text, "bed");
  EXPECT_EQ(report.through->text_words[3].text, kEndWord);
}

// What a text's own pass brings is subtracted with the text.
TEST_F(ExplanationThroughTest, OneTextLessAnother) {
  const TokenPass picture = Picture();
  const Vector image = VectorOfRow(picture.embedding.row(0));
  const ExplanationReport report = ExplainPicture(
      *model_, picture,
      {.text = "a bed", .against = "red", .through = kLayer, .through_text = true, .top = 5}, 1);
  ExpectScores(report, ScoresOfText("a bed", image) - ScoresOfText("red", image));
  ASSERT_EQ(report.through->text_words.size(), 7u);
  EXPECT_FALSE(report.through->text_words[3].against);
  EXPECT_TRUE(report.through->text_words[4].against);
  EXPECT_EQ(report.through->text_words[5].text, "red");
}

TEST_F(ExplanationThroughTest, ClassesOfOneTemplateAreTexts) {
  const std::vector<std::string> names = {"red", "bed"};
  Classifier classes;
  classes.names = names;
  classes.templates = {"a {}"};
  classes.rows = MakeClassifier(*model_, names, classes.templates, false, 1);
  const TokenPass picture = Picture();
  const Vector image = VectorOfRow(picture.embedding.row(0));
  ExplanationChoice choice{
      .classes = &classes, .class_name = "red", .through = kLayer, .through_text = true, .top = 5};
  ExpectScores(ExplainPicture(*model_, picture, choice, 1),
               ScoresOfText("a red", image) - ScoresOfText("a bed", image));
  choice.against = "mean";
  ExpectError(ErrorCode::kInvalidArgument, "--through text:L0: 'red'",
              [&] { ExplainPicture(*model_, picture, choice, 1); });
  choice.against = "";
  classes.templates.push_back("{}");
  classes.rows = MakeClassifier(*model_, names, classes.templates, false, 1);
  ExpectError(ErrorCode::kInvalidArgument, "one template",
              [&] { ExplainPicture(*model_, picture, choice, 1); });
}

}  // namespace
}  // namespace cliplens
