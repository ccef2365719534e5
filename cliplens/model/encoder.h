// An image encoder, as the decomposition sees it: a forward pass that keeps what is asked for, and
// the read-out behind it.
//
//   Captures captures;
//   Array<float, 2> embedding({1, encoder.config().embed_width});
//   encoder.EmbedImages({&pixels, 1}, embedding, workspace, FactorCaptures(), {&captures, 1});
//
// ClipModel is one encoder. Any class that gives the same captures can take its place; the
// decomposition sees no difference.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "cliplens/base/array.h"
#include "cliplens/model/captures.h"
#include "cliplens/model/config.h"
#include "cliplens/model/readout.h"
#include "cliplens/model/tower.h"

namespace cliplens {

// Identifies an encoder. A store keeps the identity; edits and searches are checked against it.
struct EncoderIdentity {
  std::string name;            // for people
  std::filesystem::path path;  // of the directory or file
  std::string architecture;    // as it was named, empty if none was
  std::string weights;         // the same
  PictureChoice pictures;      // as they were asked for
  std::string fingerprint;     // of the weights
  Precision precision = Precision::kF32;
};

class ImageEncoder {
 public:
  virtual ~ImageEncoder() = default;

  virtual EncoderIdentity identity() const = 0;
  virtual const ModelConfig& config() const = 0;
  virtual const Readout& image_readout() const = 0;
  // Pictures of a batch.
  virtual Index images_a_pass() const = 0;
  // Prepares the weights on `threads` threads. Otherwise the first pass does it on one thread.
  virtual void PrepareForImages(int threads) const = 0;

  // One pass: pixels [g][3, S, S] as Preprocess gives them. A picture's numbers do not depend on
  // the others of the pass nor on threads. Called by several threads at once, each with a
  // workspace.
  virtual void Encode(std::span<const Array<float, 3>> pixels, const CaptureRequest& request,
                      const EncodeOutput& output, Workspace& workspace) const = 0;

  // The same, and unit rows [g, E] by the read-out. `captures` [g] or empty.
  void EmbedImages(std::span<const Array<float, 3>> pixels, ArrayView<float, 2> embeddings,
                   Workspace& workspace, const CaptureRequest& request = {},
                   std::span<Captures> captures = {}) const;
};

// Embeds the pooled rows of a pass into `embeddings` and sets the scale of its captures.
void EmbedPooled(const Readout& readout, const EncodeOutput& encoded,
                 ArrayView<float, 2> embeddings);

}  // namespace cliplens
