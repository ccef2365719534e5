// From pictures to a store and back, on a model with random weights (K = 6, side 21, patch 7).
#include "cliplens/decompose/decompose.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <map>
#include <random>

#include "tests/expect_error.h"
#include "tests/random_model.h"
#include "tests/random_pictures.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

#include "cliplens/analysis/search.h"
#include "cliplens/analysis/text_span.h"
#include "cliplens/analysis/variance.h"
#include "cliplens/decompose/export.h"
#include "cliplens/decompose/factor_block.h"
#include "cliplens/decompose/manifest.h"
#include "cliplens/decompose/merge.h"
#include "cliplens/decompose/range_set.h"
#include "cliplens/decompose/verify.h"
#include "cliplens/io/file.h"
#include "cliplens/io/npy.h"
#include "cliplens/io/partial_directory.h"
#include "cliplens/io/sealed_json.h"

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

  // In shards of 3, which makes 7 of the 20 pictures.
  DecomposeOptions Small(const std::string& out) const {
    DecomposeOptions options;
    options.out = path(out);
    options.threads = 2;
    options.shard_images = 3;
    return options;
  }

  void ExpectSameStores(const std::string& a, const std::string& b) const {
    const auto files = Files(path(a));
    const auto others = Files(path(b));
    for (const auto& [name, bytes] : files) {
      ASSERT_TRUE(others.contains(name)) << name;
      EXPECT_TRUE(bytes == others.at(name)) << name << " of " << a << " and " << b;
    }
    EXPECT_EQ(files.size(), others.size());
    EXPECT_EQ(VerifyStore(path(a), {}).size(), 0u);
  }

  // Changes the store's manifest and seals it again.
  void Edit(const std::string& store, const std::function<void(Json&)>& change) const {
    const fs::path file = path(store) / "manifest.json";
    Json json = ReadSealedJson(file, 1 << 24);
    change(json);
    WriteFileAtomically(file, SealJson(json));
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

TEST_F(DecomposeTest, OnlyShardsWithChosenPicturesAreVisited) {
  Decompose(*model_, *set_, Small("store"));
  const Store store = Store::Open(path("store"));
  const std::vector<Index> pictures = {19, 0, 7, 2, 8};
  std::vector<Index> shards, numbers;
  ForShardsWith(store, pictures, [&](Index shard, Index first, std::span<const Index> places) {
    shards.push_back(shard);
    EXPECT_EQ(first, 3 * shard);
    for (const Index place : places) numbers.push_back(At(pictures, place));
  });
  EXPECT_EQ(shards, (std::vector<Index>{0, 2, 6}));
  EXPECT_EQ(numbers, (std::vector<Index>{0, 2, 7, 8, 19}));
  ForShardsWith(store, {}, [](Index, Index, std::span<const Index>) { FAIL(); });
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
    block.layout().Fill(block.HeadRows({1, 1}).row(b), ScaleOf(block.ln.row(b)),
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
  ExpectError(ErrorCode::kInvalidArgument, "counted once", [&] {
    MergeStores(std::vector<fs::path>{path("store0"), path("store0")}, path("again"));
  });
  fs::copy(path("pictures") / "001.png", path("part0") / "z.png");
  set_ = OpenImageSet(path("part0"));
  Run("grown");
  ExpectError(ErrorCode::kInvalidArgument, "is in another of these stores too", [&] {
    MergeStores(std::vector<fs::path>{path("store0"), path("grown")}, path("again"));
  });
  RandomModel{.seed = 9}.Write(path("other-model"));
  model_.emplace(ClipModel::Load(path("other-model")));
  Run("other");
  ExpectError(ErrorCode::kInvalidArgument, "models differ", [&] {
    MergeStores(std::vector<fs::path>{path("store0"), path("other")}, path("again"));
  });
  Edit("store1", [](Json& json) { json["model"]["config"]["preprocess"]["mean"][0] = 0.25; });
  ExpectError(ErrorCode::kInvalidArgument, "'model.config.preprocess.mean[0]' is", [&] {
    MergeStores(std::vector<fs::path>{path("store0"), path("store1")}, path("again"));
  });
  EXPECT_FALSE(fs::exists(path("again")));
  EXPECT_FALSE(fs::exists(path("again.partial")));
}

TEST_F(DecomposeTest, ShardsMergedAreTheStoreOfOneRun) {
  for (const bool stats_only : {false, true}) {
    const std::string kind = stats_only ? "stats" : "store";
    DecomposeOptions options = Small(kind);
    options.stats_only = stats_only;
    Decompose(*model_, *set_, options);
    for (const Index of : {1, 2, 5, 7}) {
      std::vector<fs::path> parts;
      for (Index i = of - 1; i >= 0; --i) {
        options.out = path(fmt::format("{}-{}-{}", kind, i, of));
        options.part = StorePart{i, of};
        options.threads = static_cast<int>(i % 3 + 1);
        Decompose(*model_, *set_, options);
        EXPECT_EQ(VerifyStore(options.out, {}).size(), 0u);
        parts.push_back(options.out);
      }
      if (of == 1) {
        ExpectSameStores(kind, kind + "-0-1");
        continue;
      }
      const std::string merged = fmt::format("{}-merged-{}", kind, of);
      MergeStores(parts, path(merged));
      ExpectSameStores(kind, merged);
    }
    const auto refuse = [&](std::vector<std::string> names, const std::string& words) {
      std::vector<fs::path> parts;
      for (const std::string& name : names) parts.push_back(path(kind + name));
      ExpectError(ErrorCode::kInvalidArgument, words, [&] { MergeStores(parts, path("no")); });
      EXPECT_FALSE(fs::exists(path("no")));
    };
    refuse({"-0-5", "-1-5", "-4-5"}, "part 2, 3 of 5");
    refuse({"-0-2", "-1-2", "-0-2"}, "both are part 0 of 2");
    refuse({"-0-2", "-1-5"}, "they overlap: part 0 of 2 and part 1 of 5");
    refuse({"", "-1-2", "-0-2"}, "both have pictures of");
    refuse({"", ""}, "both have pictures of");
  }
  DecomposeOptions options = Small("none");
  options.part = StorePart{0, 8};
  ExpectError(ErrorCode::kInvalidArgument, "which makes 7",
              [&] { Decompose(*model_, *set_, options); });
  options.part = StorePart{2, 2};
  ExpectError(ErrorCode::kInvalidArgument, "parts count from 0",
              [&] { Decompose(*model_, *set_, options); });
}

// Stops the run after some pictures, as an error would.
class StopsAfter {
 public:
  explicit StopsAfter(Index images) : images_(images) {}
  void operator()(Index done, Index) const {
    if (done > images_) throw Error(ErrorCode::kExhausted, "stopped");
  }

 private:
  Index images_;
};

// As workers of a cluster do it: a list of each part, a store of each, and a manifest over all
// files.
TEST_F(DecomposeTest, PartsOfAListedSetMakeTheStoreOfOneRun) {
  WriteFileAtomically(path("pictures") / "a-broken.png", "\x89PNG\r\n\x1a\n nothing");
  for (const char* kind : {"folder", "table"}) {
    if (kind == std::string("table")) {
      std::string lines = "path,size\n";
      for (Index i = 0; i < set_->size(); ++i) lines += set_->path(i) + ",7\n";
      WriteFileAtomically(path("pictures") / "list.csv", lines);
    }
    set_ = OpenImageSet(kind == std::string("table") ? path("pictures") / "list.csv"
                                                     : path("pictures"));
    DecomposeOptions whole = Small(fmt::format("whole-{}", kind));
    whole.on_error = OnError::kSkip;
    Decompose(*model_, *set_, whole);

    const DataSource source = ParseData(DataJson(DescribeSet(*set_, 3)), "set");
    constexpr Index kParts = 3;
    std::vector<fs::path> parts, sums;
    for (Index p = 0; p < kParts; ++p) {
      const StorePart part = {p, kParts};
      const Index begin = part.first(source.ranges()) * 3;
      const Index end = std::min(part.end(source.ranges()) * 3, set_->size());
      const RangeSet range(source, begin, ParseRange(RangeLines(*set_, begin, end, ""), "range"),
                           {});
      DecomposeOptions options = Small(fmt::format("part-{}-{}", kind, p));
      options.on_error = OnError::kSkip;
      options.part = part;
      Decompose(*model_, range, options);
      parts.push_back(options.out);
      sums.push_back(options.out / kStatisticsFile);
    }
    const fs::path statistics = path(fmt::format("sums-{}", kind));
    MergeStatistics(sums, statistics);
    const AssembledStore store = AssembleStore(parts, statistics);
    EXPECT_EQ(store.ranges, std::vector<Index>({0, 1, 2, 3, 4, 5, 6}));
    const auto files = Files(whole.out);
    EXPECT_TRUE(std::ranges::equal(AsBytes(store.manifest), files.at("manifest.json")));
    EXPECT_EQ(ReadFile(statistics, 1 << 30), files.at("stats.safetensors"));
    ExpectError(ErrorCode::kCorruptData, "is of 6 pictures, the parts have 20",
                [&] { AssembleStore(parts, sums.front()); });
  }
}

TEST_F(DecomposeTest, AListThatSaysWhyAPictureMustNotBeRead) {
  const DataSource source = DescribeSet(*set_, 3);
  std::vector<ListedPicture> listed = ParseRange(RangeLines(*set_, 0, 3, ""), "range");
  listed = ParseRange(R"({"path":"a.png","broken":"a.png: ends its process"})"
                      "\n",
                      "range");
  const RangeSet range(source, 4, listed, {});
  EXPECT_EQ(range.path(4), "a.png");
  EXPECT_EQ(range.size(), 20);
  for (const auto& use : {std::function<void()>([&] { (void)range.Read(4); }),
                          std::function<void()>([&] { (void)range.Pixels(4, {}); })}) {
    ExpectError(ErrorCode::kCorruptData, "a.png: ends its process", use);
  }
  ExpectError(ErrorCode::kInternal, "picture 3 is outside of the range 4 to 5",
              [&] { (void)range.path(3); });
  ExpectError(ErrorCode::kInvalidArgument, "1 pictures from 20 on of a set of 20",
              [&] { const RangeSet late(source, 20, listed, {}); });
  ExpectError(ErrorCode::kCorruptData, "range: line 1: -1 bytes at 0", [&] {
    (void)ParseRange(R"({"path":"a.png","file":"a","offset":0,"size":-1})", "range");
  });
}

TEST_F(DecomposeTest, PicturesThatAProgramGives) {
  DataSource source = DescribeSet(*set_, 3);
  source.kind = "memory";
  source.root = "memory:mine";
  std::vector<ListedPicture> listed;
  for (Index i = 0; i < set_->size(); ++i) listed.push_back({.item = set_->item(i)});
  const RangeSet given(source, 0, listed, [&](Index i) {
    if (i % 2 == 0) return GivenPicture{.bytes = set_->Read(i)};
    return GivenPicture{.image = DecodeImage(set_->Read(i), "picture")};
  });
  DecomposeOptions options = Small("given");
  Decompose(*model_, given, options);
  Decompose(*model_, *set_, Small("files"));
  const auto a = Files(path("given")), b = Files(path("files"));
  EXPECT_EQ(a.at("stats.safetensors"), b.at("stats.safetensors"));
  EXPECT_EQ(a.at("shard-00006.safetensors"), b.at("shard-00006.safetensors"));
}

TEST_F(DecomposeTest, RowsOfChosenPicturesAreThoseOfAll) {
  Decompose(*model_, *set_, Small("store"));
  const Store store = Store::Open(path("store"));
  const std::vector<Index> some = {19, 0, 7, 8, 3};
  const HeadId id = {1, 0};
  const Array<float, 2> z = store.ReadHead(id), ln = store.ReadLn(), e = store.ReadEmbeddings();
  const std::vector<Item> items = store.ReadItems();
  const std::vector<Item> chosen = store.ReadItems(some);
  for (std::size_t i = 0; i < some.size(); ++i) {
    const auto row = static_cast<Index>(i);
    EXPECT_TRUE(std::ranges::equal(store.ReadHead(id, some).row(row), z.row(some[i])));
    EXPECT_TRUE(std::ranges::equal(store.ReadLn(some).row(row), ln.row(some[i])));
    EXPECT_TRUE(std::ranges::equal(store.ReadEmbeddings(some).row(row), e.row(some[i])));
    EXPECT_EQ(chosen[i].path, At(items, some[i]).path);
  }
}

TEST_F(DecomposeTest, TheBestOfAllPartsOfAStoreAreTheBest) {
  Decompose(*model_, *set_, Small("store"));
  const Store store = Store::Open(path("store"));
  const SearchVectors vectors(store, {.heads = {{1, 0}}});
  const SearchTerm term{&vectors, vectors.OfItem(5)};
  const std::vector<ScoredItem> whole = Search(store, {&term, 1}, {.count = 9, .exclude = {5}});
  std::vector<ScoredItem> parts;
  for (Index p = 0; p < 3; ++p) {
    const std::vector<ScoredItem> found =
        Search(store, {&term, 1}, {.count = 9, .part = {p, 3}, .exclude = {5}});
    parts.insert(parts.end(), found.begin(), found.end());
  }
  EXPECT_EQ(parts.size(), 19u);
  std::ranges::stable_sort(parts, std::greater<>(), &ScoredItem::score);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    EXPECT_EQ(parts[i].item, whole[i].item);
    EXPECT_EQ(parts[i].score, whole[i].score);
  }
}

TEST_F(DecomposeTest, AResumedRunGivesTheSameBytes) {
  for (const bool stats_only : {false, true}) {
    const std::string kind = stats_only ? "stats" : "store";
    DecomposeOptions options = Small(kind);
    options.stats_only = stats_only;
    Decompose(*model_, *set_, options);
    options.out = path(kind + "-resumed");
    options.resume = true;
    int runs = 0;
    for (Index limit = 7; !fs::exists(options.out) && runs < 20; limit += 4, ++runs) {
      options.progress = StopsAfter(limit);
      options.threads = runs % 3 + 1;
      try {
        Decompose(*model_, *set_, options);
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kExhausted) << error.what();
        if (fs::exists(path(kind + "-resumed.partial"))) {
          EXPECT_NE(std::string(error.what()).find("run again with --resume"), std::string::npos)
              << error.what();
        }
      }
    }
    EXPECT_GT(runs, 2);
    ExpectSameStores(kind, kind + "-resumed");
    // A finished store is checked and left as it is.
    options.progress = {};
    EXPECT_TRUE(Decompose(*model_, *set_, options).complete_already);
    ExpectSameStores(kind, kind + "-resumed");
    options.slices = 4;
    ExpectError(ErrorCode::kInvalidArgument, "'slices' is 4 and 8",
                [&] { Decompose(*model_, *set_, options); });
  }
}

TEST_F(DecomposeTest, ARunOfOtherArgumentsIsNotGoneOnWith) {
  DecomposeOptions options = Small("store");
  options.progress = StopsAfter(15);
  EXPECT_THROW(Decompose(*model_, *set_, options), Error);
  options.progress = {};
  ExpectError(ErrorCode::kPrecondition, "go on with it by --resume, or remove it",
              [&] { Decompose(*model_, *set_, options); });
  options.resume = true;
  const auto refuse = [&](const std::string& words, auto change) {
    DecomposeOptions other = options;
    change(other);
    ExpectError(ErrorCode::kInvalidArgument, words, [&] { Decompose(*model_, *set_, other); });
  };
  refuse("'slices' is 5 and 8", [](DecomposeOptions& o) { o.slices = 5; });
  refuse("'store_dtype' is \"fp16\" and \"fp32\"",
         [](DecomposeOptions& o) { o.type = StoreType::kF16; });
  refuse("'stats_only' is true and false", [](DecomposeOptions& o) { o.stats_only = true; });
  refuse("'data[0].shard_images' is 4 and 3", [](DecomposeOptions& o) { o.shard_images = 4; });
  refuse("'part' is {\"index\":0,\"of\":2} and null", [](DecomposeOptions& o) {
    o.part = StorePart{0, 2};
  });
  // A picture that vanished.
  fs::rename(path("pictures") / "019.png", path("019.png"));
  const auto fewer = OpenImageSet(path("pictures"));
  ExpectError(ErrorCode::kInvalidArgument, "'data[0].set_images' is 19 and 20",
              [&] { Decompose(*model_, *fewer, options); });
  fs::rename(path("019.png"), path("pictures") / "019.png");
  RandomModel{.seed = 9}.Write(path("model"));
  const ClipModel other = ClipModel::Load(path("model"));
  ExpectError(ErrorCode::kInvalidArgument, "'model.fingerprint' is",
              [&] { Decompose(other, *set_, options); });
  Decompose(*model_, *set_, options);
  options.out = path("whole");
  Decompose(*model_, *set_, options);
  ExpectSameStores("whole", "store");
}

TEST_F(DecomposeTest, DamageDoneToAnInterruptedRunIsMadeGood) {
  for (const std::string kind : {"store", "stats", "skip", "skip-stats"}) {
    DecomposeOptions options = Small(kind);
    options.stats_only = kind.ends_with("stats");
    if (kind == "skip") {
      for (const char* name : {"001.png", "002.png", "009.png"}) {
        WriteFileAtomically(path("pictures") / name, std::string_view("no picture"));
      }
    }
    if (kind.starts_with("skip")) options.on_error = OnError::kSkip;
    options.resume = true;
    Decompose(*model_, *set_, options);
    std::vector<std::string> files;
    int round = 0;
    do {
      options.out = path(kind + std::to_string(round));
      options.progress = StopsAfter(16);
      EXPECT_THROW(Decompose(*model_, *set_, options), Error);
      options.progress = {};
      const fs::path partial = PartialDirectory::PartialPath(options.out);
      files.clear();
      for (const auto& [name, bytes] : Files(partial)) files.push_back(name);
      ASSERT_GT(files.size(), 2u);
      const fs::path file = partial / At(files, round);
      std::vector<std::uint8_t> bytes = ReadFile(file, 1 << 24);
      bytes[bytes.size() / 2] ^= 4;
      if (round % 2 == 0) {
        WriteFileAtomically(file, bytes);
      } else if (file.filename() != "progress.json") {
        fs::remove(file);
      }
      if (file.filename() == "progress.json" && round % 2 == 0) {
        ExpectError(ErrorCode::kCorruptData, "progress.json",
                    [&] { Decompose(*model_, *set_, options); });
      } else {
        Decompose(*model_, *set_, options);
        ExpectSameStores(kind, kind + std::to_string(round));
      }
    } while (++round < static_cast<int>(files.size()));
  }
}

TEST_F(DecomposeTest, SkippedPicturesChangeNothingForTheOthers) {
  DecomposeOptions options = Small("all");
  Decompose(*model_, *set_, options);
  const auto all = Store::Open(path("all")).ReadEmbeddings();
  for (const char* name : {"000.png", "004.png", "006.png", "007.png", "008.png", "019.png"}) {
    WriteFileAtomically(path("pictures") / name, std::string_view("no picture"));
  }
  ExpectError(ErrorCode::kUnsupported, ".png", [&] {
    options.out = path("stopped");
    Decompose(*model_, *set_, options);
  });
  options.on_error = OnError::kSkip;
  for (const int threads : {1, 3}) {
    options.threads = threads;
    options.out = path("skip" + std::to_string(threads));
    const DecomposeResult result = Decompose(*model_, *set_, options);
    EXPECT_EQ(result.images, 14);
    EXPECT_EQ(result.shards, 6);  // all of one are gone
    ASSERT_EQ(result.skipped.size(), 6u);
    EXPECT_EQ(result.skipped[2].path, "006.png");
  }
  ExpectSameStores("skip1", "skip3");
  const Store store = Store::Open(path("skip1"));
  const std::vector<Item> items = store.ReadItems();
  const auto rows = store.ReadEmbeddings();
  for (std::size_t i = 0; i < items.size(); ++i) {
    EXPECT_TRUE(
        std::ranges::equal(rows.row(static_cast<Index>(i)), all.row(std::stoi(items[i].path))));
  }
  EXPECT_EQ(store.info().skipped.size(), 6u);
  EXPECT_EQ(store.info().skipped[0].picture.path, "000.png");
  // Parts and interruptions make no difference here either; part 2 is the range of which nothing
  // can be read.
  std::vector<fs::path> parts;
  for (Index i = 0; i < 7; ++i) {
    options.out = path("part" + std::to_string(i));
    options.part = StorePart{i, 7};
    if (i == 2) {
      ExpectError(ErrorCode::kCorruptData, "none of 3 pictures can be read",
                  [&] { Decompose(*model_, *set_, options); });
    } else {
      Decompose(*model_, *set_, options);
    }
    parts.push_back(options.out);
  }
  MergeStores(parts, path("merged"));
  ExpectSameStores("skip1", "merged");
  options.part.reset();
  options.resume = true;
  options.out = path("resumed");
  for (Index limit = 8; !fs::exists(options.out) && limit < 60; limit += 5) {
    options.progress = StopsAfter(limit);
    try {
      Decompose(*model_, *set_, options);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kExhausted) << error.what();
    }
  }
  ExpectSameStores("skip1", "resumed");
  fs::create_directories(path("none"));
  WriteFileAtomically(path("none") / "a.png", std::string_view("no picture"));
  set_ = OpenImageSet(path("none"));
  options.progress = {};
  options.out = path("nothing");
  ExpectError(ErrorCode::kCorruptData, "none of 1 pictures",
              [&] { Decompose(*model_, *set_, options); });
  EXPECT_FALSE(fs::exists(path("nothing")));
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
    const auto at = ToSize(i);
    EXPECT_NEAR(a.flat()[at], b.flat()[at], std::abs(b.flat()[at]) * 1e-3f + 1e-6f);
  }
}

// W_V · 2^-24 and W_O · 2^24 make the same function, but halves have no such small numbers.
TEST_F(DecomposeTest, FactorsThatVanishInHalvesAreRefused) {
  Checkpoint checkpoint = LoadCheckpoint(path("model"));
  for (Index l = 0; l < 3; ++l) {
    const std::string block = fmt::format("vision.block.{}.attn.", l);
    for (const char* name : {"in.weight", "in.bias"}) {
      std::vector<float>& in = checkpoint.tensors.at(block + name).values;
      std::for_each(in.begin() + static_cast<std::ptrdiff_t>(in.size() / 3 * 2), in.end(),
                    [](float& v) { v *= 0x1p-24f; });
    }
    for (float& v : checkpoint.tensors.at(block + "out.weight").values) v *= 0x1p24f;
  }
  model_.emplace(std::move(checkpoint));
  EXPECT_LE(Run("store").certificate.max, 1e-5);
  for (const bool stats_only : {false, true}) {
    ExpectError(ErrorCode::kUnsupported, "store them as fp32", [&] {
      DecomposeOptions options;
      options.out = path("halves");
      options.type = StoreType::kF16;
      options.stats_only = stats_only;
      options.shard_images = 5;
      Decompose(*model_, *OpenImageSet(path("pictures")), options);
    });
    EXPECT_FALSE(fs::exists(path("halves")));
    EXPECT_FALSE(fs::exists(path("halves.partial")));
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

// Heads whose values and output matrices have other scales, and another length of the projection:
// the same function of pictures, so the same statistics and the same texts.
TEST_F(DecomposeTest, ScalesOfWeightsThatDivideOutChangeNothing) {
  Run("store");
  const Store plain = Store::Open(path("store"));
  Array<float, 2> texts({40, 10});
  std::mt19937_64 random(3);
  std::normal_distribution<float> normal(0, 0.3F);
  for (float& v : texts.flat()) v = normal(random);
  const std::vector<HeadId> heads = {{0, 0}, {1, 1}, {2, 0}};
  const auto spans = [&](const Store& store) {
    return TextSpanOfHeads(store.statistics(), store.basis(), heads, texts, {.count = 5}, 1);
  };
  for (const int shift : {40, -40}) {
    RandomModel model;
    std::vector<RandomModel::Held> weights = model.Weights();
    for (RandomModel::Held& held : weights) {
      const bool in = held.ours.ends_with("attn.in.weight") || held.ours.ends_with("attn.in.bias");
      if (!held.ours.starts_with("vision.")) continue;
      for (std::size_t i = 0; i < held.values.size(); ++i) {
        if (in && i >= held.values.size() / 3 * 2) {
          held.values[i] = std::ldexp(held.values[i], -shift);
        } else if (held.ours.ends_with("attn.out.weight")) {
          held.values[i] = std::ldexp(held.values[i], shift);
        } else if (held.ours == "vision.projection") {
          held.values[i] = std::ldexp(held.values[i], shift);
        }
      }
    }
    const std::string name = fmt::format("scaled{}", shift);
    model.Write(path(name));
    RandomModel::WriteTensors(path(name) / "open_clip_model.safetensors", weights);
    model_.emplace(ClipModel::Load(path(name)));
    EXPECT_LE(Run(name + "-store").certificate.max, 1e-5);
    const Store scaled = Store::Open(path(name + "-store"));
    EXPECT_NE(scaled.info().fingerprint, plain.info().fingerprint);
    const std::vector<TextSpanResult> wanted = spans(plain);
    const std::vector<TextSpanResult> got = spans(scaled);
    for (std::size_t h = 0; h < heads.size(); ++h) {
      EXPECT_NEAR(got[h].variance / wanted[h].variance, 1, 1e-9);
      EXPECT_EQ(got[h].rank, wanted[h].rank);
      ASSERT_EQ(got[h].texts.size(), 5u);
      for (std::size_t i = 0; i < 5; ++i) {
        EXPECT_EQ(got[h].texts[i].index, wanted[h].texts[i].index) << shift << " " << i;
        EXPECT_NEAR(got[h].texts[i].share, wanted[h].texts[i].share, 1e-6);
      }
    }
  }
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
    const std::vector<Problem> problems = VerifyStore(path("store"), {});
    ASSERT_EQ(problems.size(), 1u) << name;
    EXPECT_EQ(problems[0].file, name);
    EXPECT_EQ(problems[0].code, ErrorCode::kCorruptData);
    WriteFileAtomically(path("store") / name, bytes);
  }
  Store::Open(path("store"));
  EXPECT_EQ(VerifyStore(path("store"), {}).size(), 0u);
}

TEST_F(DecomposeTest, ClaimsOfSlicesAreRefused) {
  Run("store");
  Edit("store", [](Json& json) { json["slices"] = 0; });
  ExpectError(ErrorCode::kCorruptData, "0 slices", [&] { Store::Open(path("store")); });
  ASSERT_EQ(VerifyStore(path("store"), {}).size(), 1u);
  // No memory for 4,096 slices, and the shards are looked at all the same.
  Edit("store", [](Json& json) { json["slices"] = 4'096; });
  const std::vector<Problem> problems = VerifyStore(path("store"), {});
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_NE(problems.front().message.find("shapes do not fit"), std::string::npos);
}

TEST_F(DecomposeTest, VerifyFindsWhatChecksumsCannot) {
  Run("store");
  const fs::path shard = path("store") / "shard-00000.safetensors";
  const std::vector<std::uint8_t> bytes = ReadFile(shard, 1 << 24);
  const fs::path file = path("store") / "manifest.json";
  const std::vector<std::uint8_t> manifest = ReadFile(file, 1 << 24);
  const auto expect = [&](const std::string& in, const std::string& words) {
    const std::vector<Problem> problems = VerifyStore(path("store"), {});
    ASSERT_GE(problems.size(), 1u) << words;
    EXPECT_EQ(problems[0].file, in) << problems[0].message;
    EXPECT_NE(problems[0].message.find(words), std::string::npos) << problems[0].message;
    WriteFileAtomically(shard, bytes);
    WriteFileAtomically(file, manifest);
  };
  // One number of one picture, with a checksum that fits.
  std::vector<std::uint8_t> changed = bytes;
  changed[changed.size() - 3] ^= 1;
  WriteFileAtomically(shard, changed);
  Edit("store", [&](Json& json) { json["shards"][0]["checksum"] = HashBytes(changed); });
  expect("stats.safetensors", "is not what the shards add up to");
  Edit("store", [](Json& json) { json["certificate"]["max"] = 1e-9; });
  expect("manifest.json", "a certificate of 1e-09 at most");
  Edit("store", [](Json& json) { json["data"][0]["set_images"] = 21; });
  expect("manifest.json", "do not make 21");
  Edit("store", [](Json& json) { json["store_dtype"] = "fp16"; });
  expect("shard-00000.safetensors", "is F32, the manifest says F16");
  WriteFileAtomically(path("store") / "shard-00001.safetensors", bytes);
  expect("shard-00001.safetensors", "is not in the manifest");
  fs::remove(path("store") / "shard-00001.safetensors");
  VerifyOptions options;
  options.model = &*model_;
  EXPECT_EQ(VerifyStore(path("store"), options).size(), 0u);
  RandomModel{.seed = 9}.Write(path("other"));
  const ClipModel other = ClipModel::Load(path("other"));
  options.model = &other;
  const std::vector<Problem> problems = VerifyStore(path("store"), options);
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0].code, ErrorCode::kInvalidArgument);
  fs::remove(shard);
  const std::vector<Problem> missing = VerifyStore(path("store"), {});
  ASSERT_EQ(missing.size(), 1u);
  EXPECT_EQ(missing[0].code, ErrorCode::kNotFound);
  EXPECT_EQ(missing[0].file, "shard-00000.safetensors");
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
  const auto refuse = [&](ErrorCode code, const std::string& words, auto change) {
    Edit("store", change);
    ExpectError(code, words, [&] { Store::Open(path("store")); });
    WriteFileAtomically(file, manifest);
  };
  refuse(ErrorCode::kCorruptData, "were expected",
         [](Json& json) { json["shards"][0]["file"] = "../../etc/passwd"; });
  refuse(ErrorCode::kUnsupported, "version 4", [](Json& json) { json["version"] = 4; });
  refuse(ErrorCode::kCorruptData, "images",
         [](Json& json) { json["images"] = std::int64_t{1} << 60; });
  refuse(ErrorCode::kCorruptData, "'data' 5 is named",
         [](Json& json) { json["shards"][0]["data"] = 5; });
  // The first format had no checksum of its own.
  Json old = ReadSealedJson(file, 1 << 20);
  old["format"] = "cliplens.store/1";
  old["version"] = 1;
  WriteFileAtomically(file, DumpJson(old));
  ExpectError(ErrorCode::kUnsupported, "format cliplens.store/1 version 1",
              [&] { Store::Open(path("store")); });
}

}  // namespace
}  // namespace cliplens
