#include "cliplens/neurons/collect.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/base/finite.h"
#include "cliplens/base/parallel.h"
#include "cliplens/decompose/manifest.h"
#include "cliplens/decompose/merge.h"
#include "cliplens/decompose/store_writer.h"
#include "cliplens/io/output_files.h"
#include "cliplens/io/printable.h"
#include "cliplens/model/nn/matmul.h"
#include "cliplens/model/picture_loop.h"
#include "cliplens/model/unit_row.h"
#include "cliplens/neurons/neuron_store.h"
#include "cliplens/neurons/neuron_verify.h"

namespace cliplens {
namespace fs = std::filesystem;
namespace {

ProgressSink SinkOf(const CollectOptions& options, const char* stage) {
  return options.progress ? options.progress(stage) : ProgressSink();
}

// Memory of one batch.
struct CoefficientScratch {
  MatrixF attention, through;
};

// Row `b` of a block from one pass. Rows are independent.
void FillCoefficients(std::span<const NeuronPaths> paths, const Captures& captures,
                      std::span<const float> embedding, CoefficientScratch& scratch,
                      NeuronBlock& block, Index b) {
  for (std::size_t l = 0; l < paths.size(); ++l) {
    const NeuronPaths& p = paths[l];
    const Matrix attention = p.Attention(captures);
    scratch.attention = attention.cast<float>();
    const ArrayView<const float, 2> hidden = captures.hidden[p.layer()];  // [N, F]
    scratch.through.resize(p.channels(), p.neurons());
    nn::Gemm({.m = p.channels(),
              .n = p.neurons(),
              .k = hidden.dim(0),
              .a = scratch.attention.data(),
              .a_stride = hidden.dim(0),
              .b = hidden.data(),
              .b_stride = p.neurons(),
              .c = scratch.through.data(),
              .c_stride = p.neurons()});
    const auto alpha = block.alpha[l].view();
    for (Index n = 0; n < p.neurons(); ++n) {
      float* to = alpha[n].row(b).data();
      for (Index j = 0; j < p.channels(); ++j) to[j] = scratch.through(j, n);
    }
    const RowVector shared = p.SharedOf(captures, attention);
    std::ranges::transform(shared, block.shared[l].row(b).begin(),
                           [](double v) { return static_cast<float>(v); });
  }
  std::ranges::copy(embedding, block.embedding.row(b).data());
}

bool IsFinite(const NeuronBlock& block, Index b) {
  for (const Array<float, 3>& alpha : block.alpha) {
    for (Index n = 0; n < alpha.dim(0); ++n) {
      if (!AllFinite(alpha.view()[n].row(b))) return false;
    }
  }
  for (const Array<float, 2>& shared : block.shared) {
    if (!AllFinite(shared.row(b))) return false;
  }
  return AllFinite(block.embedding.row(b));
}

struct NeuronRange {
  NeuronBlock block = {};
  std::vector<Item> items = {};
  std::vector<SkippedPicture> skipped = {};
  std::vector<SkippedPicture> incomplete = {};
  Index oriented = 0;
};

// Where passes come from: pictures of the image tower, or texts of the text tower.
struct PassSource {
  const Tower& tower;
  const Readout& readout;
  const ImageSet& set;  // what is collected, by name
  // Encodes items [begin, end) and fills rows 0 … of the block.
  std::function<NeuronRange(std::span<const NeuronPaths> paths, Index begin, Index end,
                            ProgressCount& progress)>
      collect;
};

void CheckFinite(const NeuronBlock& block, Index b, const std::string& path) {
  if (IsFinite(block, b)) return;
  throw Error(ErrorCode::kUnsupported,
              "{}: what neurons do on it is not finite; the model's activations overflow: check "
              "the weights",
              path);
}

NeuronRange CollectPictures(std::span<const NeuronPaths> paths, PictureLoop& loop, Index begin,
                            Index end, OnError on_error, ProgressCount& progress) {
  NeuronRange out{.block = MakeNeuronBlock(paths, end - begin)};
  PictureRange read = loop.RunRange(begin, end, on_error, progress, [&](const PictureBatch& batch) {
    CoefficientScratch scratch;
    for (Index k = 0; k < batch.size(); ++k) {
      const Index b = At(batch.index, k) - begin;
      FillCoefficients(paths, At(batch.captures, k), batch.embeddings.row(k), scratch, out.block,
                       b);
      CheckFinite(out.block, b, At(batch.items, k).path);
    }
  });
  if (!read.skipped.empty()) out.block = SelectPictures(out.block, read.kept);
  out.items = std::move(read.items);
  out.skipped = std::move(read.skipped);
  out.incomplete = std::move(read.incomplete);
  out.oriented = read.oriented;
  return out;
}

// Texts under the names that a store gives them.
class TextSet : public ImageSet {
 public:
  TextSet(const TextPool& pool, const fs::path& file) : pool_(pool), file_(file.string()) {}

  Index size() const override { return std::ssize(pool_.texts); }
  Item item(Index i) const override {
    Item item;
    item.path = path(i);
    if (At(pool_.properties, i)) item.attributes["property"] = *At(pool_.properties, i);
    return item;
  }
  std::string path(Index i) const override {
    const Index line = pool_.lines.empty() ? i + 1 : At(pool_.lines, i);
    return fmt::format("{}: {}", line, At(pool_.texts, i));
  }
  std::vector<std::uint8_t> Read(Index) const override { return {}; }
  std::optional<std::vector<std::uint8_t>> ReadMask(Index) const override { return std::nullopt; }
  std::string kind() const override { return "texts"; }
  std::string root() const override { return file_; }

 private:
  const TextPool& pool_;
  std::string file_;
};

NeuronRange CollectTexts(const ClipModel& model, std::span<const NeuronPaths> paths,
                         const TextSet& set, std::span<const Tokens> tokens, Index begin,
                         LayerRange layers, int threads, ProgressCount& progress) {
  const Index count = std::ssize(tokens);
  NeuronRange out{.block = MakeNeuronBlock(paths, count)};
  for (Index i = 0; i < count; ++i) out.items.push_back(set.item(begin + i));
  const CaptureRequest request = NeuronPaths::CapturesFor(layers);
  Passes passes(model, threads);
  passes.ForTexts(model, tokens, [&](Index first, Index last, Workspace& workspace) {
    Array<float, 2> rows({last - first, model.config().embed_width});
    std::vector<Captures> captures(ToSize(last - first));
    model.EmbedTokens(tokens.subspan(ToSize(first), ToSize(last - first)), rows.view(), workspace,
                      request, captures);
    CoefficientScratch scratch;
    for (Index k = 0; k < last - first; ++k) {
      CheckEmbedding(rows.row(k), At(out.items, first + k).path);
      FillCoefficients(paths, At(captures, k), rows.row(k), scratch, out.block, first + k);
      CheckFinite(out.block, first + k, At(out.items, first + k).path);
      progress.Add(1);
    }
  });
  return out;
}

// What the files of the shards say of all pictures together, written to a file; nothing for no
// paths, as for one part of a set.
StoreWriter::WriteFile StatisticsOf(const std::vector<NeuronShard>& shards,
                                    std::span<const NeuronPaths> paths, Index top, int threads,
                                    const ProgressSink& progress) {
  return [&shards, paths, top, threads, progress](const fs::path& file) {
    if (paths.empty()) return WriteSafetensors(file, {});
    return WriteNeuronStatistics(file, paths,
                                 StatisticsOfShards(shards, paths, top, threads, progress));
  };
}

// The shards that a writer has finished, in order.
std::vector<NeuronShard> ShardsOf(const StoreWriter& writer) {
  std::vector<NeuronShard> shards;
  for (const auto& [number, range] : writer.done()) {
    if (range.shard) {
      shards.push_back(
          {writer.path() / range.shard->file, range.shard->images, range.shard->checksum});
    }
  }
  return shards;
}

Index PicturesOf(const std::vector<NeuronShard>& shards) {
  Index pictures = 0;
  for (const NeuronShard& shard : shards) pictures += shard.pictures;
  return pictures;
}

// Reads and encodes what is not done yet.
void AddNeuronRanges(const PassSource& passes, const CollectOptions& options, const StoreInfo& info,
                     std::span<const NeuronPaths> paths, StoreWriter& writer,
                     CollectResult& result) {
  const DataSource& source = info.data.front();
  const StorePart part = info.part.value_or(StorePart{});
  const Index first = part.first(source.ranges());
  const Index end = part.end(source.ranges());
  const auto begin_of = [&](Index range) { return range * source.shard_images; };
  const auto end_of = [&](Index range) {
    return std::min((range + 1) * source.shard_images, source.set_images);
  };
  ProgressCount progress(SinkOf(options, "collect"), end_of(end - 1) - begin_of(first));
  for (Index r = first; r < end; ++r) {
    const auto done = writer.done().find(r);
    if (done != writer.done().end() &&
        (!done->second.shard || writer.IsWhole(*done->second.shard))) {
      ++result.resumed_ranges;
      progress.Skip(end_of(r) - begin_of(r));
      continue;
    }
    NeuronRange range = passes.collect(paths, begin_of(r), end_of(r), progress);
    result.oriented += range.oriented;
    std::ranges::move(range.incomplete, std::back_inserter(result.incomplete));
    writer.AddRange(r, TensorsOf(range.block, paths), range.items, std::move(range.skipped));
  }
}

std::vector<NeuronPaths> PathsOf(const PassSource& passes, LayerRange layers, int threads) {
  passes.tower.Pack(threads);
  std::vector<NeuronPaths> paths;
  for (Index l = layers.begin; l < layers.end; ++l) {
    paths.emplace_back(passes.tower, passes.readout, l, threads);
  }
  return paths;
}

[[noreturn]] void ThrowNoPicture(const ImageSet& set, const std::vector<SkippedPicture>& skipped) {
  throw Error(ErrorCode::kCorruptData, "{}: none of the pictures can be read; the first: {}",
              set.root(), skipped.empty() ? "" : skipped.front().message);
}

// The pictures that statistics name, by their numbers among those.
void KeepNamed(const ImageSet& set, const std::vector<SkippedPicture>& skipped,
               NeuronStatistics& statistics) {
  std::set<Index> named;
  for (const NeuronDirections& layer : statistics.layers) {
    named.insert(layer.top_pictures.flat().begin(), layer.top_pictures.flat().end());
  }
  // The place in the set of each number, which does not count skipped pictures.
  std::map<Index, Index> number_of;
  auto next_skipped = skipped.begin();
  Index number = 0;
  for (Index i = 0; i < set.size(); ++i) {
    if (next_skipped != skipped.end() && next_skipped->index == i) {
      ++next_skipped;
      continue;
    }
    if (named.contains(number)) {
      number_of.emplace(number, std::ssize(statistics.items));
      statistics.items.push_back(set.item(i));
    }
    ++number;
  }
  for (NeuronDirections& layer : statistics.layers) {
    for (std::int64_t& picture : layer.top_pictures.flat()) picture = number_of.at(picture);
  }
}

// Two passes over the pictures, of which only statistics stay.
CollectResult RunStatistics(const PassSource& passes, const CollectOptions& options,
                            const StoreInfo& info) {
  const ImageSet& set = passes.set;
  const int threads = ResolveThreads(options.threads);
  const std::vector<NeuronPaths> paths = PathsOf(passes, options.layers, threads);
  // What a run leaves that is cut off is of no use to the next, which begins anew.
  StoreWriter writer(
      options.out, info,
      options.resume ? PartialDirectory::Mode::kResume : PartialDirectory::Mode::kNew,
      "statistics only cannot be gone on with: begin anew by --resume, or remove it",
      [&](const fs::path& file) { WriteNeuronBasis(file, paths); });
  const std::vector<NeuronPaths> stored =
      ReadNeuronBasis(writer.path() / kBasisFile, options.layers, passes.tower.config().heads);
  std::vector<RunningDirections> running;
  running.reserve(stored.size());
  for (const NeuronPaths& p : stored) running.emplace_back(p, info.neurons->top);
  RunningMoments embeddings(stored.front().embed_width());
  CollectResult result{.top = info.neurons->top};
  const DataSource& source = info.data.front();
  ProgressCount progress(SinkOf(options, "collect"), 2 * source.set_images);
  for (int pass = 0; pass < 2; ++pass) {
    Index first = 0;
    for (Index r = 0; r < source.ranges(); ++r) {
      const Index begin = r * source.shard_images;
      const Index end = std::min(begin + source.shard_images, source.set_images);
      NeuronRange range = passes.collect(paths, begin, end, progress);
      const Index count = range.block.pictures();
      for (std::size_t l = 0; l < running.size() && count > 0; ++l) {
        if (pass == 0) {
          running[l].AddMoments(range.block.alpha[l], range.block.shared[l], threads);
        } else {
          running[l].AddEffects(range.block.alpha[l], range.block.shared[l], first, threads);
        }
      }
      first += count;
      if (pass > 0) continue;
      embeddings.Add(range.block.embedding.view());
      result.oriented += range.oriented;
      std::ranges::move(range.incomplete, std::back_inserter(result.incomplete));
      std::ranges::move(range.skipped, std::back_inserter(result.skipped));
    }
    if (pass == 0) {
      result.pictures = first;
      if (first == 0) ThrowNoPicture(set, result.skipped);
      for (RunningDirections& layer : running) layer.BeginEffects(threads);
    } else if (first != result.pictures) {
      throw Error(ErrorCode::kPrecondition,
                  "{}: {} pictures could be read at first, {} when they were read again; collect "
                  "again while nothing changes them",
                  set.root(), result.pictures, first);
    }
  }
  NeuronStatistics statistics{.embedding = embeddings.Finish(), .layers = {}};
  for (RunningDirections& layer : running) statistics.layers.push_back(layer.Finish(threads));
  KeepNamed(set, result.skipped, statistics);
  for (Index r = 0; r < source.ranges(); ++r) {
    const Index end = (r + 1) * source.shard_images;
    std::vector<SkippedPicture> skipped;
    for (const SkippedPicture& picture : result.skipped) {
      if (picture.index < end && picture.index >= end - source.shard_images) {
        skipped.push_back(picture);
      }
    }
    if (!skipped.empty()) writer.AddSkipped(r, std::move(skipped));
  }
  writer.Finish(result.pictures, {}, [&](const fs::path& file) {
    return WriteNeuronStatistics(file, stored, statistics);
  });
  return result;
}

CollectResult RunCollection(const PassSource& passes, const CollectOptions& options,
                            const StoreInfo& info) {
  const int threads = ResolveThreads(options.threads);
  const std::vector<NeuronPaths> paths = PathsOf(passes, options.layers, threads);
  StoreWriter writer(
      options.out, info,
      options.resume ? PartialDirectory::Mode::kResume : PartialDirectory::Mode::kNew,
      "go on with it by --resume, or remove it",
      [&](const fs::path& file) { WriteNeuronBasis(file, paths); });
  CollectResult result{.top = info.neurons->top};
  try {
    AddNeuronRanges(passes, options, info, paths, writer, result);
    const std::vector<NeuronShard> shards = ShardsOf(writer);
    result.pictures = PicturesOf(shards);
    result.shards = std::ssize(shards);
    for (const auto& [number, range] : writer.done()) {
      result.skipped.insert(result.skipped.end(), range.skipped.begin(), range.skipped.end());
    }
    if (result.pictures == 0 && !info.part) {
      writer.Drop();
      ThrowNoPicture(passes.set, result.skipped);
    }
    // Directions are those of the basis as it is stored.
    std::vector<NeuronPaths> stored;
    if (!info.part) {
      stored =
          ReadNeuronBasis(writer.path() / kBasisFile, options.layers, passes.tower.config().heads);
    }
    writer.Finish(
        result.pictures, {},
        StatisticsOf(shards, stored, info.neurons->top, threads, SinkOf(options, "directions")));
  } catch (const Error& error) {
    if (writer.done().empty() || !IsTaken(writer.path())) throw;
    throw Error(error.code(), "{}; {} shards are done and stay in {}: run again with --resume",
                error.what(), writer.done().size(), writer.path().string());
  }
  return result;
}

CollectResult Collect(const ClipModel& model, const PassSource& passes, bool text,
                      const CollectOptions& options) {
  constexpr Index kTenth = 10;
  const ImageSet& set = passes.set;
  const char* const items = text ? "texts" : "pictures";
  if (set.size() < 2) {
    throw Error(ErrorCode::kPrecondition, "{}: {} {}; what a neuron does varies over two at least",
                set.root(), set.size(), items);
  }
  StoreInfo info = DescribeRun(model, set, options.shard_images, options.part);
  const Index top = options.top.value_or(std::clamp<Index>(set.size() / kTenth, 2, kTopPictures));
  if (top > set.size() || top < 1) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: the {} {} of largest effect are asked for, and it has {}; give --top a number "
                "from 1 to {}",
                set.root(), top, items, set.size(), set.size());
  }
  info.neurons = {options.layers, top, text};
  info.stats_only = options.stats_only;
  if (options.stats_only && info.part) {
    throw Error(ErrorCode::kInvalidArgument,
                "parts of a set with statistics only: effects are measured about the mean of the "
                "whole, which no part knows; collect the whole, or parts without --stats-only");
  }
  std::error_code ignored;
  if (options.resume && fs::exists(options.out, ignored)) {
    const NeuronStore store = NeuronStore::Open(options.out);
    CheckSameRun(info, store.info(), options.out.string());
    const std::vector<Problem> problems =
        VerifyNeuronStore(options.out, {.threads = options.threads, .progress = {}});
    if (!problems.empty()) {
      throw Error(problems.front().code, "{}; remove {} and run again", problems.front().message,
                  options.out.string());
    }
    CollectResult result{.pictures = store.pictures(),
                         .shards = store.num_shards(),
                         .top = top,
                         .complete_already = true};
    for (const SkippedItem& skipped : store.info().skipped) {
      result.skipped.push_back(skipped.picture);
    }
    return result;
  }
  return options.stats_only ? RunStatistics(passes, options, info)
                            : RunCollection(passes, options, info);
}

}  // namespace

CollectResult CollectNeurons(const ClipModel& model, const ImageSet& set,
                             const CollectOptions& options) {
  PictureLoop loop(
      model, set,
      {.captures = NeuronPaths::CapturesFor(options.layers), .threads = options.threads});
  const PassSource passes{
      model.image_tower(), model.image_readout(), set,
      [&](std::span<const NeuronPaths> paths, Index begin, Index end, ProgressCount& progress) {
        return CollectPictures(paths, loop, begin, end, options.on_error, progress);
      }};
  return Collect(model, passes, /*text=*/false, options);
}

CollectResult CollectNeuronsOfTexts(const ClipModel& model, const TextPool& pool,
                                    const fs::path& file, bool truncate,
                                    const CollectOptions& options) {
  const TextSet set(pool, file);
  const std::vector<Tokens> tokens = model.TokenizeTexts(pool.texts, truncate, options.threads);
  const PassSource passes{
      model.text_tower(), model.text_readout(), set,
      [&](std::span<const NeuronPaths> paths, Index begin, Index end, ProgressCount& progress) {
        return CollectTexts(model, paths, set,
                            std::span(tokens).subspan(ToSize(begin), ToSize(end - begin)), begin,
                            options.layers, options.threads, progress);
      }};
  return Collect(model, passes, /*text=*/true, options);
}

void MergeNeuronStores(std::span<const fs::path> inputs, const fs::path& output, int threads,
                       const ProgressSink& progress) {
  const MergePlan plan = PlanMerge(inputs, StoreKind::kNeurons);
  if (plan.info.stats_only) {
    throw Error(ErrorCode::kPrecondition,
                "{}: has statistics only, and effects are measured about the mean of all pictures; "
                "collect all pictures in one run, or without --stats-only",
                PathText(plan.inputs.front().directory));
  }
  const fs::path& first = plan.inputs.front().directory;
  CheckHash(first / kBasisFile, plan.inputs.front().manifest.basis_checksum);
  const std::vector<NeuronPaths> paths =
      ReadNeuronBasis(first / kBasisFile, plan.info.neurons->layers, HeadsOf(plan.info, first));
  StoreWriter writer(output, plan.info, PartialDirectory::Mode::kNew, "remove it and merge again",
                     [&](const fs::path& file) { WriteNeuronBasis(file, paths); });
  for (const MergeInput& input : plan.inputs) {
    for (ShardInfo shard : input.manifest.shards) {
      shard.source += input.first_set;
      writer.CopyShard(input.directory, std::move(shard));
    }
  }
  const std::vector<NeuronShard> shards = ShardsOf(writer);
  writer.Finish(PicturesOf(shards), {},
                StatisticsOf(shards, paths, plan.info.neurons->top, threads, progress));
}

}  // namespace cliplens
