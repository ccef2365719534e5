// The loop over pictures: read, preprocess, encode, and give each batch to the caller.
//
//   PictureErrors errors(OnError::kSkip);
//   ProgressCount progress(sink, set.size());
//   PictureLoop loop(encoder, set, {.captures = FactorCaptures()});
//   loop.Run(0, set.size(), errors, progress, [&](const PictureBatch& batch) {
//     for (Index k = 0; k < batch.size(); ++k) Use(batch.index[k], batch.embeddings.row(k));
//   });
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/base/progress.h"
#include "cliplens/dataset/image_set.h"
#include "cliplens/dataset/on_error.h"
#include "cliplens/io/image.h"
#include "cliplens/model/clip.h"
#include "cliplens/model/preprocess.h"

namespace cliplens {

// The pictures of one batch.
struct PictureBatch {
  std::span<const Index> index;        // in the set, ascending
  std::span<Item> items;               // what the set says of them
  ArrayView<float, 2> embeddings;      // [n, E] unit rows
  std::span<const Captures> captures;  // [n], or empty where none were asked for

  Index size() const { return static_cast<Index>(index.size()); }
};

struct PictureLoopOptions {
  std::optional<CaptureRequest> captures = {};
  std::optional<PreprocessConfig> preprocess = {};  // instead of the model's own
  // Whether to encode a picture that was read. Called by several threads at once.
  std::function<bool(Index index, const Item& item, const Image& image)> wanted = {};
  std::function<void()> before_pass = {};  // called on a pass's thread before it reads
  int threads = 0;
};

// What became of the pictures of a range, in their order.
struct PictureRange {
  std::vector<Item> items;  // of the pictures that were read
  std::vector<Index> kept;  // their places in the range
  std::vector<SkippedPicture> skipped, incomplete;
  Index oriented = 0;  // PictureErrors::oriented
};

class PictureLoop {
 public:
  // Encoder and set must outlive this.
  PictureLoop(const ImageEncoder& encoder, const ImageSet& set, const PictureLoopOptions& options);

  using Use = std::function<void(const PictureBatch& batch)>;
  // Calls `use` for the batches of pictures [begin, end), from several threads at once. `errors`
  // gets the pictures that cannot be read and stops or goes on, as its policy says.
  void Run(Index begin, Index end, PictureErrors& errors, ProgressCount& progress, const Use& use);

  // Run with errors of its own. `use` fills rows of the caller's and leaves the items to this.
  PictureRange RunRange(Index begin, Index end, OnError on_error, ProgressCount& progress,
                        const Use& use);

 private:
  // Memory of one pass, kept between passes.
  struct Memory {
    std::vector<Index> index;
    std::vector<Item> items;
    std::vector<Array<float, 3>> pixels;
    Array<float, 2> embeddings;
    std::vector<Captures> captures;
  };
  void RunPass(Index begin, Index end, PictureErrors& errors, Memory& memory, Workspace& workspace,
               const Use& use) const;
  std::unique_ptr<Memory> TakeMemory();

  const ImageEncoder& encoder_;
  const ImageSet& set_;
  PictureLoopOptions options_;
  Passes passes_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Memory>> spare_;
};

}  // namespace cliplens
