// Factors from elsewhere: another encoder, ranges computed apart, other stores, heads that keep
// whole contributions.
#include "cliplens/decompose/factor_sink.h"

#include <fstream>
#include <iterator>
#include <map>
#include <numeric>
#include <random>

#include "tests/expect_error.h"
#include "tests/random_model.h"
#include "tests/random_pictures.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

#include "cliplens/decompose/decompose.h"
#include "cliplens/decompose/merge.h"
#include "cliplens/decompose/store.h"
#include "cliplens/decompose/verify.h"

namespace cliplens {
namespace {

namespace fs = std::filesystem;

// Brings the captures of a model's passes and nothing else of it: each picture in a pass of its
// own, copied number by number, as a program elsewhere would send them.
class CopyingEncoder : public ImageEncoder {
 public:
  explicit CopyingEncoder(const ClipModel& model) : model_(model) {}

  EncoderIdentity identity() const override { return model_.identity(); }
  const ModelConfig& config() const override { return model_.config(); }
  const Readout& image_readout() const override { return model_.image_readout(); }
  Index images_a_pass() const override { return 3; }
  void PrepareForImages(int) const override {}
  void Encode(std::span<const Array<float, 3>> pixels, const CaptureRequest& request,
              const EncodeOutput& output, Workspace& workspace) const override {
    for (std::size_t g = 0; g < pixels.size(); ++g) {
      Captures own;
      Array<float, 2> pooled({1, config().vision.width});
      model_.Encode({&pixels[g], 1}, request, {pooled, {&own, 1}}, workspace);
      std::ranges::copy(pooled.flat(), output.pooled.row(static_cast<Index>(g)).data());
      if (output.captures.empty()) continue;
      Captures& copy = output.captures[g];
      copy.z = {own.z.layers, {own.z.shape(), Values(own.z.values)}};
      copy.z_self = {own.z_self.layers, {own.z_self.shape(), Values(own.z_self.values)}};
      copy.parts = {own.parts.shape(), {own.parts.flat().begin(), own.parts.flat().end()}};
    }
  }

 private:
  static std::vector<float> Values(const Array<float, 3>& array) {
    return {array.flat().begin(), array.flat().end()};
  }
  const ClipModel& model_;
};

std::map<std::string, std::string> FilesOf(const fs::path& directory) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(directory)) {
    std::ifstream in(entry.path(), std::ios::binary);
    files[entry.path().filename().string()] = {std::istreambuf_iterator<char>(in), {}};
  }
  return files;
}

class FactorSinkTest : public testing::Test {
 protected:
  FactorSinkTest() {
    RandomModel{}.Write(path("model"));
    WriteRandomPictures(path("pictures"), 11, 24);
    model_.emplace(ClipModel::Load(path("model")));
    set_ = OpenImageSet(path("pictures"));
  }
  fs::path path(const std::string& name) const { return directory_.path() / name; }

  TemporaryDirectory directory_;
  std::optional<ClipModel> model_;
  std::unique_ptr<ImageSet> set_;
};

TEST_F(FactorSinkTest, TheStoreCannotTellWhoEncoded) {
  (void)Decompose(*model_, *set_, {.out = path("own"), .shard_images = 4, .threads = 2});
  (void)Decompose(CopyingEncoder(*model_), *set_,
                  {.out = path("copied"), .shard_images = 4, .threads = 3});
  const auto own = FilesOf(path("own"));
  EXPECT_GE(own.size(), 9u);  // three shards with their items, sums, basis, manifest
  EXPECT_TRUE(own == FilesOf(path("copied")));
}

TEST_F(FactorSinkTest, RangesComputedApartAddUpToTheStore) {
  (void)Decompose(*model_, *set_, {.out = path("store"), .shard_images = 4, .threads = 2});
  const Store store = Store::Open(path("store"));
  const Decomposer decomposer(model_->image_readout(), 1);
  PictureLoop loop(*model_, *set_, {.captures = FactorCaptures(), .threads = 1});
  ProgressCount progress({}, 0);
  StatisticsSums sums(store.basis().sizes(), store.info().slices);
  for (const Index r : {2, 0, 1}) {
    const RangeRequest request{.range = r, .begin = 4 * r, .end = std::min<Index>(4 * r + 4, 11)};
    const FactorRange range = DecomposeRange(decomposer, loop, request, progress);
    const FactorBlock stored = store.ReadShard(r);
    EXPECT_TRUE(std::ranges::equal(range.block.head_z.flat(), stored.head_z.flat()));
    EXPECT_TRUE(std::ranges::equal(range.block.embedding.flat(), stored.embedding.flat()));
    sums.Merge(SumsOf(range, store.basis(), store.info().slices, 1));
  }
  EXPECT_EQ(sums.Difference(store.ReadSums()), "");
}

TEST_F(FactorSinkTest, RangesMayBringTheirSums) {
  for (const bool stats_only : {false, true}) {
    const std::string kind = stats_only ? "stats" : "store";
    (void)Decompose(*model_, *set_,
                    {.out = path(kind), .stats_only = stats_only, .shard_images = 4, .threads = 2});
    const Store store = Store::Open(path(kind));
    const Decomposer decomposer(model_->image_readout(), 1);
    PictureLoop loop(*model_, *set_, {.captures = FactorCaptures(), .threads = 1});
    ProgressCount progress({}, 0);
    FactorSink sink(path(kind + "-apart"), store.basis(), store.info());
    for (Index r = sink.first_range(); r < sink.end_range(); ++r) {
      const RangeRequest request{.range = r, .begin = 4 * r, .end = 4 * r + sink.ImagesOf(r)};
      const FactorRange range = DecomposeRange(decomposer, loop, request, progress);
      sink.Add(range, SumsOf(range, sink.basis(), store.info().slices, 1));
    }
    sink.Finish();
    EXPECT_TRUE(FilesOf(path(kind)) == FilesOf(path(kind + "-apart"))) << kind;
  }
}

// A store that is damaged leaves nothing behind, not even half of the other.
TEST_F(FactorSinkTest, AStoreThatCannotBeAddedLeavesNothing) {
  (void)Decompose(*model_, *set_, {.out = path("whole"), .shard_images = 4});
  for (const Index part : {0, 1}) {
    (void)Decompose(*model_, *set_,
                    {.out = path(std::to_string(part)),
                     .shard_images = 4,
                     .part = StorePart{.index = part, .parts = 2}});
  }
  const std::vector<fs::path> parts = {path("1"), path("0")};
  MergeStores(parts, path("merged"));
  EXPECT_TRUE(FilesOf(path("whole")) == FilesOf(path("merged")));
  std::ofstream(path("1") / "shard-00001.safetensors", std::ios::app) << "more";
  ExpectError(ErrorCode::kCorruptData, "shard-00001.safetensors: its checksum is",
              [&] { MergeStores(parts, path("damaged")); });
  EXPECT_FALSE(fs::exists(path("damaged")));
  EXPECT_FALSE(fs::exists(path("damaged.partial")));
  fs::create_directories(path("cut.partial"));
  ExpectError(ErrorCode::kPrecondition, "remove it and merge again",
              [&] { MergeStores(parts, path("cut")); });
}

// Heads of an attention pool bring whole contributions [E]: no constants, and the identity as
// basis.
TEST_F(FactorSinkTest, HeadsMayBringWholeContributions) {
  constexpr Index kWidth = 6, kImages = 5;
  const Basis basis = IdentityBasis({.layers = 1,
                                     .heads = 2,
                                     .factor = {.values = kWidth, .constants = 0},
                                     .embed_width = kWidth});
  FactorRange range{.block = MakeBlock(basis.sizes(), kImages)};
  std::mt19937_64 random(2);
  std::normal_distribution<float> normal;
  for (Index b = 0; b < kImages; ++b) {
    range.items.push_back({.path = std::to_string(b) + ".png", .label = std::nullopt});
    range.block.ln.row(b)[1] = range.block.ln.row(b)[2] = 3;  // that no factor is divided by
    // A unit embedding; two heads and an MLP bring what they like, INPUT the rest.
    range.block.embedding(b, b) = 1;
    for (Index e = 0; e < kWidth; ++e) {
      const auto any = [&](float& number) { return number = normal(random); };
      range.block.mlp(0, b, e) = range.block.embedding(b, e) - any(range.block.head_z(0, 0, b, e)) -
                                 any(range.block.head_z(0, 1, b, e)) -
                                 any(range.block.mlp(1, b, e));
    }
  }
  const FactorBlock given = range.block;
  StoreInfo info;
  info.model_name = "pool";
  info.model_path = "/pool";
  info.fingerprint = std::string(32, '1');
  info.model_config = Json::object();
  info.factor_constants = 0;
  info.slices = 2;
  DataSource source;
  source.kind = "folder";
  source.root = "/pictures";
  source.set_images = kImages;
  source.set_checksum = std::string(32, '0');
  info.data.push_back(source);
  FactorSink sink(path("store"), basis, info);
  sink.Add(std::move(range), 2);
  EXPECT_LT(sink.Finish().certificate.max, 1e-6);

  const Store store = Store::Open(path("store"));
  EXPECT_EQ(store.basis().head_width(), kWidth);
  EXPECT_EQ(store.basis().factor_width(), kWidth);
  for (const Problem& problem : VerifyStore(path("store"), {})) ADD_FAILURE() << problem.message;
  const Moments moments = store.statistics().HeadMoments({0, 1});
  for (Index e = 0; e < kWidth; ++e) {
    double mean = 0;
    for (Index b = 0; b < kImages; ++b) mean += double{given.head_z(0, 1, b, e)} / kImages;
    EXPECT_NEAR(moments.mean[e], mean, 1e-9);
  }
}

}  // namespace
}  // namespace cliplens
