#include "cliplens/model/attention_pool.h"

#include <algorithm>
#include <numeric>

#include "tests/expect_error.h"
#include "tests/model_with_pictures.h"
#include "tests/random_model.h"
#include <gtest/gtest.h>

#include "cliplens/analysis/heat_map.h"
#include "cliplens/analysis/text_span.h"
#include "cliplens/analysis/token_scores.h"
#include "cliplens/analysis/variance.h"
#include "cliplens/decompose/decompose.h"
#include "cliplens/decompose/edit.h"
#include "cliplens/decompose/export.h"
#include "cliplens/decompose/model_edit.h"
#include "cliplens/decompose/store.h"
#include "cliplens/decompose/store_edit.h"
#include "cliplens/decompose/verify.h"
#include "cliplens/io/npy.h"
#include "cliplens/model/clip.h"
#include "cliplens/neurons/neuron_paths.h"

namespace cliplens {
namespace {

constexpr Index kPictures = 9;

// A model with an attention pool, pictures, and their store.
class AttentionPoolTest : public ModelWithPictures {
 protected:
  AttentionPoolTest()
      : ModelWithPictures([](const std::filesystem::path& model) { WriteRandomSiglip(model); },
                          kPictures) {}
};

TEST_F(AttentionPoolTest, ContributionsAddUpWithThePoolsMlp) {
  EXPECT_LT(MakeStore("store").certificate.max, 2e-6);
  for (const Problem& problem : VerifyStore(path("store"), {})) ADD_FAILURE() << problem.message;
  const Store store = Store::Open(path("store"));
  EXPECT_EQ(NameOf(store.basis().components().at(store.basis().components().size() - 1)),
            "POOL.MLP");
  EXPECT_EQ(store.basis().layout().constants, 0);
  // Shares of the variance add up, POOL.MLP among them.
  double sum = 0;
  for (const ComponentShare& share : ComponentShares(store.statistics(), store.basis())) {
    sum += share.share;
  }
  EXPECT_NEAR(sum, 1, 1e-5);
}

TEST_F(AttentionPoolTest, TokensAddUpToHeadsAndScores) {
  const Pass pass = PassOfPicture(2, TokenCaptures());
  const Index width = model_->config().embed_width;
  Array<float, 2> directions({2, width});
  for (Index e = 0; e < width; ++e) {
    directions(0, e) = 0.1f * static_cast<float>(e % 5) - 0.2f;
    directions(1, e) = 0.3f - 0.05f * static_cast<float>(e);
  }
  const TokenWeights weights(model_->image_readout(), directions, 2);
  const TokenScores scores = ScoreTokens(
      weights, pass.captures, {.detail = TokenDetail::kHeads, .pooled = kNoPooledToken}, 2);
  const Components components = model_->image_readout().components();
  for (Index m = 0; m < 2; ++m) {
    double score = 0;
    for (Index e = 0; e < width; ++e) score += double{pass.embedding(0, e)} * directions(m, e);
    EXPECT_NEAR(SumOf(scores, m), score, 2e-6);
    EXPECT_EQ(RestOf(scores, m).pooled_token, 0);
    for (Index h = 0; h < components.num_heads(); ++h) {
      const std::span<const double> tokens = scores.detail.view()[h].row(m);
      EXPECT_NEAR(std::accumulate(tokens.begin(), tokens.end(), 0.0), scores.by_head(h, m), 2e-6);
    }
  }
  // The rows that a statement of words would have.
  const Array<float, 2> rows = TokenContributions(model_->image_readout(), pass.captures);
  for (Index e = 0; e < width; ++e) {
    double sum = 0;
    for (Index i = 0; i < rows.dim(0); ++i) sum += double{rows(i, e)};
    EXPECT_NEAR(sum, pass.embedding(0, e), 2e-6);
  }
}

TEST_F(AttentionPoolTest, EditsOfPassesAreThoseOfTheStore) {
  MakeStore("store");
  const Store store = Store::Open(path("store"));
  const Components components = store.basis().components();
  for (const char* names : {"L1.H0,L2,INPUT", "POOL.MLP,L0.MLP"}) {
    const std::vector<ComponentId> targets = ParseComponents(names, components);
    ASSERT_EQ(targets.size(), names[0] == 'L' ? 3u : 2u) << names;
    const Edit edit = MakeMeanEdit(store.info(), store.basis(), store.statistics(), targets);
    const ModelEdit live(model_->image_readout(), edit);
    const StoreEdit stored(store.basis(), edit);
    const FactorBlock block = store.ReadShard(0);
    for (Index b = 0; b < block.images(); ++b) {
      Pass pass = PassOfPicture(b, live.captures());
      ModelEdit::Scratch scratch;
      live.Apply(pass.captures, pass.embedding.row(0), scratch);
      std::vector<float> row(block.embedding.row(b).begin(), block.embedding.row(b).end());
      stored.EditRow(block, b, /*normalize=*/false, row);
      for (std::size_t e = 0; e < row.size(); ++e) {
        EXPECT_NEAR(pass.embedding(0, e), row[e], 2e-6);
      }
    }
  }
}

// Statistics have the trace of each head alone; what TextSpan needs is read from the factors.
TEST_F(AttentionPoolTest, MomentsOfHeadsComeFromTheFactors) {
  MakeStore("store");
  const Store store = Store::Open(path("store"));
  const HeadId head{2, 1};
  const Moments moments = store.statistics().HeadMoments(head);
  EXPECT_EQ(moments.count, kPictures);
  const Matrix rows = store.ReadFactors(head);
  const Matrix centred = rows.rowwise() - rows.colwise().mean();
  EXPECT_LT((moments.scatter - centred.transpose() * centred).norm(), 1e-9);
  const SliceStatistics total = store.statistics().Total(store.basis());
  const Moments& kept = At(total.heads, store.basis().components().NumberOf(head));
  EXPECT_NEAR(kept.trace.value(), moments.scatter.trace(), 1e-9);
  EXPECT_EQ(kept.scatter.size(), 0);
  Array<float, 2> texts({12, store.basis().embed_width()});
  for (Index i = 0; i < texts.size(); ++i)
    texts.flat()[ToSize(i)] = static_cast<float>((i * 7) % 13) - 6;
  const TextSpanResult span = TextSpan(moments, store.basis().at(head), texts, {.count = 3});
  EXPECT_EQ(span.texts.size(), 3u);
}

TEST_F(AttentionPoolTest, StatisticsAloneSayWhatTheyLack) {
  MakeStore("store", /*stats_only=*/true);
  const Store store = Store::Open(path("store"));
  EXPECT_EQ(store.statistics().images(), kPictures);
  ExpectError(ErrorCode::kPrecondition, "decompose without --stats-only", [&] {
    store.statistics().HeadMoments({0, 0});
  });
}

TEST_F(AttentionPoolTest, ExportHasThePoolsMlpLast) {
  MakeStore("store");
  const Store store = Store::Open(path("store"));
  ExportNpy(store, path("arrays"));
  const NpyArray mlp = ReadNpy(path("arrays") / "mlp.npy");
  EXPECT_EQ(mlp.shape, (std::vector<Index>{kPictures, 5, 24}));
  const Pass pass = PassOfPicture(0, {.parts = kAllLayers});
  EXPECT_EQ(pass.captures.parts.shape(), (Shape<2>{5, 24}));
}

// What all neurons of a layer do through one later head, against the MLP's rows pushed through that
// head's attention and matrices one by one.
TEST_F(AttentionPoolTest, NeuronsThroughAHeadAreTheMlpsRowsThroughIt) {
  const Tower& tower = model_->image_tower();
  const Readout& readout = model_->image_readout();
  const NeuronPaths paths(tower, readout, /*layer=*/0, 2);
  EXPECT_EQ(paths.pools(), 2);
  EXPECT_EQ(paths.channels(), 2 * 2 * 2);  // later layers, heads, weights
  CaptureRequest request = paths.captures();
  request.part_rows = kAllLayers;
  const Pass pass = PassOfPicture(1, request);
  const NeuronCoefficients c = paths.CoefficientsOf(pass.captures);
  const AttentionPool pool(model_->config(), model_->tensors());
  const Index width = model_->config().vision.width;
  const Index head_width = model_->config().vision.head_width();
  const auto rows = pass.captures.part_rows[1];  // what MLP 0 added [N, D]
  const std::span<const float> bias = tower.Bias(0, Tower::Matrix::kMlpOut);
  for (Index i = 0; i < paths.heads(); ++i) {
    const HeadId id = paths.head(i);
    const Array<float, 2> value = tower.Weight(id.layer, Tower::Matrix::kValue);
    const float* out = readout.out_weight(id.layer);
    Matrix pooled = Matrix::Zero(2, width);
    for (Index p = 0; p < 2; ++p) {
      const auto weights = pass.captures.pattern[id.layer].row(id.head * 2 + p);
      for (Index t = 0; t < rows.dim(0); ++t) {
        Vector read = Vector::Zero(head_width);
        for (Index k = 0; k < head_width; ++k) {
          for (Index d = 0; d < width; ++d) {
            read[k] += double{value(id.head * head_width + k, d)} *
                       double{At(tower.NormGain(id.layer, 0), d)} *
                       (double{rows(t, d)} - double{At(bias, d)});
          }
        }
        const double share = double{At(weights, t)} / double{pass.captures.norm1[id.layer](t, 1)};
        for (Index d = 0; d < width; ++d) {
          for (Index k = 0; k < head_width; ++k) {
            pooled(p, d) += share * double{out[d * width + id.head * head_width + k]} * read[k];
          }
        }
      }
    }
    const RowVector wanted = pool.Project(pooled).row(0) / pass.captures.scale.norm;
    RowVector got = RowVector::Zero(wanted.size());
    for (Index n = 0; n < paths.neurons(); ++n) {
      const Matrix directions = paths.Directions(n);
      for (Index j = 2 * i; j < 2 * i + 2; ++j) got += c.alpha(n, j) * directions.row(j);
    }
    EXPECT_LT((got - wanted).norm(), 2e-6 * std::max(1.0, wanted.norm())) << HeadName(id);
  }
}

// A picture's numbers do not depend on what else is asked for, its neighbours or threads.
TEST_F(AttentionPoolTest, WhatIsAskedForDoesNotChangeTheNumbers) {
  const Pass few = PassOfPicture(4, {.z = {1, 2}});
  const Pass all = PassOfPicture(4, TokenCaptures());
  EXPECT_TRUE(std::ranges::equal(few.embedding.flat(), all.embedding.flat()));
  EXPECT_TRUE(std::ranges::equal(few.captures.z[1].flat(), all.captures.z[1].flat()));
  EXPECT_TRUE(few.captures.parts.empty() && few.captures.pattern.empty());
  // Parts of some layers, with the rows of more.
  const Pass some = PassOfPicture(4, {.parts = {1, 2}, .part_rows = kAllLayers});
  EXPECT_TRUE(std::ranges::equal(some.captures.parts.row(0), all.captures.parts.row(0)));
  EXPECT_TRUE(std::ranges::equal(some.captures.parts.row(1), all.captures.parts.row(2)));
}

}  // namespace
}  // namespace cliplens
