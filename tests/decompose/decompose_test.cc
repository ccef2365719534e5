// From pictures to a store and back, on a model with random weights (K = 6, side 21, patch 7).
#include "cliplens/decompose/decompose.h"

#include <algorithm>
#include <cmath>
#include <fstream>

#include "tests/expect_error.h"
#include "tests/random_model.h"
#include "tests/random_pictures.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

#include "cliplens/analysis/variance.h"
#include "cliplens/io/file.h"
#include "cliplens/io/npy.h"

namespace cliplens {
namespace {

namespace fs = std::filesystem;

class DecomposeTest : public testing::Test {
 protected:
  DecomposeTest() {
    RandomModel{}.Write(path("model"));
    WriteRandomPictures(path("pictures"), 20, 24);
    model_.emplace(ClipModel::Load(path("model")));
    set_ = OpenImageSet(path("pictures"));
  }

  fs::path path(const std::string& name) const { return directory_.path() / name; }

  DecomposeResult Run(const std::string& out, int threads = 2, StoreType type = StoreType::kF32,
                      bool stats_only = false) {
    DecomposeOptions options;
    options.out = path(out);
    options.threads = threads;
    options.type = type;
    options.stats_only = stats_only;
    return Decompose(*model_, *set_, options);
  }

  static std::map<std::string, std::vector<std::uint8_t>> Files(const fs::path& store) {
    std::map<std::string, std::vector<std::uint8_t>> files;
    for (const auto& entry : fs::directory_iterator(store)) {
      files[entry.path().filename().string()] = ReadFile(entry.path(), 1 << 26);
    }
    return files;
  }

  TemporaryDirectory directory_;
  std::optional<ClipModel> model_;
  std::unique_ptr<ImageSet> set_;
};

TEST_F(DecomposeTest, ContributionsSumToTheEmbedding) {
  const DecomposeResult result = Run("store");
  EXPECT_EQ(result.images, 20);
  EXPECT_GT(result.certificate.max, 0);
  EXPECT_LE(result.certificate.max, 1e-5);
  const Store store = Store::Open(path("store"));
  EXPECT_EQ(store.info().images, 20);
  EXPECT_EQ(store.info().certificate.max, result.certificate.max);
  // Embeddings in the store are those of the ordinary forward path.
  const FactorBlock block = store.ReadShard(0);
  Workspace workspace;
  Array<float, 2> embedding({1, 10});
  const Image image = DecodeImage(set_->Read(7), "7");
  const std::vector<Array<float, 3>> pixels = {Preprocess(image, model_->config().preprocess)};
  model_->EmbedImages(pixels, embedding, workspace);
  for (Index e = 0; e < 10; ++e) EXPECT_EQ(block.embedding(7, e), embedding(0, e));
}

TEST_F(DecomposeTest, TheSameBytesForAnyNumberOfThreads) {
  Run("one", 1);
  Run("three", 3);
  EXPECT_EQ(Files(path("one")), Files(path("three")));
}

TEST_F(DecomposeTest, ExportHoldsContributionsThatSumToTheEmbedding) {
  Run("store");
  ExportNpy(Store::Open(path("store")), path("arrays"));
  const NpyArray attn = ReadNpy(path("arrays") / "attn.npy");
  const NpyArray mlp = ReadNpy(path("arrays") / "mlp.npy");
  const NpyArray cls = ReadNpy(path("arrays") / "cls_attn.npy");
  const NpyArray embedding = ReadNpy(path("arrays") / "embedding.npy");
  EXPECT_EQ(attn.shape, (std::vector<Index>{20, 3, 2, 10}));
  EXPECT_EQ(mlp.shape, (std::vector<Index>{20, 4, 10}));
  EXPECT_EQ(cls.shape, (std::vector<Index>{20, 3, 10}));
  for (std::size_t b = 0; b < 20; ++b) {
    for (std::size_t e = 0; e < 10; ++e) {
      double sum = 0;
      for (std::size_t i = 0; i < 6; ++i) sum += attn.values[(b * 6 + i) * 10 + e];
      for (std::size_t j = 0; j < 4; ++j) sum += mlp.values[(b * 4 + j) * 10 + e];
      EXPECT_NEAR(sum, embedding.values[b * 10 + e], 1e-5);
    }
  }
}

TEST_F(DecomposeTest, StatisticsEqualThoseOfTheFactors) {
  Run("store");
  const Store store = Store::Open(path("store"));
  const FactorBlock block = store.ReadShard(0);
  Matrix u(20, 9);
  for (Index b = 0; b < 20; ++b) {
    FillFactor(block.head_z.view()[1][1].row(b), block.ln(b, 0), block.ln(b, 1), block.ln(b, 2),
               {u.row(b).data(), 9});
  }
  const Moments moments = store.statistics().HeadMoments({1, 1});
  EXPECT_EQ(moments.count, 20);
  const Matrix centered = u.rowwise() - u.colwise().mean();
  EXPECT_LT((centered.transpose() * centered - moments.scatter).norm(),
            1e-12 * moments.scatter.norm());
  Index in_slices = 0;
  for (Index s = 0; s < store.statistics().slices(); ++s) {
    in_slices += static_cast<Index>(store.statistics().slice(s).embedding.count);
  }
  EXPECT_EQ(in_slices, 20);
}

TEST_F(DecomposeTest, SharesOfVarianceSumToOne) {
  Run("store");
  const Store store = Store::Open(path("store"));
  const std::vector<ComponentShare> shares = ComponentShares(store.statistics(), store.basis());
  ASSERT_EQ(shares.size(), 6u + 4u);
  EXPECT_EQ(shares[3].component, "L1.H1");
  EXPECT_EQ(shares[6].component, "INPUT");
  EXPECT_EQ(shares[9].component, "L2.MLP");
  double sum = 0;
  for (const ComponentShare& s : shares) sum += s.share;
  EXPECT_NEAR(sum, 1.0, 1e-5);
}

TEST_F(DecomposeTest, PartsMergedEqualTheWhole) {
  Run("whole");
  for (int part = 0; part < 2; ++part) {
    const fs::path folder = path("part" + std::to_string(part));
    fs::create_directories(folder);
    for (int i = part * 12; i < (part == 0 ? 12 : 20); ++i) {
      const std::string name = fmt::format("{:03d}.png", i);
      fs::copy(path("pictures") / name, folder / name);
    }
    set_ = OpenImageSet(folder);
    Run("store" + std::to_string(part));
  }
  const std::vector<fs::path> parts = {path("store0"), path("store1")};
  MergeStores(parts, path("merged"));
  const Store merged = Store::Open(path("merged"));
  const Store whole = Store::Open(path("whole"));
  EXPECT_EQ(merged.info().images, 20);
  EXPECT_EQ(merged.info().data.size(), 2u);
  EXPECT_EQ(merged.ReadItems()[12].path, "012.png");
  EXPECT_TRUE(std::ranges::equal(merged.ReadHead({2, 0}).flat(), whole.ReadHead({2, 0}).flat()));
  for (int l = 0; l < 3; ++l) {
    for (int h = 0; h < 2; ++h) {
      const Moments a = merged.statistics().HeadMoments({l, h});
      const Moments b = whole.statistics().HeadMoments({l, h});
      EXPECT_LT((a.mean - b.mean).norm(), 1e-12 * b.mean.norm());
      EXPECT_LT((a.scatter - b.scatter).norm(), 1e-12 * b.scatter.norm());
    }
  }
  const auto a = ComponentShares(merged.statistics(), merged.basis());
  const auto b = ComponentShares(whole.statistics(), whole.basis());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_NEAR(a[i].share, b[i].share, 1e-10);
    EXPECT_NEAR(a[i].spread, b[i].spread, 1e-10);
  }
  // A picture must not be counted twice, and models must be the same.
  ExpectError(ErrorCode::kInvalidArgument, "is in another of these stores too", [&] {
    MergeStores(std::vector<fs::path>{path("store0"), path("store0")}, path("again"));
  });
  RandomModel{.seed = 9}.Write(path("other-model"));
  model_.emplace(ClipModel::Load(path("other-model")));
  Run("other");
  ExpectError(ErrorCode::kInvalidArgument, "models differ", [&] {
    MergeStores(std::vector<fs::path>{path("store0"), path("other")}, path("again"));
  });
  EXPECT_FALSE(fs::exists(path("again")));
  EXPECT_FALSE(fs::exists(path("again.partial")));
}

TEST_F(DecomposeTest, StatisticsOnlyKeepsNoFactors) {
  Run("store");
  const DecomposeResult result = Run("stats", 2, StoreType::kF32, true);
  EXPECT_EQ(result.images, 20);
  EXPECT_EQ(result.shards, 0);
  const Store stats = Store::Open(path("stats"));
  EXPECT_EQ(stats.info().images, 20);
  EXPECT_EQ(Files(path("stats")).at("stats.safetensors"),
            Files(path("store")).at("stats.safetensors"));
  ExpectError(ErrorCode::kPrecondition, "statistics only", [&] { stats.ReadHead({0, 0}); });
  ExpectError(ErrorCode::kInvalidArgument, "counted once", [&] {
    MergeStores(std::vector<fs::path>{path("stats"), path("stats")}, path("twice"));
  });
  ExpectError(ErrorCode::kPrecondition, "statistics only",
              [&] { ExportNpy(stats, path("arrays")); });
  EXPECT_FALSE(fs::exists(path("arrays")));
}

TEST_F(DecomposeTest, HalvesAreStoredAndCertifiedAsSuch) {
  const DecomposeResult result = Run("halves", 2, StoreType::kF16);
  EXPECT_GT(result.certificate.max, 1e-5);
  EXPECT_LT(result.certificate.max, 1e-2);
  const Store halves = Store::Open(path("halves"));
  Run("store");
  const Store store = Store::Open(path("store"));
  const Array<float, 2> a = halves.ReadHead({2, 1});
  const Array<float, 2> b = store.ReadHead({2, 1});
  for (Index i = 0; i < a.size(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    EXPECT_NEAR(a.flat()[at], b.flat()[at], std::abs(b.flat()[at]) * 1e-3f + 1e-6f);
  }
}

TEST_F(DecomposeTest, WhatDoesNotFitIntoHalvesIsRefused) {
  Checkpoint checkpoint = LoadCheckpoint(path("model"));
  Tensor& in = checkpoint.tensors.at("vision.block.1.attn.in.weight");
  const auto values = static_cast<std::ptrdiff_t>(in.values.size() / 3 * 2);
  std::for_each(in.values.begin() + values, in.values.end(), [](float& v) { v *= 1e6f; });
  model_.emplace(std::move(checkpoint));
  EXPECT_LE(Run("store").certificate.max, 1e-5);
  ExpectError(ErrorCode::kUnsupported, "000.png", [&] { Run("halves", 2, StoreType::kF16); });
  EXPECT_FALSE(fs::exists(path("halves")));
  EXPECT_FALSE(fs::exists(path("halves.partial")));
}

TEST_F(DecomposeTest, ABrokenPictureIsNamedAndNothingStays) {
  const std::vector<std::uint8_t> png = ReadFile(path("pictures") / "004.png", 1 << 20);
  WriteFileAtomically(path("pictures") / "004.png", std::span(png).first(png.size() / 2));
  ExpectError(ErrorCode::kCorruptData, "004.png", [&] { Run("store"); });
  EXPECT_FALSE(fs::exists(path("store")));
  EXPECT_FALSE(fs::exists(path("store.partial")));
}

TEST_F(DecomposeTest, AnExistingDirectoryIsLeftAlone) {
  directory_.Write("store/mine.txt", "mine");
  ExpectError(ErrorCode::kPrecondition, "exists already", [&] { Run("store"); });
  EXPECT_TRUE(fs::exists(path("store") / "mine.txt"));
}

TEST_F(DecomposeTest, AFlippedByteInAnyFileIsFound) {
  Run("store");
  for (const auto& [name, bytes] : Files(path("store"))) {
    if (name == "manifest.json") continue;
    std::vector<std::uint8_t> changed = bytes;
    changed[changed.size() - 3] ^= 1;
    WriteFileAtomically(path("store") / name, changed);
    try {
      const Store store = Store::Open(path("store"));
      store.ReadItems();
      store.ReadShard(0);
      ADD_FAILURE() << "a changed " << name << " was not found";
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::kCorruptData) << e.what();
      EXPECT_NE(std::string(e.what()).find(name), std::string::npos) << e.what();
    }
    WriteFileAtomically(path("store") / name, bytes);
  }
  Store::Open(path("store"));
}

TEST_F(DecomposeTest, AManifestCutAnywhereIsAnErrorNotACrash) {
  Run("store");
  const std::string manifest = ReadTextFile(path("store") / "manifest.json", 1 << 20);
  for (std::size_t n = 0; n + 2 < manifest.size(); n += 7) {
    WriteFileAtomically(path("store") / "manifest.json", std::string_view(manifest).substr(0, n));
    EXPECT_THROW(Store::Open(path("store")), Error) << n;
  }
}

TEST_F(DecomposeTest, AManifestCannotSendTheReaderElsewhere) {
  Run("store");
  const fs::path file = path("store") / "manifest.json";
  const std::string manifest = ReadTextFile(file, 1 << 20);
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = manifest;
    const std::size_t at = changed.find(from);
    ASSERT_NE(at, std::string::npos);
    changed.replace(at, from.size(), to);
    WriteFileAtomically(file, changed);
  };
  with("shard-00000.safetensors", "../../etc/passwd");
  ExpectError(ErrorCode::kCorruptData, "were expected", [&] { Store::Open(path("store")); });
  with("\"version\": 1", "\"version\": 2");
  ExpectError(ErrorCode::kUnsupported, "version 2", [&] { Store::Open(path("store")); });
  with("\"images\": 20", "\"images\": 1152921504606846976");
  ExpectError(ErrorCode::kCorruptData, "images", [&] { Store::Open(path("store")); });
}

}  // namespace
}  // namespace cliplens
