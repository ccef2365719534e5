// Scores of tokens against their definition, written out in plain loops from the model's tensors,
// on a model of random weights: gains, biases, b_O and μ are all there.
#include "cliplens/analysis/token_scores.h"

#include <cmath>
#include <optional>

#include "tests/expect_error.h"
#include "tests/random_model.h"
#include "tests/random_pictures.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

#include "cliplens/decompose/decompose.h"
#include "cliplens/decompose/factor_block.h"

namespace cliplens {
namespace {

constexpr double kDefinition = 2e-6;  // weights and activations are fp32
constexpr double kSum = 1e-5;

struct Pass {
  Captures captures;
  Array<float, 2> embedding;
  Index pooled = 0;
};

class TokenScoresTest : public testing::TestWithParam<Index> {
 protected:
  TokenScoresTest() {
    RandomModel random;
    random.width = GetParam();  // K = width / 2
    random.text_width = 12;
    random.Write(directory_.path() / "model");
    model_.emplace(ClipModel::Load(directory_.path() / "model"));
    texts_ = model_->EmbedTexts(std::vector<std::string>{"red", "a bed", "seven"}, false, 1);
  }

  Pass Image(std::uint64_t seed = 7) const {
    Pass pass{{}, Array<float, 2>({1, model_->config().embed_width})};
    Workspace workspace;
    const Array<float, 3> pixels =
        Preprocess(RandomPicture(seed, 31, 24), model_->config().preprocess);
    model_->EmbedImages({&pixels, 1}, pass.embedding, workspace, TokenCaptures(),
                        {&pass.captures, 1});
    return pass;
  }

  Pass Text(const std::string& text) const {
    Pass pass{{}, Array<float, 2>({1, model_->config().embed_width})};
    Workspace workspace;
    const Tokens tokens = model_->tokenizer().Encode(text);
    pass.pooled = tokens.end;
    model_->EmbedTokens({&tokens, 1}, pass.embedding, workspace, TokenCaptures(),
                        {&pass.captures, 1});
    return pass;
  }

  // c_{l,h,i} of the definition, in fp64 [E]; the text tower's with side "text".
  std::vector<double> Contribution(const std::string& side, const Captures& a, Index l, Index h,
                                   Index i) const {
    const auto get = [&](const std::string& name) -> const std::vector<float>& {
      return model_->tensors().at(side + name).values;
    };
    const TowerConfig& tower = side == "vision" ? model_->config().vision : model_->config().text;
    const auto width = ToSize(tower.width);
    const auto tokens = static_cast<double>(a.pattern.dim(2));
    const auto heads = static_cast<double>(tower.heads);
    const double parts = static_cast<double>(2 * tower.layers + 1);
    const std::string block = ".block." + std::to_string(l) + ".attn.out.";
    std::vector<double> c(ToSize(model_->config().embed_width), 0.0);
    for (std::size_t d = 0; d < width; ++d) {
      double r = get(block + "bias")[d] / (heads * tokens);
      for (Index k = 0; k < tower.head_width(); ++k) {
        const Index at = h * tower.head_width() + k;
        r += double{a.pattern[l](h, i)} * a.value[l](i, at) *
             get(block + "weight")[d * width + ToSize(at)];
      }
      r -= a.scale.mean / (parts * heads * tokens);
      const double y = get(".ln_post.gain")[d] * r / a.scale.sigma +
                       get(".ln_post.bias")[d] / (parts * heads * tokens);
      for (std::size_t e = 0; e < c.size(); ++e) {
        c[e] += y * get(".projection")[d * c.size() + e] / a.scale.norm;
      }
    }
    return c;
  }

  double Dot(const std::vector<double>& c, Index text) const {
    double sum = 0;
    for (std::size_t e = 0; e < c.size(); ++e) sum += c[e] * texts_(text, static_cast<Index>(e));
    return sum;
  }

  double Cosine(const Array<float, 2>& embedding, Index text) const {
    double sum = 0;
    for (Index e = 0; e < embedding.dim(1); ++e) {
      sum += static_cast<double>(embedding(0, e)) * texts_(text, e);
    }
    return sum;
  }

  TemporaryDirectory directory_;
  std::optional<ClipModel> model_;
  Array<float, 2> texts_;
};

TEST_P(TokenScoresTest, EachTokenOfEachHeadIsTheDefinition) {
  for (const auto& [readout, name, pass] :
       {std::tuple{&model_->image_readout(), std::string("vision"), Image()},
        std::tuple{&model_->text_readout(), std::string("text"), Text("red a b")}}) {
    const TokenWeights weights(*readout, texts_, 2);
    TokenScoresOptions options;
    options.detail = TokenDetail::kHeads;
    options.pooled = pass.pooled;
    const TokenScores scores = ScoreTokens(weights, pass.captures, options, 2);
    ASSERT_EQ(static_cast<Index>(scores.chosen.size()), weights.components().num_heads());
    for (std::size_t k = 0; k < scores.chosen.size(); ++k) {
      const HeadId id = scores.chosen[k];
      for (Index m = 0; m < 3; ++m) {
        double sum = 0;
        for (Index i = 0; i < scores.tokens.dim(1); ++i) {
          const double got = scores.detail(static_cast<Index>(k), m, i);
          EXPECT_NEAR(got, Dot(Contribution(name, pass.captures, id.layer, id.head, i), m),
                      kDefinition);
          sum += got;
        }
        // The token sum is the token-free head.
        EXPECT_NEAR(sum, scores.by_head(static_cast<Index>(k), m), kDefinition) << HeadName(id);
      }
    }
    for (Index m = 0; m < 3; ++m) {
      EXPECT_NEAR(SumOf(scores, m), Cosine(pass.embedding, m), kSum) << name;
    }
  }
}

TEST_P(TokenScoresTest, MapAndNamedRestAreTheScore) {
  const Pass pass = Image();
  const TokenWeights weights(model_->image_readout(), texts_, 1);
  const std::vector<HeadId> heads = {{2, 1}, {0, 0}, {2, 1}};
  for (const auto& chosen : {std::vector<HeadId>{}, heads}) {
    TokenScoresOptions options;
    options.heads = chosen;
    const TokenScores scores = ScoreTokens(weights, pass.captures, options, 1);
    for (Index m = 0; m < 3; ++m) {
      const ScoreRest rest = RestOf(scores, m);
      EXPECT_EQ(chosen.empty(), rest.other_heads == 0);
      double patches = 0;
      for (Index i = 1; i < scores.tokens.dim(1); ++i) patches += scores.tokens(m, i);
      EXPECT_NEAR(patches + rest.pooled_token + rest.mlps + rest.input + rest.other_heads,
                  Cosine(pass.embedding, m), kSum);
    }
  }
}

TEST_P(TokenScoresTest, AgreesWithTheFactorsOfTheStore) {
  const Pass pass = Image();
  const TokenScores scores = ScoreTokens(TokenWeights(model_->image_readout(), texts_, 1),
                                         pass.captures, {.detail = TokenDetail::kLayers}, 1);
  const Decomposer decomposer(model_->image_readout(), 1);
  const Basis& basis = decomposer.basis();
  FactorBlock block = MakeBlock(basis.sizes(), 1);
  Decomposer::Scratch scratch;
  decomposer.Fill(pass.captures, pass.embedding.row(0), scratch, block, 0);
  const auto dot = [&](std::span<const float> row, Index m) {
    double sum = 0;
    for (std::size_t e = 0; e < row.size(); ++e) {
      sum += double{row[e]} * texts_(m, static_cast<Index>(e));
    }
    return sum;
  };
  for (Index m = 0; m < 3; ++m) {
    for (Index l = 0; l < basis.layers(); ++l) {
      // cls_l is row 0 of the layer's tokens, summed over heads.
      EXPECT_NEAR(scores.detail(l, m, 0), dot(block.cls_attn[l].row(0), m), kDefinition);
    }
    for (Index j = 0; j <= basis.layers(); ++j) {
      EXPECT_NEAR(scores.mlps(j, m), dot(block.mlp[j].row(0), m), kDefinition);
    }
    for (Index l = 0; l < basis.layers(); ++l) {
      for (Index h = 0; h < basis.num_heads(); ++h) {
        std::vector<double> u(ToSize(basis.factor_width()));
        basis.layout().Fill(pass.captures.z[l].row(h), pass.captures.scale, u);
        double sum = 0;
        const auto b = basis.heads.view()[l][h];
        for (std::size_t k = 0; k < u.size(); ++k)
          sum += u[k] * dot(b.row(static_cast<Index>(k)), m);
        EXPECT_NEAR(scores.by_head(l * basis.num_heads() + h, m), sum, kDefinition);
      }
    }
  }
}

TEST_P(TokenScoresTest, BitsDependNeitherOnThreadsNorOnOtherDirections) {
  const Pass pass = Image();
  const TokenScores one = ScoreTokens(TokenWeights(model_->image_readout(), texts_, 1),
                                      pass.captures, {.detail = TokenDetail::kHeads}, 1);
  const TokenWeights weights(model_->image_readout(), texts_, 3);
  const TokenScores three = ScoreTokens(weights, pass.captures, {.detail = TokenDetail::kHeads}, 3);
  EXPECT_TRUE(std::ranges::equal(one.detail.flat(), three.detail.flat()));
  EXPECT_TRUE(std::ranges::equal(one.tokens.flat(), three.tokens.flat()));
  EXPECT_TRUE(std::ranges::equal(one.mlps.flat(), three.mlps.flat()));

  const std::vector<Index> second = {1};
  const TokenScores asked = ScoreTokens(weights, pass.captures, {.directions = second}, 1);
  const TokenScores alone =
      ScoreTokens(TokenWeights(model_->image_readout(), std::as_const(texts_).rows(1, 2), 1),
                  pass.captures, {}, 1);
  EXPECT_TRUE(std::ranges::equal(asked.tokens.flat(), one.tokens.row(1)));
  EXPECT_TRUE(std::ranges::equal(alone.tokens.flat(), one.tokens.row(1)));
  EXPECT_EQ(RestOf(asked, 0).sum(), RestOf(one, 1).sum());

  Array<float, 2> negated({1, texts_.dim(1)});
  std::ranges::transform(texts_.row(1), negated.data(), std::negate<>());
  const TokenScores other =
      ScoreTokens(TokenWeights(model_->image_readout(), negated, 1), pass.captures, {}, 1);
  for (Index i = 0; i < one.tokens.dim(1); ++i) EXPECT_EQ(other.tokens(0, i), -one.tokens(1, i));
}

TEST_P(TokenScoresTest, ContributionsOfTokensAddUpAndScoreTheSame) {
  for (const auto& [readout, pass] : {std::pair{&model_->image_readout(), Image()},
                                      std::pair{&model_->text_readout(), Text("a bed")}}) {
    const Array<float, 2> rows = TokenContributions(*readout, pass.captures);
    TokenScoresOptions options;
    options.pooled = pass.pooled;
    const TokenScores scores =
        ScoreTokens(TokenWeights(*readout, texts_, 1), pass.captures, options, 1);
    const Index tokens = scores.tokens.dim(1);
    ASSERT_EQ(rows.dim(0), tokens + 2);
    for (Index e = 0; e < rows.dim(1); ++e) {
      double sum = 0;
      for (Index i = 0; i < rows.dim(0); ++i) sum += rows(i, e);
      EXPECT_NEAR(sum, pass.embedding(0, e), kSum);
    }
    for (Index m = 0; m < 3; ++m) {
      const auto dot = [&](Index row) {
        double sum = 0;
        for (Index e = 0; e < rows.dim(1); ++e) sum += double{rows(row, e)} * texts_(m, e);
        return sum;
      };
      for (Index i = 0; i < tokens; ++i) EXPECT_NEAR(scores.tokens(m, i), dot(i), kDefinition);
      EXPECT_NEAR(RestOf(scores, m).input, dot(tokens), kDefinition);
      EXPECT_NEAR(RestOf(scores, m).mlps, dot(tokens + 1), kDefinition);
    }
  }
}

TEST_P(TokenScoresTest, RefusesWhatDoesNotFit) {
  Pass pass = Image();
  EXPECT_NO_THROW(TokenWeights(model_->image_readout(), texts_, 1));
  ExpectError(ErrorCode::kInvalidArgument, "directions of shape [1, 3]", [&] {
    TokenWeights(model_->image_readout(), Array<float, 2>({1, 3}), 1);
  });
  const TokenWeights weights(model_->image_readout(), texts_, 1);
  const std::vector<HeadId> no_head = {{3, 0}};
  ExpectError(ErrorCode::kInvalidArgument, "head L3.H0 of a model with 3 layers",
              [&] { ScoreTokens(weights, pass.captures, {.heads = no_head}, 1); });
  const std::vector<Index> no_direction = {3};
  ExpectError(ErrorCode::kInvalidArgument, "direction 3 of 3",
              [&] { ScoreTokens(weights, pass.captures, {.directions = no_direction}, 1); });
  ExpectError(ErrorCode::kInvalidArgument, "pooled token 10 of 10",
              [&] { ScoreTokens(weights, pass.captures, {.pooled = 10}, 1); });
  ExpectError(ErrorCode::kInvalidArgument, "weights of 3 and 2",
              [&] { ScoreTokens(weights, Text("red").captures, {}, 1); });
  pass.captures.pattern = {};
  ExpectError(ErrorCode::kInvalidArgument, "kept no tokens",
              [&] { ScoreTokens(weights, pass.captures, {}, 1); });
}

INSTANTIATE_TEST_SUITE_P(HeadWidths, TokenScoresTest, testing::Values(12, 44),
                         [](const auto& width) { return "D" + std::to_string(width.param); });

}  // namespace
}  // namespace cliplens
