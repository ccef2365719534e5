// A CLIP model: pictures and texts to unit vectors of one space.
//
//   const ClipModel model = ClipModel::Load("models/pictureworld");
//   const Array<float, 2> texts = model.EmbedTexts(pool.texts, /*truncate=*/false, /*threads=*/0);
//
//   const std::vector<Array<float, 3>> pixels = {Preprocess(picture, model.config().preprocess)};
//   Array<float, 2> row({1, model.config().embed_width});
//   Workspace workspace(/*threads=*/1);
//   model.EmbedImages(pixels, row, workspace);           // a unit vector, as the texts are
//
// analysis/zero_shot.h embeds whole sets of pictures on all threads.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/base/progress.h"
#include "cliplens/model/checkpoint.h"
#include "cliplens/model/tokenizer.h"
#include "cliplens/model/tower.h"

namespace cliplens {

class ClipModel {
 public:
  // See LoadCheckpoint. The tokenizer is read at its first use, so pictures need none.
  // Error(kUnsupported) for bfloat16 on a processor without it.
  static ClipModel Load(const std::filesystem::path& path, Precision precision = Precision::kF32,
                        const std::string& architecture = "");
  explicit ClipModel(Checkpoint checkpoint, Precision precision = Precision::kF32);

  const ModelConfig& config() const { return checkpoint_->config; }
  const std::string& name() const { return checkpoint_->name; }
  const std::string& fingerprint() const { return checkpoint_->fingerprint; }
  // The directory or file that was loaded, and the architecture that was named for it.
  const std::filesystem::path& path() const { return checkpoint_->path; }
  const std::string& architecture() const { return checkpoint_->architecture; }
  const std::string& layout() const { return checkpoint_->layout; }
  const std::vector<std::filesystem::path>& files() const { return checkpoint_->files; }
  Precision precision() const { return precision_; }
  // Shapes of all tensors, and the values of those that the towers do not keep to themselves (see
  // Tower): vectors, embeddings, projections and the attentions' output matrices.
  const TensorMap& tensors() const { return checkpoint_->tensors; }
  const Tokenizer& tokenizer() const;
  double logit_scale() const;  // exp of the stored logarithm

  // Pictures that one pass takes: as many as fill the products' rows (chosen by measurement, see
  // docs/speed.md), one where a processor's products do not keep items apart.
  Index images_a_pass() const;

  // One pass: pixels [g][3, S, S] as Preprocess gives them → unit rows [g, E]. `activations` [g] or
  // empty. A picture's numbers do not depend on the others of the pass nor on threads.
  void EmbedImages(std::span<const Array<float, 3>> pixels, ArrayView<float, 2> embeddings,
                   Workspace& workspace, std::span<Activations> activations = {}) const;

  // One pass: tokens [g] → unit rows [g, E]. Nothing is computed for padding: N = end position + 1.
  void EmbedTokens(std::span<const Tokens> tokens, ArrayView<float, 2> embeddings,
                   Workspace& workspace, std::span<Activations> activations = {}) const;

  // Texts → tokens. A text past the context is cut as the reference does with `truncate`, otherwise
  // it is an Error(kInvalidArgument) that quotes it.
  std::vector<Tokens> TokenizeTexts(std::span<const std::string> texts, bool truncate,
                                    int threads) const;

  // Texts → [M, E].
  Array<float, 2> EmbedTexts(std::span<const std::string> texts, bool truncate, int threads,
                             const ProgressSink& progress = {}) const;

 private:
  friend class Passes;

  std::unique_ptr<Checkpoint> checkpoint_;
  Precision precision_;
  nn::Weights patch_;  // the patch embedding, fp32 in any precision
  Tower vision_;
  Tower text_;
  struct LazyTokenizer;
  std::shared_ptr<LazyTokenizer> tokenizer_;
};

// Shares items out in passes over threads: several items a pass where there are many, several
// threads a pass where there are few. Keeps its threads' memory between calls.
class Passes {
 public:
  Passes(const ClipModel& model, int threads);
  ~Passes();

  using Body = std::function<void(Index begin, Index end, Workspace& workspace)>;
  // Calls body for disjoint ranges that cover [0, images), some at the same time. The first
  // exception stops the loop and is thrown to the caller.
  void ForImages(Index images, const Body& body);
  // The same for texts, ranges of which fill the products' rows.
  void ForTexts(std::span<const Tokens> tokens, const Body& body);

 private:
  void Run(std::span<const Index> ends, const Body& body);

  const ClipModel& model_;
  int threads_;
  std::vector<Workspace> workspaces_;
};

}  // namespace cliplens
