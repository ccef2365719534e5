// From a model and a set of pictures to a store, in one forward pass each and flat memory.
#pragma once

#include <filesystem>

#include "cliplens/base/progress.h"
#include "cliplens/dataset/image_set.h"
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

  // Fills row `b` of the block from a pass with these activations and embedding.
  void Fill(const Activations& activations, std::span<const float> embedding, FactorBlock& block,
            Index b) const;

 private:
  Basis basis_;
  Index layers_ = 0, heads_ = 0, head_width_ = 0, width_ = 0, embed_width_ = 0, tokens_ = 0;
  Array<float, 2> scaled_projection_;   // diag(γ) P [D, E]
  std::vector<float> p_gain_, p_bias_;  // P^T γ, P^T β [E]
};

// Certificate of each image of a block: ‖Σ c − e‖ / ‖e‖ [B] from the stored factors.
std::vector<double> Certify(const FactorBlock& block, const Basis& basis, int threads);

struct DecomposeOptions {
  std::filesystem::path out;
  bool stats_only = false;
  StoreType type = StoreType::kF32;
  Index slices = kDefaultSlices;
  int threads = 0;
  ProgressSink progress;
};

struct DecomposeResult {
  Index images = 0;
  Index shards = 0;
  CertificateSummary certificate;
};

// Decomposes all pictures of `set`. A picture that cannot be read stops the run with its name, and
// nothing stays on disk.
DecomposeResult Decompose(const ClipModel& model, const ImageSet& set,
                          const DecomposeOptions& options);

}  // namespace cliplens
