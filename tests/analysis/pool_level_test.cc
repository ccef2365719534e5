#include "cliplens/model/pool_level.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tests/expect_error.h"
#include "tests/model_with_pictures.h"
#include "tests/random_model.h"
#include <gtest/gtest.h>

#include "cliplens/analysis/ablation.h"
#include "cliplens/analysis/head_match.h"
#include "cliplens/analysis/live_edit.h"
#include "cliplens/analysis/token_scores.h"
#include "cliplens/analysis/variance.h"
#include "cliplens/decompose/decompose.h"
#include "cliplens/decompose/edit_file.h"
#include "cliplens/decompose/export.h"
#include "cliplens/decompose/merge.h"
#include "cliplens/decompose/model_edit.h"
#include "cliplens/decompose/store.h"
#include "cliplens/decompose/store_edit.h"
#include "cliplens/decompose/verify.h"
#include "cliplens/io/npy.h"
#include "cliplens/model/clip.h"

namespace cliplens {
namespace {

constexpr Index kShots = 9;

// The smallest models of each kind: without a class token and with an MLP behind the pool; with a
// LayerNorm and a projection behind it, its width the tower's or another; with all but the
// LayerNorm.
enum class PoolKind { kSiglip, kCoca, kNarrowCoca, kPeCore };

void WriteRandomPool(PoolKind kind, const std::filesystem::path& directory) {
  if (kind == PoolKind::kSiglip) {
    WriteRandomSiglip(directory);
    return;
  }
  const bool pe = kind == PoolKind::kPeCore;
  Json config = RandomModel{.embed_width = kind == PoolKind::kNarrowCoca ? 12 : 24,
                            .width = 24,
                            .patch = 4,
                            .side = 12}
                    .Config();
  config["model_cfg"]["text_cfg"] = {{"hf_model_name", "some/text-tower"}};
  config["model_cfg"]["custom_text"] = true;
  Json& vision = config["model_cfg"]["vision_cfg"];
  if (pe) {
    config["model_cfg"]["embed_dim"] = 10;
    vision = {{"timm_model_name", "vit_pe_core_base_patch16_224"},
              {"timm_pool", "map"},
              {"timm_proj", "linear"},
              {"timm_proj_bias", true},
              {"image_size", 12},
              {"timm_model_kwargs",
               {{"img_size", 12},
                {"patch_size", 4},
                {"embed_dim", 32},
                {"depth", 2},
                {"num_heads", 2},
                {"mlp_ratio", 1.5}}}};
  } else {
    vision["attentional_pool"] = true;
    vision["attn_pooler_heads"] = 3;
    vision["attn_pooler_queries"] = 4;
  }
  const ModelConfig parsed = ParseOpenClipConfig(config, "open_clip_config.json");
  std::filesystem::create_directories(directory);
  WriteFileAtomically(directory / "open_clip_config.json", DumpJson(config));
  RandomModel::WriteTensors(
      directory / "open_clip_model.safetensors",
      RandomTensors(parsed, pe ? "visual.trunk.patch_embed.proj.weight" : "visual.class_embedding",
                    5));
}

// The level's definition in fp64, loop by loop.
struct PoolDefinition {
  std::vector<std::vector<Vector>> tokens;  // [Q][N] of [E], with their shares of the constants
  Vector mlp;                               // [E], zeros without
  Vector heads(std::size_t p) const {
    return std::accumulate(tokens[p].begin(), tokens[p].end(), Vector(Vector::Zero(mlp.size())));
  }
};

class PoolDefiner {
 public:
  explicit PoolDefiner(const ClipModel& model)
      : config_(model.config()), tensors_(model.tensors()) {}

  PoolDefinition Of(ArrayView<const float, 2> rows) const {
    const Index width = config_.vision.width;
    const Index pool = config_.pool_width();
    const Index heads = config_.pool.heads;
    const Index k = pool / heads;
    const bool coca = config_.pool.coca;
    const double epsilon = config_.vision.norm_epsilon;
    const Index n = rows.dim(0);
    // Queries, keys and values stand one below the other; where widths differ, queries apart.
    const bool apart = pool != width;
    Vector query = At("pool.probe").head(pool);
    if (coca) query = Norm(query, epsilon, "pool.probe_ln");
    const Matrix q_weight = apart ? MatrixOf("pool.query.weight", pool, pool)
                                  : MatrixOf("pool.in.weight", 3 * pool, width).topRows(pool);
    const Matrix in = MatrixOf("pool.in.weight", (apart ? 2 : 3) * pool, width);
    const Matrix key_weight = in.middleRows(apart ? 0 : pool, pool);
    const Matrix value_weight = in.bottomRows(pool);
    const Vector bias = At("pool.in.bias");
    query = q_weight * query + bias.head(pool);
    std::vector<Vector> keys, values;
    for (Index i = 0; i < n; ++i) {
      const Vector row =
          Norm(Eigen::Map<const Eigen::VectorXf>(rows.row(i).data(), width).cast<double>(), epsilon,
               "ln_post");
      keys.push_back(key_weight * row + bias.segment(pool, pool));
      values.push_back(value_weight * row + bias.tail(pool));
    }
    const Matrix out = MatrixOf("pool.out.weight", pool, pool);
    const Vector out_bias = At("pool.out.bias");
    // What each token adds to o, and o.
    std::vector<std::vector<Vector>> parts(ToSize(heads));
    Vector o = out_bias;
    for (Index p = 0; p < heads; ++p) {
      Vector logits(n);
      for (Index i = 0; i < n; ++i) {
        logits[i] = query.segment(p * k, k).dot(keys[ToSize(i)].segment(p * k, k)) /
                    std::sqrt(static_cast<double>(k));
      }
      const Vector a = (logits.array() - logits.maxCoeff()).exp();
      for (Index i = 0; i < n; ++i) {
        const Vector part =
            a[i] / a.sum() * (out.middleCols(p * k, k) * values[ToSize(i)].segment(p * k, k));
        parts[ToSize(p)].push_back(part);
        o += part;
      }
    }
    // Behind it: linear in o but for σ.
    const double terms = static_cast<double>(heads * n);
    const double mean = coca ? o.mean() : 0;
    const double sigma = coca ? std::sqrt((o.array() - mean).square().mean() + epsilon) : 1;
    const Vector gain = coca ? At("pool.ln.gain") : Vector::Ones(pool);
    const Vector shift = coca ? At("pool.ln.bias") : Vector::Zero(pool);
    const auto project = [&](const Vector& x) -> Vector {
      if (!config_.projection) return x;
      return MatrixOf("projection", pool, config_.embed_width).transpose() * x;
    };
    const Vector last =
        config_.projection_bias ? At("projection.bias") : Vector::Zero(config_.embed_width);
    PoolDefinition d;
    d.mlp = Vector::Zero(config_.embed_width);
    if (config_.pool.mlp_width > 0) {
      const Vector hidden = MatrixOf("pool.mlp.in.weight", config_.pool.mlp_width, pool) *
                                Norm(o, epsilon, "pool.ln") +
                            At("pool.mlp.in.bias");
      const Vector active = hidden.unaryExpr([&](double x) {
        if (config_.vision.activation == Activation::kGelu)
          return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
        return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
      });
      d.mlp = project(MatrixOf("pool.mlp.out.weight", pool, config_.pool.mlp_width) * active +
                      At("pool.mlp.out.bias"));
    }
    Vector sum = d.mlp;
    for (auto& of_head : parts) {
      std::vector<Vector>& tokens = d.tokens.emplace_back();
      for (const Vector& part : of_head) {
        const Vector inner = ((part + out_bias / terms).array() - mean / terms) / sigma;
        tokens.push_back(project(inner.cwiseProduct(gain) + shift / terms) + last / terms);
        sum += tokens.back();
      }
    }
    const double length = sum.norm();
    d.mlp /= length;
    for (auto& of_head : d.tokens) {
      for (Vector& token : of_head) token /= length;
    }
    return d;
  }

 private:
  Vector At(const std::string& name) const {
    const std::vector<float>& values = tensors_.at("vision." + name).values;
    return Eigen::Map<const Eigen::VectorXf>(values.data(), std::ssize(values)).cast<double>();
  }
  Matrix MatrixOf(const std::string& name, Index rows, Index columns) const {
    const Vector values = At(name);
    return Eigen::Map<const Matrix>(values.data(), rows, columns);
  }
  Vector Norm(const Vector& x, double epsilon, const std::string& name) const {
    const double sigma = std::sqrt((x.array() - x.mean()).square().mean() + epsilon);
    return ((x.array() - x.mean()) / sigma * At(name + ".gain").array() +
            At(name + ".bias").array())
        .matrix();
  }

  const ModelConfig& config_;
  const TensorMap& tensors_;
};

class PoolLevelTest : public ModelWithPictures, public testing::WithParamInterface<PoolKind> {
 protected:
  PoolLevelTest()
      : ModelWithPictures(
            [](const std::filesystem::path& model) { WriteRandomPool(GetParam(), model); },
            kShots) {}

  bool has_mlp() const { return model_->config().pool.mlp_width > 0; }

  // The ordinary embedding of a picture, and the definition on its rows.
  std::pair<Array<float, 2>, PoolDefinition> Defined(Index i) {
    model_->UseLevel(Level::kBlocks);
    Pass pass = PassOfPicture(i, {.last = true});
    model_->UseLevel(Level::kPool);
    return {std::move(pass.embedding), PoolDefiner(*model_).Of(pass.captures.last)};
  }
};

TEST_P(PoolLevelTest, ContributionsAreThoseOfTheDefinition) {
  model_->UseLevel(Level::kPool);
  EXPECT_LT(MakeStore("store").certificate.max, 2e-6);
  for (const Problem& problem :
       VerifyStore(path("store"), {.model = &*model_, .threads = 2, .progress = {}})) {
    ADD_FAILURE() << problem.message;
  }
  const Store store = Store::Open(path("store"));
  const Index heads = model_->config().pool.heads;
  std::string names, wanted;
  for (Index i = 0; i < store.basis().components().size(); ++i) {
    names += NameOf(store.basis().components().at(i)) + " ";
  }
  for (Index p = 0; p < heads; ++p) wanted += "POOL.H" + std::to_string(p) + " ";
  EXPECT_EQ(names, wanted + (has_mlp() ? "POOL.MLP " : ""));

  ExportNpy(store, path("arrays"));
  const NpyArray attn = ReadNpy(path("arrays") / "attn.npy");
  const NpyArray mlp = ReadNpy(path("arrays") / "mlp.npy");
  const NpyArray cls = ReadNpy(path("arrays") / "cls_attn.npy");
  const Index width = model_->config().embed_width;
  EXPECT_EQ(attn.shape, (std::vector<Index>{kShots, 1, heads, width}));
  EXPECT_EQ(mlp.shape, (std::vector<Index>{kShots, has_mlp() ? 1 : 0, width}));
  const Array<float, 2> stored = store.ReadEmbeddings();
  for (Index b = 0; b < kShots; ++b) {
    const auto [embedding, defined] = Defined(b);
    Vector to_class = Vector::Zero(width);
    for (Index p = 0; p < heads; ++p) {
      const Vector c = defined.heads(ToSize(p));
      to_class += defined.tokens[ToSize(p)].front();
      for (Index e = 0; e < width; ++e) {
        EXPECT_NEAR(At(attn.values, (b * heads + p) * width + e), c[e], 2e-6);
      }
    }
    for (Index e = 0; e < width; ++e) {
      EXPECT_NEAR(stored(b, e), embedding(0, e), 2e-7);
      if (has_mlp()) {
        EXPECT_NEAR(At(mlp.values, b * width + e), defined.mlp[e], 2e-6);
      }
      EXPECT_NEAR(At(cls.values, b * width + e), model_->config().class_token ? to_class[e] : 0.0,
                  2e-6);
    }
  }
  double sum = 0;
  for (const ComponentShare& share : ComponentShares(store.statistics(), store.basis())) {
    sum += share.share;
  }
  EXPECT_NEAR(sum, 1, 1e-5);
}

TEST_P(PoolLevelTest, TokensAreThoseOfTheDefinition) {
  const auto [embedding, defined] = Defined(2);
  const Pass pass = PassOfPicture(2, TokenCaptures());
  const Index width = model_->config().embed_width;
  Array<float, 2> directions({2, width});
  for (Index e = 0; e < width; ++e) {
    directions(0, e) = 0.1f * static_cast<float>(e % 5) - 0.2f;
    directions(1, e) = 0.3f - 0.05f * static_cast<float>(e);
  }
  const TokenWeights weights(model_->image_readout(), directions, 2);
  const Index pooled = model_->config().class_token ? 0 : kNoPooledToken;
  const TokenScores scores =
      ScoreTokens(weights, pass.captures, {.detail = TokenDetail::kHeads, .pooled = pooled}, 2);
  for (Index m = 0; m < 2; ++m) {
    Vector text(width);
    for (Index e = 0; e < width; ++e) text[e] = double{directions(m, e)};
    double score = 0;
    for (Index e = 0; e < width; ++e) score += double{embedding(0, e)} * text[e];
    EXPECT_NEAR(SumOf(scores, m), score, 2e-6);
    const ScoreRest rest = RestOf(scores, m);
    EXPECT_EQ(rest.input, 0);
    EXPECT_EQ(rest.mlps, 0);
    EXPECT_NEAR(rest.pool_mlp, defined.mlp.dot(text), 2e-6);
    for (std::size_t p = 0; p < defined.tokens.size(); ++p) {
      const auto head = static_cast<Index>(p);
      EXPECT_NEAR(scores.by_head(head, m), defined.heads(p).dot(text), 2e-6);
      for (std::size_t i = 0; i < defined.tokens[p].size(); ++i) {
        EXPECT_NEAR(scores.detail(head, m, static_cast<Index>(i)), defined.tokens[p][i].dot(text),
                    2e-6);
      }
    }
  }
  const Array<float, 2> rows = TokenContributions(model_->image_readout(), pass.captures);
  for (Index e = 0; e < width; ++e) {
    double sum = 0;
    for (Index i = 0; i < rows.dim(0); ++i) sum += double{rows(i, e)};
    EXPECT_NEAR(sum, embedding(0, e), 2e-6);
    EXPECT_NEAR(rows(rows.dim(0) - 1, e), defined.mlp[e], 2e-6);
  }
}

TEST_P(PoolLevelTest, EditsOfPassesAreThoseOfTheStore) {
  model_->UseLevel(Level::kPool);
  MakeStore("store");
  const Store store = Store::Open(path("store"));
  const Components components = store.basis().components();
  std::vector<std::string> edits = {"POOL.H1", "all"};
  if (has_mlp()) edits.push_back("POOL.MLP,POOL.H0");
  for (const std::string& names : edits) {
    const std::vector<ComponentId> targets = ParseComponents(names, components);
    const Edit made = MakeMeanEdit(store.info(), store.basis(), store.statistics(), targets);
    WriteEdit(path("edit.json"), made);
    const Edit edit = ReadEdit(path("edit.json"));
    EXPECT_EQ(edit.Names(), made.Names());
    const ModelEdit live(model_->image_readout(), edit);
    LiveEdit kept(store, Array<float, 2>(), 2);
    kept.Apply(targets, /*mean=*/true, /*scale=*/0);
    const Array<float, 2> rows = EditedRows(store, edit, /*normalize=*/true);
    for (Index b = 0; b < kShots; ++b) {
      Pass pass = PassOfPicture(b, live.captures());
      ModelEdit::Scratch scratch;
      live.Apply(pass.captures, pass.embedding.row(0), scratch);
      NormalizeRow(pass.embedding.row(0));
      for (Index e = 0; e < rows.dim(1); ++e) {
        EXPECT_NEAR(pass.embedding(0, e), rows(b, e), 5e-6) << names;
        EXPECT_NEAR(kept.Rows()(b, e), rows(b, e), 5e-6) << names;
      }
    }
    // The other level has none of these.
    model_->UseLevel(Level::kBlocks);
    ExpectError(ErrorCode::kInvalidArgument, "--level pool",
                [&] { ModelEdit(model_->image_readout(), edit); });
    model_->UseLevel(Level::kPool);
  }
}

TEST_P(PoolLevelTest, AblationHasTheRowsThatThereAre) {
  model_->UseLevel(Level::kPool);
  MakeStore("store");
  const Store store = Store::Open(path("store"));
  Array<float, 2> classes({2, model_->config().embed_width});
  for (Index e = 0; e < classes.dim(1); ++e) classes(e % 2, e) = 1;
  std::vector<Index> labels(kShots, 0);
  labels[1] = labels[4] = 1;
  const AblationResult result = Ablate(store, store.statistics(), classes, labels, {});
  std::string names;
  for (const AblationRow& row : result.rows) names += row.name + " ";
  EXPECT_EQ(names, std::string("base ") + (model_->config().class_token ? "cls_attn " : "") +
                       (has_mlp() ? "pool_mlp " : ""));
  EXPECT_EQ(result.cumulative.size(), 2u);
  EXPECT_EQ(std::ssize(result.components), store.basis().components().size());
}

TEST_P(PoolLevelTest, StoresOfTheTwoLevelsStayApart) {
  MakeStore("blocks");
  model_->UseLevel(Level::kPool);
  MakeStore("pool");
  const std::vector<std::filesystem::path> both = {path("blocks"), path("pool")};
  ExpectError(ErrorCode::kInvalidArgument, "levels differ (blocks and pool)",
              [&] { MergeStores(both, path("merged")); });
  ExpectError(ErrorCode::kInvalidArgument, "'level' is \"pool\" and null", [&] {
    DecomposeOptions options;
    options.out = path("blocks");
    options.resume = true;
    options.slices = 3;
    options.shard_images = 4;
    Decompose(*model_, *set_, options);
  });
  const Store a = Store::Open(path("blocks"));
  const Store b = Store::Open(path("pool"));
  ExpectError(ErrorCode::kInvalidArgument, "--level", [&] { MatchHeads(a, b, {}); });
}

TEST_P(PoolLevelTest, WhatTheBlocksComputeIsRefused) {
  model_->UseLevel(Level::kPool);
  ExpectError(ErrorCode::kUnsupported, "--level pool", [&] { model_->image_tower(); });
  for (const CaptureRequest& request :
       {CaptureRequest{.hidden = {0, 1}}, CaptureRequest{.last = true},
        CaptureRequest{.attention = kAllLayers}}) {
    ExpectError(ErrorCode::kUnsupported, "--level pool", [&] { PassOfPicture(0, request); });
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, PoolLevelTest,
                         testing::Values(PoolKind::kSiglip, PoolKind::kCoca, PoolKind::kNarrowCoca,
                                         PoolKind::kPeCore));

TEST(PoolLevel, AskedOfAModelWithoutSuchAPool) {
  const TemporaryDirectory directory;
  RandomModel().Write(directory.path() / "model");
  ClipModel model = ClipModel::Load(directory.path() / "model");
  ExpectError(ErrorCode::kUnsupported, "no attention pool", [&] { model.UseLevel(Level::kPool); });
}

}  // namespace
}  // namespace cliplens
