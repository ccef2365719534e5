// Makes the pooled row of an item, and its captures, from the rows of all its tokens: for models
// whose embedding is not made of one token's row (ModelConfig::pool).
//
//   const TokenPool pool(model.config(), model.tensors());
//   tower.Run(items, pool.Needs(request), output, workspace);
//   pool.Pool(rows, request, captures, pooled, workspace.team);
//
// Every row at the end is a sum over components, and a pool is a weighted sum of rows once its
// weights w [Q, N] are known, at the end of the pass: a component's part of it is the same sum of
// what it added to each row. An average has one weight for each row, an attention pool Q of them.
// A mean of normed rows (x_q − μ_q)/σ_q is that of the rows with weights 1/σ_q, whose sum is 1/σ̄ n:
// (Σ_q w_q x_q − μ)/σ̄ with w_q = σ̄/(n σ_q), and μ is the mean of that row's numbers.
#pragma once

#include <optional>
#include <span>

#include "cliplens/base/array.h"
#include "cliplens/base/parallel.h"
#include "cliplens/model/attention_pool.h"
#include "cliplens/model/captures.h"
#include "cliplens/model/checkpoint.h"
#include "cliplens/model/config.h"

namespace cliplens {

// Immutable and shared by all threads. Refers to the tensors.
class TokenPool {
 public:
  // Of the image tower; its kind is not Pooling::kToken.
  TokenPool(const ModelConfig& config, const TensorMap& tensors);

  // The length of a pooled row: D, or E where the pool gives the embedding itself. The mean of
  // normed rows has one number more (Readout::Embed).
  Index pooled_width() const {
    return attention_ ? embed_width_ : tower_.width + (normed_ ? 1 : 0);
  }
  const AttentionPool* attention() const { return attention_ ? &*attention_ : nullptr; }

  // What the pass must keep of all tokens so that Pool can give `request`.
  CaptureRequest Needs(const CaptureRequest& request) const;
  // `rows`: the captures of the pass, whose arrays are swapped with those of `captures` where
  // `request` names them too. Without a class token there is no z_self.
  // `captures` may be null. `pooled` [pooled_width()].
  void Pool(Captures& rows, const CaptureRequest& request, Captures* captures,
            std::span<float> pooled, Team& team) const;

 private:
  struct Weights;
  // Heads' sums z [H, Q, K] as captures hold them, with `share` of their constants.
  void PutHeads(Index layer, ArrayView<const float, 3> z, const Weights& w, double share,
                ArrayView<float, 2> out) const;
  void PoolHeads(const Captures& rows, const Weights& w, const CaptureRequest& request,
                 Captures& captures) const;
  void PoolParts(const Captures& rows, const Weights& w, const CaptureRequest& request,
                 Captures& captures) const;
  void PoolPatterns(const Captures& rows, const Weights& w, const CaptureRequest& request,
                    Captures& captures, Team& team) const;

  TowerConfig tower_;
  TokenLayout layout_;
  Index embed_width_;
  bool normed_;
  std::optional<AttentionPool> attention_;
};

}  // namespace cliplens
