// A CLIP model maps pictures and texts to unit vectors of one space.
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
#include "cliplens/model/conv_stem.h"
#include "cliplens/model/encoder.h"
#include "cliplens/model/pool_level.h"
#include "cliplens/model/text_rows.h"
#include "cliplens/model/token_pool.h"
#include "cliplens/model/tokenizer.h"
#include "cliplens/model/tower.h"

namespace cliplens {

// What turns a cosine into a score: scale · cos + bias. A model with a bias was trained to say of
// each text by itself whether it fits, sigmoid(score); others to choose among texts, by a softmax.
struct LogitRule {
  double scale = 100;
  std::optional<double> bias = {};
};

class ClipModel : public ImageEncoder {
 public:
  // See LoadCheckpoint. The tokenizer is read at its first use, so pictures need none. Without
  // `with_text` the model embeds pictures alone, and takes memory for the image tower alone.
  // Error(kUnsupported) for bfloat16 on a processor without it.
  static ClipModel Load(const std::filesystem::path& path, Precision precision = Precision::kF32,
                        const std::string& architecture = "", const std::string& weights = "",
                        const PictureChoice& pictures = {}, bool with_text = true);
  explicit ClipModel(Checkpoint checkpoint, Precision precision = Precision::kF32);

  EncoderIdentity identity() const override;
  const ModelConfig& config() const override { return checkpoint_->config; }
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
  double logit_scale() const;  // exp of the stored logarithm; 100 where there is none
  LogitRule logits() const;    // that, and the bias if there is one

  // From now on pictures are split at this level (pool_level.h). Throws Error(kUnsupported) for the
  // pool's where the model has no attention pool.
  void UseLevel(Level level);

  const Readout& image_readout() const override {
    return level_ ? level_->readout() : vision_readout_;
  }
  // Throw Error(kUnsupported) for a model whose text tower is not evaluated.
  const Readout& text_readout() const;
  // The towers, for analyses that need a layer's weights (Tower::Weight, NormGain).
  // Throws Error(kUnsupported) at the level of the pool, where the blocks have no part.
  const Tower& image_tower() const;
  const Tower& text_tower() const;

  // From now on texts have these rows, and the text tower is not asked. Throws
  // Error(kInvalidArgument) for rows of another width than the embedding's.
  void UseTextRows(TextRows rows);
  const TextRows* text_rows() const { return text_rows_.get(); }
  // What tells rows of texts of this model from those of others: the fingerprint, or that and the
  // digest of the rows in use.
  std::string text_fingerprint() const;

  // Pictures of a batch, chosen by measurement (docs/speed.md). One on processors where a picture's
  // numbers would depend on the others of its batch.
  Index images_a_pass() const override;
  void PrepareForImages(int threads) const override { vision_.Pack(threads); }

  void Encode(std::span<const Array<float, 3>> pixels, const CaptureRequest& request,
              const EncodeOutput& output, Workspace& workspace) const override;

  // One pass: tokens [g] → unit rows [g, E]. Nothing is computed for padding, N = end position + 1,
  // unless the model reads it. `captures` [g] or empty.
  void EmbedTokens(std::span<const Tokens> tokens, ArrayView<float, 2> embeddings,
                   Workspace& workspace, const CaptureRequest& request = {},
                   std::span<Captures> captures = {}) const;

  // The rows that a text has in a pass.
  Index RowsOf(const Tokens& tokens) const;
  // Rows of a text that no row attends to.
  std::vector<Index> HiddenKeys(const Tokens& tokens) const;

  // Texts → tokens. With `truncate` a text longer than the context is cut as the reference does.
  // Without, it is an Error(kInvalidArgument) that quotes the text.
  std::vector<Tokens> TokenizeTexts(std::span<const std::string> texts, bool truncate,
                                    int threads) const;

  // Texts → [M, E]. Throws Error(kUnsupported), which says what to do, for a model without a text
  // tower, and as TextRows::Find.
  Array<float, 2> EmbedTexts(std::span<const std::string> texts, bool truncate, int threads,
                             const ProgressSink& progress = {}) const;

 private:
  // The rows of patches [g · g², D] of pictures, without positions; in w.hidden.
  const float* EmbedPatches(std::span<const Array<float, 3>> pixels, Workspace& w) const;

  std::unique_ptr<Checkpoint> checkpoint_;
  Precision precision_;
  nn::Weights patch_;             // the patch embedding, fp32 in any precision; empty with
  std::optional<ConvStem> stem_;  // convolutions in its place
  Tower vision_;
  std::unique_ptr<const TokenPool> pool_;  // of models that pool the rows of all tokens
  std::optional<Tower> text_;              // where it is evaluated
  Readout vision_readout_;
  std::unique_ptr<const PoolLevel> level_;  // that of the pool, if it is in use
  std::optional<Readout> text_readout_;
  std::shared_ptr<const TextRows> text_rows_;
  struct LazyTokenizer;
  std::shared_ptr<LazyTokenizer> tokenizer_;
};

// Runs passes on several threads. With many items a pass takes several of them, with few items
// several threads share a pass. Keeps its threads' memory between calls.
class Passes {
 public:
  Passes(const ImageEncoder& encoder, int threads);
  ~Passes();

  using Body = std::function<void(Index begin, Index end, Workspace& workspace)>;
  // Calls body for disjoint ranges that cover [0, images), some at the same time. The first
  // exception stops the loop and is thrown to the caller.
  void ForImages(Index images, const Body& body);
  // The same for texts of a model.
  void ForTexts(const ClipModel& model, std::span<const Tokens> tokens, const Body& body);

 private:
  void Run(std::span<const Index> ends, const Body& body);

  const ImageEncoder& encoder_;
  int threads_;
  std::vector<Workspace> workspaces_;
};

}  // namespace cliplens
