// From a model and a set of pictures to a store, in one forward pass each and flat memory.
//
//   const std::unique_ptr<ImageSet> set = OpenImageSet("pictures/");
//   DecomposeOptions options;
//   options.out = "store/";
//   const DecomposeResult result = Decompose(model, *set, options);
//   Print(result.images, result.certificate.max);   // how far the sum is off, at most
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include "cliplens/base/progress.h"
#include "cliplens/dataset/image_set.h"
#include "cliplens/dataset/on_error.h"
#include "cliplens/decompose/basis.h"
#include "cliplens/decompose/statistics.h"
#include "cliplens/decompose/store.h"
#include "cliplens/model/clip.h"

namespace cliplens {

// Turns one forward pass into factors (DESIGN §2.2). Immutable and shared by all threads.
class Decomposer {
 public:
  explicit Decomposer(const ClipModel& model, int threads);

  const Basis& basis() const { return basis_; }

  // Memory of one thread, kept between calls.
  struct Scratch {
    std::vector<float> rows, factors;
    std::vector<double> u;
  };

  // Fills row `b` of the block from a pass with these activations and embedding. Rows are
  // independent: no number of a row depends on the others, and they may be filled at the same time.
  void Fill(const Activations& activations, std::span<const float> embedding, Scratch& scratch,
            FactorBlock& block, Index b) const;

 private:
  Basis basis_;
  Index layers_ = 0, heads_ = 0, head_width_ = 0, width_ = 0, embed_width_ = 0, tokens_ = 0;
  Array<float, 2> scaled_projection_;   // diag(γ) P [D, E]
  std::vector<float> p_gain_, p_bias_;  // P^T γ, P^T β [E]
};

struct DecomposeOptions {
  std::filesystem::path out;
  bool stats_only = false;
  StoreType type = StoreType::kF32;
  Index slices = kDefaultSlices;
  Index shard_images = kShardImages;
  std::optional<StorePart> part;  // of the set; all of it otherwise
  bool resume = false;            // goes on with what an interrupted run left
  bool keep_on_error = true;      // leaves what is done for a run with `resume`
  OnError on_error = OnError::kStop;
  int threads = 0;
  ProgressSink progress;
};

struct DecomposeResult {
  Index images = 0;
  Index shards = 0;
  Index resumed_ranges = 0;       // that an interrupted run had done
  bool complete_already = false;  // the store was there, and is verified
  std::vector<SkippedPicture> skipped;
  CertificateSummary certificate;
};

// Decomposes the pictures of `set`. The store's bytes depend on the model, the pictures and the
// options that say what is stored, never on threads, on parts (once merged) or on interruptions.
//
// An error leaves the ranges that are done in `OUT.partial` for a run with `resume`, and its
// message says so; nothing stays if none is, or without `keep_on_error`. Beside the errors of
// StoreWriter: a picture's own error, with its name, with OnError::kStop or when none can be read;
// kInvalidArgument for a part of more parts than the set has shards.
DecomposeResult Decompose(const ClipModel& model, const ImageSet& set,
                          const DecomposeOptions& options);

}  // namespace cliplens
