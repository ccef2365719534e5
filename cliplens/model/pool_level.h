// The level of an attention pool: the embedding as a sum of the pool's own heads.
//
//   ClipModel model = ClipModel::Load("models/pictureworld-siglip");
//   model.UseLevel(Level::kPool);   // image_readout().components(): POOL.H0 …, POOL.MLP
//
// What the reference code of "Interpreting CLIP's Image Representation via Text-Based
// Decomposition" (arXiv 2310.05916) does with SigLIP: no layer before the pool is split. The pool
// (attention_pool.h) is an attention of one query, so it is split as a block's attention is. With
// its weights a^p_q of the Q heads, and LN the final LayerNorm,
//     z^p = Σ_q a^p_q v^p_q,   v^p_q = LN(x_q) W_V^p + b_V^p
//     e = Σ_p c_p + POOL.MLP,   c_p = (z^p W_O^p + b_O/Q) P / n,   POOL.MLP = MLP(LN(o)) P / n
// Of CoCa's pool, which has a LayerNorm behind it in place of the MLP,
//     c_p = P^T(γ ⊙ (z^p W_O^p + b_O/Q − μ/Q)/σ + β/Q) / n
// The bias of a projection is shared as β is. So the read-out is that of a tower of one layer of Q
// heads whose width is the pool's, and captures are those of such a tower: z [1, Q, K], the pattern
// a [1, Q, N], the values v [1, N, C], and parts [1, C] with a POOL.MLP, otherwise [0, C].
#pragma once

#include <span>

#include "cliplens/base/array.h"
#include "cliplens/base/component.h"
#include "cliplens/model/attention_pool.h"
#include "cliplens/model/captures.h"
#include "cliplens/model/checkpoint.h"
#include "cliplens/model/config.h"
#include "cliplens/model/readout.h"

namespace cliplens {

// The terms of the sum at a level; the model has an attention pool if it is that of the pool.
Components TermsOf(const ModelConfig& config, Level level);

// Immutable and shared by all threads. Refers to the pool.
class PoolLevel {
 public:
  // The pool of the image tower and what stands behind it.
  PoolLevel(const ModelConfig& config, const TensorMap& tensors, const AttentionPool& pool);
  PoolLevel(const PoolLevel&) = delete;
  PoolLevel& operator=(const PoolLevel&) = delete;

  const Readout& readout() const { return readout_; }

  // Throws Error(kUnsupported) for captures of the blocks, which have no part at this level.
  void CheckRequest(const CaptureRequest& request) const;
  // From rows [N, D] behind the last block to the pooled row [C] and what `request` names; without
  // a class token there is no z_self. `captures` may be null.
  void Pool(ArrayView<const float, 2> rows, const CaptureRequest& request, Captures* captures,
            std::span<float> pooled) const;

 private:
  const AttentionPool& pool_;
  bool class_token_;
  TensorMap tensors_;  // of a tower of one layer, under its names
  Readout readout_;
};

}  // namespace cliplens
