#include "cliplens/decompose/decompose.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/decompose/factor_block.h"
#include "cliplens/decompose/factor_sink.h"
#include "cliplens/decompose/manifest.h"
#include "cliplens/decompose/verify.h"
#include "cliplens/io/output_files.h"
#include "cliplens/io/printable.h"
#include "cliplens/model/nn/matmul.h"
#include "cliplens/model/picture_loop.h"

namespace cliplens {

Decomposer::Decomposer(const Readout& readout, int threads)
    : readout_(readout), basis_(MakeBasis(readout, threads)) {}

namespace {

void CheckCaptures(const Captures& captures, const Basis& basis) {
  const Shape<3> heads = {basis.layers(), basis.num_heads(), basis.head_width()};
  if (captures.z.shape() == heads &&
      (captures.z_self.empty() || captures.z_self.shape() == heads) &&
      captures.parts.dim(0) == basis.components().num_residual()) {
    return;
  }
  throw Error(ErrorCode::kInvalidArgument,
              "factors: captures of {} layers x {} heads of {} numbers and {} parts for a read-out "
              "of {} x {} of {} and {}; ask the encoder for FactorCaptures()",
              captures.z.dim(0), captures.z.dim(1), captures.z.dim(2), captures.parts.dim(0),
              basis.layers(), basis.num_heads(), basis.head_width(),
              basis.components().num_residual());
}

}  // namespace

void Decomposer::Fill(const Captures& c, std::span<const float> embedding, Scratch& scratch,
                      FactorBlock& block, Index b) const {
  CheckCaptures(c, basis_);
  const Index layers = basis_.layers();
  const Index heads = basis_.num_heads();
  const Index embed_width = basis_.embed_width();
  for (Index l = 0; l < layers; ++l) {
    for (Index h = 0; h < heads; ++h) {
      std::ranges::copy(c.z[l].row(h), block.head_z.view()[l][h].row(b).data());
    }
  }
  block.ln(b, 0) = static_cast<float>(c.scale.mean);
  block.ln(b, 1) = static_cast<float>(c.scale.sigma);
  block.ln(b, 2) = static_cast<float>(c.scale.norm);
  std::ranges::copy(embedding, block.embedding.row(b).data());

  scratch.rows.resize(ToSize(c.parts.dim(0) * embed_width));
  const ArrayView<float, 2> parts(scratch.rows.data(), {c.parts.dim(0), embed_width});
  readout_.PartContributions(c.parts, c.scale, parts);
  for (Index j = 0; j < parts.dim(0); ++j) {
    std::ranges::copy(parts.row(j), block.mlp[j].row(b).data());
  }

  if (c.z_self.empty()) return;  // no class token
  // The class token's attention to itself: Σ_h u^T B with 1/N of the layer's constants. The heads'
  // matrices of a layer stand one below the other, so the sum over heads is one product.
  const FactorLayout layout = basis_.layout();
  if (layout.constants == 0) {  // contributions, which add up
    for (Index l = 0; l < layers; ++l) {
      const std::span<float> sum = block.cls_attn[l].row(b);
      for (Index h = 0; h < heads; ++h) {
        std::ranges::transform(sum, c.z_self[l].row(h), sum.begin(), std::plus<>());
      }
    }
    return;
  }
  const auto tokens = static_cast<double>(readout_.tokens());
  std::vector<double>& u = scratch.u;
  std::vector<float>& factors = scratch.factors;
  u.resize(ToSize(layout.width()));
  factors.resize(ToSize(heads * layout.width()));
  for (Index l = 0; l < layers; ++l) {
    for (Index h = 0; h < heads; ++h) {
      layout.Fill(c.z_self[l].row(h), c.scale, u);
      float* factor = factors.data() + h * layout.width();
      for (Index k = 0; k < layout.width(); ++k) {
        factor[k] = static_cast<float>(k < layout.values ? At(u, k) : At(u, k) / tokens);
      }
    }
    nn::Gemm({.m = 1,
              .n = embed_width,
              .k = heads * layout.width(),
              .a = factors.data(),
              .a_stride = heads * layout.width(),
              .b = basis_.heads.view()[l].data(),
              .b_stride = embed_width,
              .c = block.cls_attn[l].row(b).data(),
              .c_stride = embed_width});
  }
}

namespace {

void CheckFinite(const FactorBlock& block, Index b, const std::string& path, StoreType type) {
  if (IsFinite(block, b)) return;
  const bool halves = type == StoreType::kF16;
  throw Error(
      ErrorCode::kUnsupported, "{}: the contributions of this picture are not finite in {}; {}",
      path, NameOf(type),
      halves ? "store them as fp32" : "the model's activations overflow on it: check the weights");
}

}  // namespace

FactorRange DecomposeRange(const Decomposer& decomposer, PictureLoop& loop,
                           const RangeRequest& request, ProgressCount& progress) {
  FactorRange out{.range = request.range,
                  .block = MakeBlock(decomposer.basis().sizes(), request.end - request.begin)};
  PictureRange read = loop.RunRange(
      request.begin, request.end, request.on_error, progress, [&](const PictureBatch& batch) {
        Decomposer::Scratch scratch;
        for (Index k = 0; k < batch.size(); ++k) {
          const Index b = At(batch.index, k) - request.begin;
          decomposer.Fill(At(batch.captures, k), batch.embeddings.row(k), scratch, out.block, b);
          // What is stored is what is measured: a store of halves has the statistics and the
          // certificate of its halves.
          if (request.type == StoreType::kF16) RoundToHalf(out.block, b);
          CheckFinite(out.block, b, At(batch.items, k).path, request.type);
        }
      });
  if (!read.skipped.empty()) out.block = SelectRows(out.block, read.kept);
  out.items = std::move(read.items);
  out.skipped = std::move(read.skipped);
  out.oriented = read.oriented;
  return out;
}

namespace {

[[noreturn]] void ThrowNoneRead(const SinkSummary& summary, const std::string& root, Index images) {
  if (summary.skipped.empty()) throw Error(ErrorCode::kInternal, "{}: no pictures", root);
  throw Error(ErrorCode::kCorruptData, "{}: none of {} pictures can be read; the first: {}", root,
              images, summary.skipped.front().message);
}

// While the pictures of one range are computed, the range before is summed and written, by the
// threads that compute, so no more threads run than were asked for. `keep` becomes false where what
// is done is of no use to a later run.
// Returns how many pictures carry an EXIF orientation that was left alone.
Index AddRanges(const ImageEncoder& encoder, const Decomposer& decomposer, const ImageSet& set,
                const DecomposeOptions& options, FactorSink& sink, bool& keep) {
  Index oriented = 0;
  const int threads = ResolveThreads(options.threads);
  Index images = 0;
  for (Index r = sink.first_range(); r < sink.end_range(); ++r) images += sink.ImagesOf(r);
  ProgressCount progress(options.progress, images);
  for (Index r = sink.first_range(); r < sink.next_range(); ++r) progress.Skip(sink.ImagesOf(r));

  std::unique_ptr<FactorSink::Adding> before;
  const auto check_before = [&] {
    constexpr std::size_t kMostName = 1024;
    try {
      for (std::size_t b = 0; before && b < before->items().size(); ++b) {
        CheckCertificate(before->certificates()[b], options.type,
                         Printable(before->items()[b].path, kMostName));
      }
    } catch (const Error&) {
      keep = false;
      throw;
    }
  };
  const auto run_before = [&] {
    if (before) before->Run();
  };
  const auto finish_before = [&] {
    ParallelFor(threads, threads, [&](Index, int) { run_before(); });
  };
  PictureLoop loop(encoder, set,
                   {.captures = FactorCaptures(), .before_pass = run_before, .threads = threads});
  for (Index r = sink.next_range(); r < sink.end_range(); ++r) {
    std::optional<FactorRange> range = sink.Stored(r);
    if (range) {
      finish_before();
      progress.Add(sink.ImagesOf(r));
    } else {
      const Index begin = r * options.shard_images;
      range = DecomposeRange(decomposer, loop,
                             {.range = r,
                              .begin = begin,
                              .end = begin + sink.ImagesOf(r),
                              .type = options.type,
                              .on_error = options.on_error},
                             progress);
      run_before();
    }
    check_before();
    oriented += range->oriented;
    before = std::make_unique<FactorSink::Adding>(sink, std::move(*range));
  }
  finish_before();
  check_before();
  return oriented;
}

DecomposeResult Run(const ImageEncoder& encoder, const ImageSet& set,
                    const DecomposeOptions& options, StoreInfo info) {
  const Decomposer decomposer(encoder.image_readout(), ResolveThreads(options.threads));
  const std::string root = info.data.front().root;
  FactorSink sink(options.out, decomposer.basis(), std::move(info),
                  options.resume ? PartialDirectory::Mode::kResume : PartialDirectory::Mode::kNew);
  SinkSummary summary;
  Index oriented = 0;
  bool keep = options.keep_on_error;
  try {
    oriented = AddRanges(encoder, decomposer, set, options, sink, keep);
    summary = sink.Finish();
  } catch (const Error& error) {
    if (!keep) sink.Drop();
    // The last step may fail when the store has its name already.
    if (!keep || sink.done_ranges() == 0 || !IsTaken(sink.path())) throw;
    throw Error(error.code(),
                "{}; {} of {} shards are done and stay in {}: run again with --resume",
                error.what(), sink.done_ranges(), sink.end_range() - sink.first_range(),
                sink.path().string());
  }
  if (summary.images == 0) {
    Index images = 0;
    for (Index r = sink.first_range(); r < sink.end_range(); ++r) images += sink.ImagesOf(r);
    ThrowNoneRead(summary, root, images);
  }
  return {.images = summary.images,
          .shards = summary.shards,
          .resumed_ranges = summary.resumed_ranges,
          .skipped = std::move(summary.skipped),
          .incomplete = std::move(summary.incomplete),
          .certificate = summary.certificate,
          .oriented = oriented};
}

// The store exists: checks that it is of the same run, and whole.
DecomposeResult CheckComplete(const StoreInfo& wanted, const DecomposeOptions& options) {
  const Manifest manifest = ReadManifest(options.out);
  CheckSameRun(wanted, manifest.info, options.out.string());
  VerifyOptions check;
  check.threads = options.threads;
  const std::vector<Problem> problems = VerifyStore(options.out, check);
  if (!problems.empty()) {
    throw Error(problems.front().code, "{}; remove {} and run again", problems.front().message,
                options.out.string());
  }
  DecomposeResult result;
  result.images = manifest.info.images;
  result.shards = static_cast<Index>(manifest.shards.size());
  result.complete_already = true;
  for (const SkippedItem& skipped : manifest.info.skipped) {
    result.skipped.push_back(skipped.picture);
  }
  result.certificate = manifest.info.certificate;
  return result;
}

}  // namespace

DecomposeResult Decompose(const ImageEncoder& encoder, const ImageSet& set,
                          const DecomposeOptions& options) {
  StoreInfo info = DescribeRun(encoder, set, options.shard_images, options.part);
  info.factor_constants = encoder.image_readout().factor().constants;
  info.level = encoder.image_readout().components().level();
  info.type = options.type;
  info.stats_only = options.stats_only;
  info.slices = options.slices;
  std::error_code ignored;
  if (options.resume && std::filesystem::exists(options.out, ignored)) {
    return CheckComplete(info, options);
  }
  return Run(encoder, set, options, std::move(info));
}

}  // namespace cliplens
