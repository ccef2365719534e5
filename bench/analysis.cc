// Times analyses on generated factors, for bench/analysis.py: one JSON line on standard output.
//
//   cliplens_bench_analysis text-span IMAGES TEXTS COUNT THREADS DIRECTORY
//       TextSpan of all heads of an L/14 from moments of IMAGES generated pictures. Writes one
//       head's contributions [IMAGES, E] and the texts [TEXTS, E] as .npy for the reference
//       procedure.
//   cliplens_bench_analysis labels IMAGES TEXTS PROPERTIES THREADS DIRECTORY
//   cliplens_bench_analysis search IMAGES THREADS DIRECTORY
//       Labels of all heads of an L/14 from a store of generated pictures.
//   cliplens_bench_analysis edits RANGES CLASSES ROUNDS THREADS DIRECTORY
//       Changes of an edit by one head, one MLP and one whole layer, in a store of an L/14 of
//       RANGES x 1,024 pictures (the same 1,024 numbers each time; kept in DIRECTORY for another
//       run): class answers alone, and with edited rows.
//   cliplens_bench_analysis explorer-store MODEL IMAGES DIRECTORY
//       A store of IMAGES generated pictures of MODEL, with labels and an attribute, at DIRECTORY.
//   cliplens_bench_analysis match RANGES ROUNDS THREADS DIRECTORY
//       Heads of that store matched with themselves.
//   cliplens_bench_analysis heat-maps MODEL TEXTS ROUNDS THREADS
//       One picture's plain forward pass, and the same with the heat maps of TEXTS directions, by
//       turns.
//   cliplens_bench_analysis pursuit TEXTS TARGETS WIDTH COUNT THREADS DIRECTORY
//       Matching pursuit of COUNT of TEXTS generated texts for each of TARGETS directions, by turns
//       with the plain products of as many operations. Writes the texts [TEXTS, WIDTH] and, of the
//       first targets, the directions as .npy for the plain procedure.
//   cliplens_bench_analysis statistics IMAGES PARTS THREADS DIRECTORY
//       Sums of IMAGES pictures (6 x 6 heads of 32, E = 128) in one pass and in PARTS that are
//       merged.
//
// Factors are random with a spectrum that falls as k^-0.7, about a mean, and depend on the
// picture's number alone.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "cliplens/analysis/head_labels.h"
#include "cliplens/analysis/head_match.h"
#include "cliplens/analysis/live_edit.h"
#include "cliplens/analysis/matching_pursuit.h"
#include "cliplens/analysis/search.h"
#include "cliplens/analysis/text_span.h"
#include "cliplens/analysis/token_scores.h"
#include "cliplens/app/search_index.h"
#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/decompose/factor_sink.h"
#include "cliplens/decompose/store.h"
#include "cliplens/decompose/sums.h"
#include "cliplens/io/npy.h"
#include "cliplens/io/output_files.h"
#include "cliplens/model/clip.h"
#include "cliplens/model/nn/matmul.h"
#include "cliplens/model/nn/product.h"

namespace cliplens {
namespace {

using Clock = std::chrono::steady_clock;

double Since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Of this program alone; getrusage would count what the process was before it.
Index PeakBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return Index{std::stoll(line.substr(6))} * 1024;
  }
  return 0;
}

// Memory of this program's own at this moment, without mapped files.
Index OwnBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("RssAnon:")) return Index{std::stoll(line.substr(8))} * 1024;
  }
  return 0;
}

// Numbers that depend on their place alone: about normal, mean 0, variance 1.
class Noise {
 public:
  explicit Noise(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}
  float Next() {
    state_ += 0x9e3779b97f4a7c15u;
    std::uint64_t x = state_;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    x ^= x >> 31;
    // The sum of four uniform numbers of 16 bits.
    const auto sum = static_cast<std::int64_t>((x & 0xffff) + ((x >> 16) & 0xffff) +
                                               ((x >> 32) & 0xffff) + (x >> 48));
    return static_cast<float>(static_cast<double>(sum - 131070) * (1.0 / 37837.0));
  }

 private:
  std::uint64_t state_;
};

struct Sizes {
  Index layers, heads, head_width, embed_width;
};
constexpr Sizes kLarge = {24, 16, 64, 768};
constexpr Sizes kSmall = {6, 6, 32, 128};
constexpr Sizes kOneHead = {1, 1, 64, 128};

Array<float, 2> UnitRows(Index rows, Index width, std::uint64_t seed) {
  Array<float, 2> out({rows, width});
  Noise noise(seed);
  for (Index i = 0; i < rows; ++i) {
    double square = 0;
    for (Index k = 0; k < width; ++k) {
      out(i, k) =
          noise.Next() / std::pow(static_cast<float>(k + 1), 0.35f) + (k == 0 ? 2.0f : 0.0f);
      square += static_cast<double>(out(i, k)) * out(i, k);
    }
    for (float& x : out.row(i)) x = static_cast<float>(x / std::sqrt(square));
  }
  return out;
}

class Generator {
 public:
  explicit Generator(const Sizes& sizes) : sizes_(sizes) {
    const FactorLayout layout{.values = sizes.head_width, .constants = basis_.layout().constants};
    basis_.heads = Array<float, 4>({sizes.layers, sizes.heads, layout.width(), sizes.embed_width});
    Noise noise(7);
    const auto scale = static_cast<float>(0.02 / std::sqrt(static_cast<double>(sizes.embed_width)));
    for (float& x : basis_.heads.flat()) x = scale * noise.Next();
    for (Index k = 0; k < sizes.head_width; ++k) {
      spectrum_.push_back(std::pow(static_cast<float>(k + 1), -0.7f));
    }
  }

  const Basis& basis() const { return basis_; }

  void FillHead(Index first, Index head, ArrayView<float, 2> z) const {
    for (Index b = 0; b < z.dim(0); ++b) {
      Noise noise(static_cast<std::uint64_t>((first + b) * 4096 + head));
      for (Index k = 0; k < z.dim(1); ++k) {
        z(b, k) = At(spectrum_, k) * noise.Next() + 0.3f;
      }
    }
  }

  void FillLn(Index first, ArrayView<float, 2> ln) const {
    for (Index b = 0; b < ln.dim(0); ++b) {
      Noise noise(static_cast<std::uint64_t>(first + b) * 4096 + 4000);
      ln(b, 0) = 0.02f * noise.Next();
      ln(b, 1) = 1.0f + 0.05f * noise.Next();
      ln(b, 2) = 8.0f + 0.3f * noise.Next();
    }
  }

  FactorBlock Block(Index first, Index images, int threads) const {
    FactorBlock block = MakeBlock(basis_.sizes(), images);
    FillLn(first, block.ln);
    ParallelFor(threads, sizes_.layers * sizes_.heads, [&](Index head, int) {
      FillHead(first, head, block.head_z.view()[head / sizes_.heads][head % sizes_.heads]);
    });
    ParallelFor(threads, images, [&](Index b, int) {
      Noise noise(static_cast<std::uint64_t>((first + b) * 4096 + 4001));
      const auto fill = [&](std::span<float> row, float size) {
        for (float& x : row) x = size * noise.Next();
      };
      for (Index j = 0; j <= sizes_.layers; ++j) fill(block.mlp.view()[j].row(b), 0.01f);
      for (Index l = 0; l < sizes_.layers; ++l) fill(block.cls_attn.view()[l].row(b), 0.001f);
      fill(block.embedding.row(b), 0.03f);
    });
    return block;
  }

 private:
  Sizes sizes_;
  Basis basis_;
  std::vector<float> spectrum_;
};

std::vector<HeadId> AllHeads(const Sizes& sizes) {
  return ParseHeads("all", Components(sizes.layers, sizes.heads));
}

Json TextSpanBench(Index images, Index count_texts, Index count, int threads,
                   const std::string& directory) {
  const Generator generator(kLarge);
  const Array<float, 2> texts = UnitRows(count_texts, kLarge.embed_width, 3);
  const std::vector<HeadId> heads = AllHeads(kLarge);
  std::vector<Moments> moments(heads.size());
  Array<float, 2> ln({images, 3});
  generator.FillLn(0, ln);
  ParallelFor(threads, static_cast<Index>(heads.size()), [&](Index i, int) {
    Array<float, 2> z({images, kLarge.head_width});
    generator.FillHead(0, i, z);
    Matrix u = FactorsOf(generator.basis().layout(), z, ln);
    Moments& m = At(moments, i);
    m = Moments(u.cols());
    m.count = static_cast<double>(images);
    m.mean = u.colwise().mean().transpose();
    u.rowwise() -= m.mean.transpose();
    m.scatter = nn::Product(nn::Of(u).Transposed(), nn::Of(u));
  });
  std::vector<TextSpanResult> results(heads.size());
  const auto start = Clock::now();
  ParallelFor(threads, static_cast<Index>(heads.size()), [&](Index i, int) {
    const auto at = ToSize(i);
    results[at] = TextSpan(moments[at], generator.basis().at(heads[at]), texts, {.count = count});
  });
  const double seconds = Since(start);
  const auto one = Clock::now();
  const TextSpanResult first =
      TextSpan(moments[0], generator.basis().at(heads[0]), texts, {.count = count});
  const double of_one = Since(one);

  // The first head for the reference procedure.
  Array<float, 2> z({images, kLarge.head_width});
  generator.FillHead(0, 0, z);
  const Matrix c = nn::Product(nn::Of(FactorsOf(generator.basis().layout(), z, ln)),
                               nn::Of(generator.basis().at(heads[0])));
  const MatrixF rows = c.cast<float>();
  const std::vector<Index> shape = {c.rows(), c.cols()};
  WriteNpy(directory + "/contributions.npy", {rows.data(), ToSize(rows.size())}, shape);
  const std::vector<Index> text_shape = {texts.dim(0), texts.dim(1)};
  WriteNpy(directory + "/texts.npy", texts.flat(), text_shape);
  Json chosen = Json::array();
  for (const SpanText& text : first.texts) chosen.push_back(text.index);
  return {{"heads", heads.size()}, {"images", images},   {"texts", count_texts},
          {"count", count},        {"rank", first.rank}, {"seconds", seconds},
          {"of_one", of_one},      {"chosen", chosen},   {"peak", PeakBytes()}};
}

double Median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

StoreInfo GeneratedInfo(Index images) {
  StoreInfo info;
  info.model_name = "generated";
  info.model_path = "/generated";
  info.fingerprint = std::string(32, '0');
  info.model_config = Json::object();
  DataSource source;
  source.kind = "generated";
  source.root = "/generated";
  source.images = source.set_images = images;
  source.set_checksum = std::string(32, '0');
  info.data = {source};
  return info;
}

// Writes a store of generated factors whose picture i is item_of(i).
void WriteStore(const std::filesystem::path& place, const Generator& generator, const Basis& basis,
                const StoreInfo& info, int threads, const std::function<Item(Index)>& item_of) {
  const Index shard_images = info.data[0].shard_images;
  FactorSink sink(place, basis, info);
  for (Index r = sink.first_range(); r < sink.end_range(); ++r) {
    const Index first = r * shard_images;
    FactorRange range{.range = r, .block = generator.Block(first, sink.ImagesOf(r), threads)};
    for (Index b = 0; b < sink.ImagesOf(r); ++b) range.items.push_back(item_of(first + b));
    sink.Add(std::move(range), threads);
  }
  sink.Finish();
}

Item NumberedItem(Index number) {
  return {.path = fmt::format("{}.png", number), .label = std::nullopt};
}

// A store of generated factors of `images` pictures.
Store MakeStore(const Sizes& sizes, Index images, int threads, const std::filesystem::path& place) {
  const Generator generator(sizes);
  WriteStore(place, generator, generator.basis(), GeneratedInfo(images), threads, NumberedItem);
  return Store::Open(place);
}

// A store of an L/14 whose ranges all have the numbers of the first, so that its sums are soon
// made; one that is there is opened.
Store RepeatedStore(Index ranges, int threads, const std::filesystem::path& place) {
  if (std::filesystem::exists(place)) return Store::Open(place);
  const Generator generator(kLarge);
  const StoreInfo info = GeneratedInfo(ranges * kShardImages);
  FactorSink sink(place, generator.basis(), info);
  FactorRange range{.block = generator.Block(0, kShardImages, threads)};
  std::optional<StatisticsSums> sums;  // of the first range
  for (; range.range < ranges; ++range.range) {
    range.items.clear();
    for (Index b = 0; b < kShardImages; ++b) {
      range.items.push_back(NumberedItem(range.range * kShardImages + b));
    }
    if (!sums) sums = SumsOf(range, sink.basis(), info.slices, threads);
    sink.Add(range, *sums);
  }
  sink.Finish();
  return Store::Open(place);
}

// A store of generated factors that a model could have made, for bench/explorer.py.
Json ExplorerStore(const std::string& model_path, Index images, int threads,
                   const std::string& directory) {
  const ClipModel model = ClipModel::Load(model_path);
  const TowerConfig& tower = model.config().vision;
  const Sizes sizes{.layers = tower.layers,
                    .heads = tower.heads,
                    .head_width = tower.head_width(),
                    .embed_width = model.config().embed_width};
  const Generator generator(sizes);
  StoreInfo info = GeneratedInfo(images);
  info.model_name = model.name();
  info.model_path = std::filesystem::absolute(model.path()).string();
  info.fingerprint = model.fingerprint();
  info.model_config = ToJson(model.config());
  WriteStore(directory, generator, MakeBasis(model.image_readout(), threads), info, threads,
             [](Index i) {
               Item item = NumberedItem(i);
               item.label = fmt::format("c{}", i % 10);
               item.attributes = {{"group", fmt::format("g{}", i % 3)}};
               return item;
             });
  return {{"images", images}};
}

Json EditBench(Index ranges, Index classes, Index rounds, int threads,
               const std::string& directory) {
  const Store store = RepeatedStore(ranges, threads, std::filesystem::path(directory) / "repeated");
  const Array<float, 2> classifier = UnitRows(classes, kLarge.embed_width, 3);
  (void)store.ReadEmbeddings();  // checks the shards' checksums
  Json result = {{"images", store.info().images}, {"classes", classes}, {"rounds", rounds}};
  const Index before = OwnBytes();
  const auto opening = Clock::now();
  LiveEdit live(store, classifier, threads);
  result["open"] = Since(opening);
  using Kind = ComponentId::Kind;
  const auto time = [&](Kind kind, bool rows) {
    std::vector<ComponentId> targets = {{20, Kind::kHead, 1}, {21, Kind::kHead, 2}};
    std::vector<double> seconds, of_processors;
    double checked = 0;
    for (Index round = 0; round < rounds; ++round) {
      const auto layer = static_cast<int>(round % 20);
      targets.push_back({layer, kind, kind == Kind::kHead ? static_cast<int>(round % 16) : 0});
      // On, then off: both are changes of one component or one layer.
      for (int change = 0; change < 2; ++change) {
        const auto start = Clock::now();
        const std::clock_t used = std::clock();
        live.Apply(targets, /*mean=*/true, 0);
        checked += static_cast<double>(live.Answers().front());
        if (rows) checked += live.Rows()(0, 0);
        if (round > 0 || change > 0) {
          seconds.push_back(Since(start));
          of_processors.push_back(static_cast<double>(std::clock() - used) / CLOCKS_PER_SEC);
        }
        if (change == 0) targets.pop_back();
      }
    }
    return Json{{"median", Median(seconds)},
                {"most", *std::ranges::max_element(seconds)},
                {"processor_seconds", Median(of_processors)},
                {"checked", checked}};
  };
  result["head"] = time(Kind::kHead, false);
  result["mlp"] = time(Kind::kMlp, false);
  result["layer"] = time(Kind::kLayer, false);
  result["memory"] = OwnBytes() - before;
  result["head_rows"] = time(Kind::kHead, true);
  result["mlp_rows"] = time(Kind::kMlp, true);
  result["layer_rows"] = time(Kind::kLayer, true);
  result["memory_rows"] = OwnBytes() - before;
  return result;
}

Json MatchBench(Index ranges, Index rounds, int threads, const std::string& directory) {
  const Store store = RepeatedStore(ranges, threads, std::filesystem::path(directory) / "repeated");
  (void)store.ReadEmbeddings();
  std::vector<double> seconds, of_processors;
  double least = 1;
  Index images = 0;
  for (Index round = 0; round < rounds; ++round) {
    const auto start = Clock::now();
    const std::clock_t used = std::clock();
    const HeadMatch match = MatchHeads(store, store, {.threads = threads});
    seconds.push_back(Since(start));
    of_processors.push_back(static_cast<double>(std::clock() - used) / CLOCKS_PER_SEC);
    images = match.images;
    least = std::min(least, match.similarity.diagonal().minCoeff());
  }
  return {{"heads", AllHeads(kLarge).size()}, {"images", images},
          {"seconds", Median(seconds)},       {"processor_seconds", Median(of_processors)},
          {"own_similarity", least},          {"peak", PeakBytes()}};
}

Json LabelBench(Index images, Index count_texts, Index properties, int threads,
                const std::string& directory) {
  const Store store =
      MakeStore(kLarge, images, threads, std::filesystem::path(directory) / "store");
  TextPool pool;
  pool.name = "generated";
  for (Index t = 0; t < count_texts; ++t) {
    pool.texts.push_back(fmt::format("text {}", t));
    pool.properties.push_back(fmt::format("property {}", t % properties));
  }
  const Array<float, 2> texts = UnitRows(count_texts, kLarge.embed_width, 3);
  const auto start = Clock::now();
  LabelOptions options;
  options.threads = threads;
  const std::vector<HeadLabel> labels =
      LabelHeads(store, AllHeads(kLarge), PropertiesOf(pool), texts, options);
  const double seconds = Since(start);
  Index labelled = 0;
  for (const HeadLabel& label : labels) labelled += label.label >= 0 ? 1 : 0;
  return {{"heads", labels.size()},   {"images", images},   {"texts", count_texts},
          {"properties", properties}, {"seconds", seconds}, {"labelled", labelled},
          {"peak", PeakBytes()}};
}

// One query under one head of 64: from the opened store itself, which was read once before, and
// through an index, with the reading of the index.
Json SearchBench(Index images, int threads, const std::string& directory) {
  const std::filesystem::path place = std::filesystem::path(directory) / "store";
  MakeStore(kOneHead, images, threads, place);
  const std::string index_path = directory + "/head.faiss";
  const SearchSpace space{.heads = {{0, 0}}};
  const auto opening = Clock::now();
  const Store store = Store::Open(place);
  const double open = Since(opening);
  const auto writing = Clock::now();
  OutputFiles files(SearchIndexFiles(index_path));
  WriteSearchIndex(index_path, files, store, space, threads);
  files.Commit();
  const double write = Since(writing);
  Json result = {{"images", images}, {"open", open}, {"write", write}};
  for (const Measure measure : {Measure::kCosine, Measure::kRaw}) {
    const auto start = Clock::now();
    const SearchVectors vectors(store, {.heads = {{0, 0}}, .measure = measure});
    const SearchTerm term{&vectors, vectors.OfItem(images / 2)};
    Search(store, {&term, 1}, {.threads = threads});
    result[NameOf(measure)] = Since(start);
  }
  const auto reading = Clock::now();
  const SearchIndex index = ReadSearchIndex(index_path, store);
  result["read"] = Since(reading);
  std::vector<double> seconds;
  for (int i = 0; i < 9; ++i) {
    const auto start = Clock::now();
    Search(index, index.vectors.row(images / 2 + i), {});
    seconds.push_back(Since(start));
  }
  result["query"] = Median(seconds);
  result["bytes"] = static_cast<Index>(std::filesystem::file_size(index_path));
  result["peak"] = PeakBytes();
  return result;
}

// Each round times both, one after the other: what else the machine does falls on both alike.
Json HeatMapBench(const std::string& path, Index count_texts, Index rounds, int threads) {
  const ClipModel model = ClipModel::Load(path);
  const Index side = model.config().preprocess.image_size;
  const Index width = model.config().embed_width;
  Array<float, 3> pixels({3, side, side});
  Noise noise(11);
  for (float& x : pixels.flat()) x = noise.Next();
  const Array<float, 2> texts = UnitRows(count_texts, width, 3);
  Array<float, 2> row({1, width});
  Passes passes(model, threads);
  Captures captures;
  std::vector<double> plain, weights_only, maps;
  double checked = 0;
  for (Index round = 0; round <= rounds; ++round) {
    auto start = Clock::now();
    passes.ForImages(1, [&](Index, Index, Workspace& workspace) {
      model.EmbedImages({&pixels, 1}, row, workspace);
    });
    const double without = Since(start);
    start = Clock::now();
    passes.ForImages(1, [&](Index, Index, Workspace& workspace) {
      model.EmbedImages({&pixels, 1}, row, workspace, TokenCaptures(), {&captures, 1});
    });
    const auto passed = Clock::now();
    const TokenWeights weights(model.image_readout(), texts, threads);
    const double made = Since(passed);
    const TokenScores scores = ScoreTokens(weights, captures, {}, threads);
    const double with = Since(start);
    if (round == 0) continue;  // packs the weights
    plain.push_back(without);
    weights_only.push_back(made);
    maps.push_back(with);
    for (Index m = 0; m < count_texts; ++m) {
      double score = 0;
      for (Index e = 0; e < width; ++e) score += static_cast<double>(row(0, e)) * texts(m, e);
      checked = std::max(checked, std::abs(SumOf(scores, m) - score));
    }
  }
  std::vector<double> ratios;
  for (std::size_t i = 0; i < plain.size(); ++i) ratios.push_back(maps[i] / plain[i]);
  return {{"texts", count_texts},
          {"rounds", rounds},
          {"plain", Median(plain)},
          {"maps", Median(maps)},
          {"of_the_texts", Median(weights_only)},
          {"ratio", Median(ratios)},
          {"difference", checked}};
}

double ProcessorSeconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

// The products of the pursuit alone: in `rounds` of them, all targets with all texts.
void PlainProducts(ArrayView<const float, 2> targets, ArrayView<const float, 2> texts, Index rounds,
                   int threads) {
  constexpr Index kRows = 128, kTexts = 2048;
  std::vector<std::vector<float>> products(ToSize(ResolveThreads(threads)));
  const Index width = texts.dim(1);
  ParallelFor(threads, (targets.dim(0) + kRows - 1) / kRows, [&](Index task, int worker) {
    const Index first = task * kRows;
    std::vector<float>& c = At(products, worker);
    c.resize(ToSize(kRows * kTexts));
    for (Index round = 0; round < rounds; ++round) {
      for (Index j = 0; j < texts.dim(0); j += kTexts) {
        nn::Gemm({.m = std::min(kRows, targets.dim(0) - first),
                  .n = std::min(kTexts, texts.dim(0) - j),
                  .k = width,
                  .a = targets.row(first).data(),
                  .a_stride = width,
                  .b = texts.row(j).data(),
                  .b_stride = width,
                  .transpose_b = true,
                  .c = c.data(),
                  .c_stride = kTexts});
      }
    }
  });
}

Json PursuitBench(Index count_texts, Index count_targets, Index width, Index count, int threads,
                  const std::string& directory) {
  constexpr Index kParts = 4;       // of the targets, by turns with the plain products
  constexpr Index kPlainFirst = 4;  // targets for the plain procedure
  const Array<float, 2> texts = UnitRows(count_texts, width, 3);
  const Array<float, 2> targets = UnitRows(count_targets, width, 5);
  auto start = Clock::now();
  const PursuitAtoms atoms(texts);
  const double prepared = Since(start);
  Json ends = {{"count", 0}, {"exact", 0}, {"no-text", 0}};
  double pursuit = 0, pursuit_cpu = 0, plain = 0, plain_cpu = 0, rest = 0;
  std::vector<PursuitPath> first;
  for (Index part = 0; part < kParts; ++part) {
    const ArrayView<const float, 2> some =
        targets.rows(part * count_targets / kParts, (part + 1) * count_targets / kParts);
    double cpu = ProcessorSeconds();
    start = Clock::now();
    std::vector<PursuitPath> paths =
        MatchingPursuit(atoms, some, {.count = count, .threads = threads});
    pursuit += Since(start);
    pursuit_cpu += ProcessorSeconds() - cpu;
    cpu = ProcessorSeconds();
    start = Clock::now();
    PlainProducts(some, texts, count, threads);
    plain += Since(start);
    plain_cpu += ProcessorSeconds() - cpu;
    for (const PursuitPath& path : paths) {
      const char* const names[] = {"count", "exact", "no-text"};
      Json& end = ends[names[static_cast<int>(path.end)]];
      end = end.get<Index>() + 1;
      rest += path.squared_rest.back() / static_cast<double>(count_targets);
    }
    if (part == 0) first = std::move(paths);
  }
  const Index written = std::min<Index>(kPlainFirst, static_cast<Index>(first.size()));
  std::vector<Index> indices;
  std::vector<double> weights;
  for (Index i = 0; i < written; ++i) {
    const Vector of_target = At(first, i).Coefficients(count);
    for (Index k = 0; k < At(first, i).size(); ++k) {
      indices.push_back(At(At(first, i).texts, k));
      weights.push_back(of_target[k]);
    }
  }
  const std::vector<Index> text_shape = {count_texts, width};
  const std::vector<Index> target_shape = {written, width};
  WriteNpy(directory + "/texts.npy", texts.flat(), text_shape);
  WriteNpy(directory + "/targets.npy", targets.rows(0, written).flat(), target_shape);
  return {{"texts", count_texts},   {"targets", count_targets},
          {"width", width},         {"count", count},
          {"prepared", prepared},   {"seconds", pursuit},
          {"cpu", pursuit_cpu},     {"plain", plain},
          {"plain_cpu", plain_cpu}, {"ends", ends},
          {"rest", rest},           {"chosen", indices},
          {"weights", weights},     {"peak", PeakBytes()}};
}

Json StatisticsBench(Index images, Index parts, int threads, const std::string& directory) {
  constexpr Index kBlock = 500;  // pictures of a range
  const Generator generator(kSmall);
  const auto make = [&] { return StatisticsSums(generator.basis().sizes(), kDefaultSlices); };
  StatisticsSums whole = make();
  StatisticsSums merged = make();
  Json peaks = Json::array();
  Json disk = Json::array();
  const auto start = Clock::now();
  const Index ranges = (images + kBlock - 1) / kBlock;
  const auto measure = [&](Index done) {
    const std::string path = directory + "/stats.safetensors";
    whole.Write(path);
    peaks.push_back({done, PeakBytes()});
    disk.push_back({done, static_cast<Index>(std::filesystem::file_size(path))});
  };
  Index range = 0;
  for (Index p = 0; p < parts; ++p) {
    StatisticsSums part = make();
    for (; range < (p + 1) * ranges / parts; ++range) {
      const Index first = range * kBlock;
      const Index n = std::min(kBlock, images - first);
      const FactorBlock block = generator.Block(first, n, threads);
      std::vector<Index> slices;
      for (Index b = 0; b < n; ++b) {
        slices.push_back(SliceOf(std::to_string(first + b), kDefaultSlices));
      }
      whole.Add(block, slices, generator.basis(), threads);
      part.Add(block, slices, generator.basis(), threads);
      if (range + 1 == ranges / 100 || range + 1 == ranges / 10) measure(first + n);
    }
    merged.Merge(part);
  }
  measure(images);
  return {{"images", whole.images()}, {"parts", parts}, {"seconds", Since(start)},
          {"peaks", peaks},           {"disk", disk},   {"difference", merged.Difference(whole)}};
}

Json Run(const std::vector<std::string>& words) {
  const auto number = [&](std::size_t i) { return Index{std::stoll(words.at(i))}; };
  const std::string& what = words.at(1);
  if (what == "text-span") {
    return TextSpanBench(number(2), number(3), number(4), static_cast<int>(number(5)), words.at(6));
  }
  if (what == "labels") {
    return LabelBench(number(2), number(3), number(4), static_cast<int>(number(5)), words.at(6));
  }
  if (what == "search") return SearchBench(number(2), static_cast<int>(number(3)), words.at(4));
  if (what == "edits") {
    return EditBench(number(2), number(3), number(4), static_cast<int>(number(5)), words.at(6));
  }
  if (what == "explorer-store") return ExplorerStore(words.at(2), number(3), 0, words.at(4));
  if (what == "match") {
    return MatchBench(number(2), number(3), static_cast<int>(number(4)), words.at(5));
  }
  if (what == "heat-maps") {
    return HeatMapBench(words.at(2), number(3), number(4), static_cast<int>(number(5)));
  }
  if (what == "pursuit") {
    return PursuitBench(number(2), number(3), number(4), number(5), static_cast<int>(number(6)),
                        words.at(7));
  }
  if (what == "statistics") {
    return StatisticsBench(number(2), number(3), static_cast<int>(number(4)), words.at(5));
  }
  throw Error(ErrorCode::kInvalidArgument, "there is no benchmark '{}'", what);
}

}  // namespace
}  // namespace cliplens

int main(int argc, char** argv) {
  try {
    std::cout << cliplens::DumpJson(cliplens::Run({argv, argv + argc})) << std::endl;
    return 0;
  } catch (const std::exception& e) {
    std::cerr << "cliplens_bench_analysis: " << e.what() << "\n";
    return 1;
  }
}
