// From pictures to a store of neurons and back, on a model with random weights.
#include "cliplens/neurons/collect.h"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>

#include "tests/expect_error.h"
#include "tests/random_model.h"
#include "tests/random_pictures.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

#include "cliplens/decompose/store.h"
#include "cliplens/io/file.h"
#include "cliplens/model/picture_loop.h"
#include "cliplens/neurons/neuron_id.h"
#include "cliplens/neurons/neuron_store.h"
#include "cliplens/neurons/neuron_verify.h"

namespace cliplens {
namespace {

namespace fs = std::filesystem;

class CollectTest : public testing::Test {
 protected:
  CollectTest() {
    RandomModel{.layers = 4}.Write(path("model"));
    WriteRandomPictures(path("pictures"), 14, 24);
    model_.emplace(ClipModel::Load(path("model")));
    set_ = OpenImageSet(path("pictures"));
  }

  fs::path path(const std::string& name) const { return directory_.path() / name; }

  // In shards of 4.
  CollectOptions Options(const std::string& out) const {
    return {.out = path(out), .layers = {1, 3}, .top = 3, .shard_images = 4, .threads = 2};
  }
  CollectResult Collect(const CollectOptions& options) {
    return CollectNeurons(*model_, *set_, options);
  }

  static std::map<std::string, std::string> FilesOf(const fs::path& directory) {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::directory_iterator(directory)) {
      files[entry.path().filename().string()] = ReadTextFile(entry.path(), Index{1} << 30);
    }
    return files;
  }

  TemporaryDirectory directory_;
  std::optional<ClipModel> model_;
  std::unique_ptr<ImageSet> set_;
};

TEST_F(CollectTest, StoresWhatEachPassGives) {
  const CollectResult result = Collect(Options("store"));
  EXPECT_EQ(result.pictures, 14);
  EXPECT_EQ(result.shards, 4);
  const NeuronStore store = NeuronStore::Open(path("store"));
  EXPECT_EQ(store.layers(), (LayerRange{1, 3}));
  const std::vector<Item> items = store.ReadItems();
  ASSERT_EQ(items.size(), 14U);
  PictureErrors errors(OnError::kStop);
  ProgressCount progress({}, 14);
  PictureLoop loop(*model_, *set_, {.captures = NeuronPaths::CapturesFor({1, 3})});
  const Array<float, 2> embeddings = store.ReadEmbeddings();
  for (Index layer = 1; layer < 3; ++layer) {
    const NeuronPaths paths(model_->image_tower(), model_->image_readout(), layer, 1);
    const NeuronFactors factors = store.FactorsOf(layer);
    const Array<float, 3> alpha = factors.alpha(0, paths.neurons());
    EXPECT_EQ(alpha.shape(), (Shape<3>{30, 14, (3 - layer) * 2}));
    loop.Run(0, 14, errors, progress, [&](const PictureBatch& batch) {
      for (Index k = 0; k < batch.size(); ++k) {
        const Index b = At(batch.index, k);
        EXPECT_EQ(At(items, b).path, At(batch.items, k).path);
        EXPECT_TRUE(std::ranges::equal(embeddings.row(b), batch.embeddings.row(k)));
        const NeuronCoefficients c = paths.CoefficientsOf(At(batch.captures, k));
        const double largest = c.alpha.cwiseAbs().maxCoeff();
        for (Index n = 0; n < paths.neurons(); ++n) {
          for (Index j = 0; j < paths.channels(); ++j) {
            EXPECT_NEAR(alpha(n, b, j), c.alpha(n, j), 1e-5 * largest);
          }
          const RowVector stored =
              AsEigen(alpha.view()[n]).row(b).cast<double>() * store.paths(layer).Directions(n) +
              AsEigen(factors.shared.view()).row(b).cast<double>() * store.paths(layer).shared();
          const RowVector effect = c.alpha.row(n) * paths.Directions(n) + c.shared * paths.shared();
          EXPECT_LT((stored - effect).norm(), 1e-5 * effect.norm());
        }
      }
    });
    const NeuronDirections& d = store.directions(layer);
    EXPECT_EQ(d.top_norm.shape(), (Shape<2>{30, 3}));
    // Some neurons alone, and not from the first one on.
    const Array<float, 3> some = store.ReadAlpha(layer, 7, 2);
    EXPECT_TRUE(std::ranges::equal(some.view()[1].flat(), alpha.view()[8].flat()));
  }
}

TEST_F(CollectTest, BytesDoNotDependOnThreadsOrInterruptions) {
  Collect(Options("one"));
  CollectOptions options = Options("two");
  options.threads = 1;
  Collect(options);
  EXPECT_EQ(FilesOf(path("one")), FilesOf(path("two")));

  // A run that fails in its second shard, and one that goes on.
  const fs::path broken = path("pictures") / "006.png";
  const std::string bytes = ReadTextFile(broken, Index{1} << 20);
  WriteFileAtomically(broken, "no picture");
  options = Options("three");
  ExpectError(ErrorCode::kUnsupported, "run again with --resume", [&] { Collect(options); });
  WriteFileAtomically(broken, bytes);
  options.resume = true;
  const CollectResult result = Collect(options);
  EXPECT_EQ(result.resumed_ranges, 1);
  EXPECT_EQ(FilesOf(path("one")), FilesOf(path("three")));
  EXPECT_TRUE(Collect(options).complete_already);
  options.top = 4;
  ExpectError(ErrorCode::kInvalidArgument, "'neurons.top' is 4 and 3", [&] { Collect(options); });
}

TEST_F(CollectTest, PartsMergeToTheBytesOfOneRun) {
  Collect(Options("whole"));
  for (Index i = 0; i < 3; ++i) {
    CollectOptions options = Options("part" + std::to_string(i));
    options.part = StorePart{i, 3};
    Collect(options);
  }
  const std::vector<fs::path> parts = {path("part2"), path("part0"), path("part1")};
  MergeNeuronStores(parts, path("merged"), 2, {});
  EXPECT_EQ(FilesOf(path("whole")), FilesOf(path("merged")));
  const NeuronStore part = NeuronStore::Open(parts[0]);
  ExpectError(ErrorCode::kPrecondition, "cliplens merge", [&] { (void)part.directions(1); });
}

TEST_F(CollectTest, SkippedPicturesAreNamedAndLeftOut) {
  WriteFileAtomically(path("pictures") / "006.png", "no picture");
  CollectOptions options = Options("store");
  options.on_error = OnError::kSkip;
  const CollectResult result = Collect(options);
  ASSERT_EQ(result.skipped.size(), 1U);
  EXPECT_EQ(result.pictures, 13);
  const NeuronStore store = NeuronStore::Open(path("store"));
  EXPECT_EQ(store.ReadItems()[6].path, "007.png");
  EXPECT_EQ(store.ReadShared(2).dim(0), 13);
  EXPECT_EQ(store.info().skipped.front().picture.path, "006.png");
}

TEST_F(CollectTest, RefusesWhatItCannotDo) {
  CollectOptions options = Options("store");
  options.top = 15;
  ExpectError(ErrorCode::kInvalidArgument, "--top a number from 1 to 14",
              [&] { Collect(options); });
  options.top.reset();
  EXPECT_EQ(Collect(options).top, 2);  // a tenth, but two at least
  ExpectError(ErrorCode::kUnsupported, "cliplens neurons",
              [&] { (void)Store::Open(path("store")); });
  const NeuronStore store = NeuronStore::Open(path("store"));
  ExpectError(ErrorCode::kInvalidArgument, "no layer 3", [&] { (void)store.paths(3); });
  ExpectError(ErrorCode::kNotFound, "cliplens neurons collect",
              [&] { (void)NeuronStore::Open(path("nowhere")); });
}

// A bit of any file that is wrong is found before anything is read of it.
TEST_F(CollectTest, DamagedFilesAreRefused) {
  Collect(Options("store"));
  for (const char* name : {"manifest.json", "basis.safetensors", "stats.safetensors",
                           "shard-00001.safetensors", "items-00002.jsonl"}) {
    const fs::path file = path("store") / name;
    const std::string bytes = ReadTextFile(file, Index{1} << 30);
    std::string damaged = bytes;
    damaged[damaged.size() - 9] ^= 4;
    WriteFileAtomically(file, damaged);
    ExpectError(ErrorCode::kCorruptData, name, [&] {
      const NeuronStore store = NeuronStore::Open(path("store"));
      (void)store.ReadEmbeddings();
      (void)store.ReadItems();
    });
    WriteFileAtomically(file, bytes);
  }
}

// The same statistics, from two passes and without what each picture gives.
TEST_F(CollectTest, StatisticsAloneAreThoseOfTheStore) {
  WriteFileAtomically(path("pictures") / "006.png", "no picture");
  CollectOptions options = Options("whole");
  options.on_error = OnError::kSkip;
  Collect(options);
  options.out = path("few");
  options.stats_only = true;
  const CollectResult result = Collect(options);
  EXPECT_EQ(result.pictures, 13);
  ASSERT_EQ(result.skipped.size(), 1U);
  const NeuronStore whole = NeuronStore::Open(path("whole"));
  const NeuronStore few = NeuronStore::Open(path("few"));
  EXPECT_EQ(few.info().skipped.front().picture.path, "006.png");
  EXPECT_FALSE(fs::exists(path("few") / "shard-00000.safetensors"));
  EXPECT_NEAR(few.embedding().variance, whole.embedding().variance, 1e-12);
  const std::vector<Item> all = whole.ReadItems();
  const std::vector<Item> named = few.ReadItems();
  for (Index layer = 1; layer < 3; ++layer) {
    const NeuronDirections& a = whole.directions(layer);
    const NeuronDirections& b = few.directions(layer);
    const auto near = [](std::span<const float> x, std::span<const float> y, double tolerance) {
      ASSERT_EQ(x.size(), y.size());
      for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], y[i], tolerance);
    };
    near(a.top.flat(), b.top.flat(), 1e-6);
    near(a.all.flat(), b.all.flat(), 1e-5);
    near(a.top_norm.flat(), b.top_norm.flat(), 1e-8);
    near(a.top_along.flat(), b.top_along.flat(), 1e-8);
    near(a.channel_share.flat(), b.channel_share.flat(), 1e-5);
    near(a.variance, b.variance, 1e-8);
    near(a.all_explained, b.all_explained, 1e-5);
    near(a.top_explained, b.top_explained, 1e-5);
    for (std::size_t i = 0; i < a.top_pictures.flat().size(); ++i) {
      EXPECT_EQ(At(all, a.top_pictures.flat()[i]).path, At(named, b.top_pictures.flat()[i]).path);
    }
  }
  EXPECT_TRUE(VerifyNeuronStore(path("few"), {.model = &*model_, .progress = {}}).empty());
  ExpectError(ErrorCode::kPrecondition, "statistics only", [&] { (void)few.ReadShared(1); });
  options.part = StorePart{0, 2};
  options.out = path("part");
  ExpectError(ErrorCode::kInvalidArgument, "which no part knows", [&] { Collect(options); });
}

TEST_F(CollectTest, NeuronsOfTheTextTowerOnTexts) {
  TextPool pool{.name = "pool", .texts = {"red", "a bed", "seven", "red", "a"}, .properties = {}};
  pool.properties.assign(5, std::nullopt);
  pool.properties[1] = "object";
  CollectOptions options = Options("texts");
  options.layers = {0, 1};
  const CollectResult result =
      CollectNeuronsOfTexts(*model_, pool, path("pool.txt"), /*truncate=*/false, options);
  EXPECT_EQ(result.pictures, 5);
  const NeuronStore store = NeuronStore::Open(path("texts"));
  EXPECT_TRUE(store.info().neurons->text);
  const std::vector<Item> items = store.ReadItems();
  EXPECT_EQ(items[1].path, "2: a bed");
  EXPECT_EQ(items[1].attributes["property"], "object");
  const Array<float, 2> rows = model_->EmbedTexts(pool.texts, false, 1);
  const Array<float, 2> stored = store.ReadEmbeddings();
  for (Index i = 0; i < 5; ++i) {
    for (Index e = 0; e < rows.dim(1); ++e) EXPECT_NEAR(stored(i, e), rows(i, e), 1e-6);
  }
  // Equal texts have equal coefficients.
  const Array<float, 3> alpha = store.ReadAlpha(0, 3, 1);
  for (Index j = 0; j < alpha.dim(2); ++j) EXPECT_NEAR(alpha(0, 0, j), alpha(0, 3, j), 1e-6);
  EXPECT_TRUE(VerifyNeuronStore(path("texts"), {.model = &*model_, .progress = {}}).empty());
}

TEST_F(CollectTest, VerifyFindsEveryDamage) {
  Collect(Options("store"));
  const auto problems = [&](const ClipModel* model = nullptr) {
    std::string names;
    for (const Problem& problem :
         VerifyNeuronStore(path("store"), {.model = model, .progress = {}})) {
      names += problem.file + " ";
    }
    return names;
  };
  EXPECT_EQ(problems(&*model_), "");
  for (const char* name :
       {"basis.safetensors", "stats.safetensors", "shard-00001.safetensors", "items-00002.jsonl"}) {
    const fs::path file = path("store") / name;
    const std::string bytes = ReadTextFile(file, Index{1} << 30);
    std::string damaged = bytes;
    damaged[damaged.size() / 2] ^= 1;
    WriteFileAtomically(file, damaged);
    EXPECT_EQ(problems(), std::string(name) + " ");
    WriteFileAtomically(file, bytes);
  }
  RandomModel{.layers = 4, .seed = 9}.Write(path("other"));
  const ClipModel other = ClipModel::Load(path("other"));
  EXPECT_EQ(problems(&other), " ");
  WriteFileAtomically(path("store") / "shard-00009.safetensors", "stray");
  EXPECT_EQ(problems(), "shard-00009.safetensors ");
}

TEST(NeuronNames, AreReadAndPrinted) {
  EXPECT_EQ(NeuronName({9, 2914}), "L9.N2914");
  EXPECT_EQ(ParseNeuron("L9.N2914", 12, 3072), (NeuronId{9, 2914}));
  for (const char* text : {"L9", "9.N1", "L9.N", "L9.n1", "L.N1", "L9.N1x", ""}) {
    ExpectError(ErrorCode::kInvalidArgument, "as L9.N2914",
                [&] { (void)ParseNeuron(text, 12, 3072); });
  }
  ExpectError(ErrorCode::kInvalidArgument, "N0 to N3071",
              [] { (void)ParseNeuron("L9.N3072", 12, 3072); });
  EXPECT_EQ(ParseNeuronLayers("8-10", 12), (LayerRange{8, 11}));
  EXPECT_EQ(ParseNeuronLayers("L9", 12), (LayerRange{9, 10}));
  EXPECT_EQ(ParseNeuronLayers("last-3", 12), (LayerRange{8, 11}));
  EXPECT_EQ(ParseNeuronLayers("last-99", 12), (LayerRange{0, 11}));
  EXPECT_EQ(ParseNeuronLayers("all", 12), (LayerRange{0, 11}));
  for (const char* text : {"", "8-", "10-8", "x", "last-0", "-1"}) {
    ExpectError(ErrorCode::kInvalidArgument, "no layers",
                [&] { (void)ParseNeuronLayers(text, 12); });
  }
  ExpectError(ErrorCode::kInvalidArgument, "is the last",
              [] { (void)ParseNeuronLayers("9-11", 12); });
  ExpectError(ErrorCode::kInvalidArgument, "no layer 40",
              [] { (void)ParseNeuronLayers("40", 12); });
  ExpectError(ErrorCode::kUnsupported, "one layer", [] { (void)ParseNeuronLayers("0", 1); });
}

}  // namespace
}  // namespace cliplens
