#include "cliplens/neurons/collect.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/decompose/manifest.h"
#include "cliplens/decompose/merge.h"
#include "cliplens/decompose/store_writer.h"
#include "cliplens/io/output_files.h"
#include "cliplens/model/nn/matmul.h"
#include "cliplens/model/picture_loop.h"
#include "cliplens/neurons/neuron_store.h"

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
    scratch.attention = p.Attention(captures).cast<float>();
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
    const RowVector shared = p.SharedOf(captures);
    std::ranges::transform(shared, block.shared[l].row(b).begin(),
                           [](double v) { return static_cast<float>(v); });
  }
  std::ranges::copy(embedding, block.embedding.row(b).data());
}

bool AllFinite(const NeuronBlock& block, Index b) {
  const auto finite = [](std::span<const float> values) {
    return std::ranges::all_of(values, [](float v) { return std::isfinite(v); });
  };
  for (const Array<float, 3>& alpha : block.alpha) {
    for (Index n = 0; n < alpha.dim(0); ++n) {
      if (!finite(alpha.view()[n].row(b))) return false;
    }
  }
  for (const Array<float, 2>& shared : block.shared) {
    if (!finite(shared.row(b))) return false;
  }
  return finite(block.embedding.row(b));
}

struct NeuronRange {
  NeuronBlock block = {};
  std::vector<Item> items = {};
  std::vector<SkippedPicture> skipped = {};
  std::vector<SkippedPicture> incomplete = {};
  Index oriented = 0;
};

NeuronRange CollectRange(std::span<const NeuronPaths> paths, PictureLoop& loop, Index begin,
                         Index end, OnError on_error, ProgressCount& progress) {
  const Index count = end - begin;
  NeuronRange out{.block = MakeNeuronBlock(paths, count),
                  .items = std::vector<Item>(ToSize(count))};
  std::vector<char> read(ToSize(count), 0);
  PictureErrors errors(on_error);
  loop.Run(begin, end, errors, progress, [&](const PictureBatch& batch) {
    CoefficientScratch scratch;
    for (Index k = 0; k < batch.size(); ++k) {
      const Index b = At(batch.index, k) - begin;
      FillCoefficients(paths, At(batch.captures, k), batch.embeddings.row(k), scratch, out.block,
                       b);
      Item& item = At(batch.items, k);
      if (!AllFinite(out.block, b)) {
        throw Error(ErrorCode::kUnsupported,
                    "{}: what neurons do on this picture is not finite; the model's activations "
                    "overflow on it: check the weights",
                    item.path);
      }
      At(out.items, b) = std::move(item);
      At(read, b) = 1;
    }
  });
  out.oriented = errors.oriented();
  out.skipped = errors.skipped();
  out.incomplete = errors.incomplete();
  if (out.skipped.empty()) return out;
  std::vector<Index> kept;
  std::vector<Item> items;
  for (std::size_t b = 0; b < read.size(); ++b) {
    if (read[b] == 0) continue;
    kept.push_back(static_cast<Index>(b));
    items.push_back(std::move(out.items[b]));
  }
  out.block = SelectPictures(out.block, kept);
  out.items = std::move(items);
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
void AddNeuronRanges(const ClipModel& model, const ImageSet& set, const CollectOptions& options,
                     const StoreInfo& info, std::span<const NeuronPaths> paths, StoreWriter& writer,
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
  PictureLoop loop(
      model, set,
      {.captures = NeuronPaths::CapturesFor(options.layers), .threads = options.threads});
  for (Index r = first; r < end; ++r) {
    const auto done = writer.done().find(r);
    if (done != writer.done().end() &&
        (!done->second.shard || writer.IsWhole(*done->second.shard))) {
      ++result.resumed_ranges;
      progress.Skip(end_of(r) - begin_of(r));
      continue;
    }
    NeuronRange range =
        CollectRange(paths, loop, begin_of(r), end_of(r), options.on_error, progress);
    result.oriented += range.oriented;
    std::ranges::move(range.incomplete, std::back_inserter(result.incomplete));
    writer.AddRange(r, TensorsOf(range.block, paths), range.items, std::move(range.skipped));
  }
}

CollectResult RunCollection(const ClipModel& model, const ImageSet& set,
                            const CollectOptions& options, const StoreInfo& info) {
  const int threads = ResolveThreads(options.threads);
  model.PrepareForImages(threads);
  std::vector<NeuronPaths> paths;
  for (Index l = options.layers.begin; l < options.layers.end; ++l) {
    paths.emplace_back(model.image_tower(), model.image_readout(), l, threads);
  }
  StoreWriter writer(
      options.out, info,
      options.resume ? PartialDirectory::Mode::kResume : PartialDirectory::Mode::kNew,
      "go on with it by --resume, or remove it",
      [&](const fs::path& file) { WriteNeuronBasis(file, paths); });
  CollectResult result{.top = info.neurons->top};
  try {
    AddNeuronRanges(model, set, options, info, paths, writer, result);
    const std::vector<NeuronShard> shards = ShardsOf(writer);
    result.pictures = PicturesOf(shards);
    result.shards = std::ssize(shards);
    for (const auto& [number, range] : writer.done()) {
      result.skipped.insert(result.skipped.end(), range.skipped.begin(), range.skipped.end());
    }
    if (result.pictures == 0 && !info.part) {
      writer.Drop();
      throw Error(ErrorCode::kCorruptData, "{}: none of the pictures can be read; the first: {}",
                  set.root(), result.skipped.empty() ? "" : result.skipped.front().message);
    }
    // Directions are those of the basis as it is stored.
    std::vector<NeuronPaths> stored;
    if (!info.part) {
      stored = ReadNeuronBasis(writer.path() / kBasisFile, options.layers,
                               model.image_tower().config().heads);
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

}  // namespace

CollectResult CollectNeurons(const ClipModel& model, const ImageSet& set,
                             const CollectOptions& options) {
  constexpr Index kTenth = 10;
  if (set.size() < 2) {
    throw Error(ErrorCode::kPrecondition,
                "{}: {} pictures; what a neuron does varies over two at least", set.root(),
                set.size());
  }
  StoreInfo info = DescribeRun(model, set, options.shard_images, options.part);
  const Index top = options.top.value_or(std::clamp<Index>(set.size() / kTenth, 2, kTopPictures));
  if (top > set.size() || top < 1) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: the {} pictures of largest effect are asked for, and it has {}; give --top a "
                "number from 1 to {}",
                set.root(), top, set.size(), set.size());
  }
  info.neurons = {options.layers, top};
  std::error_code ignored;
  if (options.resume && fs::exists(options.out, ignored)) {
    const NeuronStore store = NeuronStore::Open(options.out);
    CheckSameRun(info, store.info(), options.out.string());
    CollectResult result{.pictures = store.pictures(), .top = top, .complete_already = true};
    for (const SkippedItem& skipped : store.info().skipped) {
      result.skipped.push_back(skipped.picture);
    }
    return result;
  }
  return RunCollection(model, set, options, info);
}

void MergeNeuronStores(std::span<const fs::path> inputs, const fs::path& output, int threads,
                       const ProgressSink& progress) {
  const MergePlan plan = PlanMerge(inputs, StoreKind::kNeurons);
  const fs::path& first = plan.inputs.front().directory;
  CheckHash(first / kBasisFile, plan.inputs.front().manifest.basis_checksum);
  const std::vector<NeuronPaths> paths = NeuronStore::Open(first).AllPaths();
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
