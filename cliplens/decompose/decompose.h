// Decomposes a set of pictures into a store, with one forward pass a picture and flat memory.
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
#include "cliplens/decompose/factor_sink.h"
#include "cliplens/decompose/store_info.h"
#include "cliplens/model/encoder.h"
#include "cliplens/model/picture_loop.h"

namespace cliplens {

// Turns captures into factors (docs/design.md, "Factored form"). Immutable and shared by all
// threads. Refers to the read-out.
class Decomposer {
 public:
  Decomposer(const Readout& readout, int threads);

  const Basis& basis() const { return basis_; }

  // Memory of one thread, kept between calls.
  struct Scratch {
    std::vector<float> rows, factors;
    std::vector<double> u;
  };

  // Fills row `b` of the block from a pass with FactorCaptures and its unit embedding. Rows are
  // independent: no number of a row depends on the others, and they may be filled at the same time.
  // Without z_self, as of a model without a class token, there is no part of its own attention.
  // Throws Error(kInvalidArgument) for captures of other layers or sizes than the read-out's.
  void Fill(const Captures& captures, std::span<const float> embedding, Scratch& scratch,
            FactorBlock& block, Index b) const;

 private:
  const Readout& readout_;
  Basis basis_;
};

// A range of a set's pictures.
struct RangeRequest {
  Index range = 0;
  Index begin = 0, end = 0;  // pictures of the set
  StoreType type = StoreType::kF32;
  OnError on_error = OnError::kStop;
};
// The factors of one range. The numbers depend on the arguments alone. `loop` must capture
// FactorCaptures.
FactorRange DecomposeRange(const Decomposer& decomposer, PictureLoop& loop,
                           const RangeRequest& request, ProgressCount& progress);

struct DecomposeOptions {
  std::filesystem::path out;
  bool stats_only = false;
  StoreType type = StoreType::kF32;
  Index slices = kDefaultSlices;
  Index shard_images = kShardImages;
  std::optional<StorePart> part = {};  // of the set; all of it otherwise
  bool resume = false;                 // goes on with what an interrupted run left
  bool keep_on_error = true;           // leaves what is done for a run with `resume`
  OnError on_error = OnError::kStop;
  int threads = 0;
  ProgressSink progress = {};
};

struct DecomposeResult {
  Index images = 0;
  Index shards = 0;
  Index resumed_ranges = 0;       // that an interrupted run had done
  bool complete_already = false;  // the store was there, and is verified
  std::vector<SkippedPicture> skipped;
  std::vector<SkippedPicture> incomplete;  // were read, and lack attributes; their index is -1
  CertificateSummary certificate;
  Index oriented = 0;  // PictureErrors::oriented, of the pictures that this run read
};

// Decomposes the pictures of `set`. The store's bytes depend on the encoder, the pictures and the
// options that say what is stored, never on threads, on parts (once merged) or on interruptions.
//
// After an error the finished ranges stay in `OUT.partial` for a run with `resume`, and the message
// says so. Nothing stays if no range is finished or without `keep_on_error`. Throws as StoreWriter,
// a picture's own error with OnError::kStop or when no picture can be read, and
// Error(kInvalidArgument) if the set has fewer shards than `part` has parts.
DecomposeResult Decompose(const ImageEncoder& encoder, const ImageSet& set,
                          const DecomposeOptions& options);

}  // namespace cliplens
