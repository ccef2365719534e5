// A CLIP model: pictures and texts to unit vectors of one space.
//
//   const ClipModel model = ClipModel::Load("models/pictureworld");
//   Workspace workspace;
//   std::vector<float> e(model.config().embed_width);
//   model.EmbedImage(Preprocess(DecodeImage(bytes, name), model.config().preprocess), e,
//   workspace); Array<float, 2> texts = model.EmbedTexts(pool.texts, /*truncate=*/false,
//   /*threads=*/0);
#pragma once

#include <filesystem>
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
  static ClipModel Load(const std::filesystem::path& directory);
  explicit ClipModel(Checkpoint checkpoint);

  const ModelConfig& config() const { return checkpoint_->config; }
  const std::string& name() const { return checkpoint_->name; }
  const std::string& fingerprint() const { return checkpoint_->fingerprint; }
  const std::filesystem::path& directory() const { return checkpoint_->directory; }
  const TensorMap& tensors() const { return checkpoint_->tensors; }
  const Tokenizer& tokenizer() const;
  double logit_scale() const;  // exp of the stored logarithm

  // pixels [3, S, S] as Preprocess gives them → embedding [E]. `activations` may be null.
  void EmbedImage(ArrayView<const float, 3> pixels, std::span<float> embedding,
                  Workspace& workspace, Activations* activations = nullptr) const;

  // One text's tokens → embedding [E]. Nothing is computed for padding: N = end position + 1.
  void EmbedText(const Tokens& tokens, std::span<float> embedding, Workspace& workspace,
                 Activations* activations = nullptr) const;

  // Texts → tokens. A text past the context is cut as the reference does with `truncate`, otherwise
  // it is an Error(kInvalidArgument) that quotes it.
  std::vector<Tokens> TokenizeTexts(std::span<const std::string> texts, bool truncate,
                                    int threads) const;

  // Texts → [M, E], each on one thread.
  Array<float, 2> EmbedTexts(std::span<const std::string> texts, bool truncate, int threads,
                             const ProgressSink& progress = {}) const;

 private:
  std::unique_ptr<Checkpoint> checkpoint_;
  Tower vision_;
  Tower text_;
  struct LazyTokenizer;
  std::shared_ptr<LazyTokenizer> tokenizer_;
};

}  // namespace cliplens
