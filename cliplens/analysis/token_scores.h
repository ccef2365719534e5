// Scores of texts split over the tokens that attention reads, from one forward pass.
//
//   const TokenWeights weights(model.image_readout(), texts, /*threads=*/0);   // texts [M, E]
//   Captures captures;
//   model.EmbedImages({&pixels, 1}, rows, workspace, TokenCaptures(), {&captures, 1});
//   const TokenScores scores = ScoreTokens(weights, captures, {}, /*threads=*/1);
//   scores.tokens(2, 5);            // what token 5 adds to ⟨e, t_2⟩ through the chosen heads
//   RestOf(scores, 2);              // the rest of ⟨e, t_2⟩
//
// "Interpreting CLIP's Image Representation via Text-Based Decomposition" (arXiv 2310.05916),
// sections 3.1 and 5: through head (l, h), token i adds
//     ⟨c_{l,h,i}, t⟩ = [α_i v_i · W^h t + p_b·t/(HN) − μ p_γ·t/(JHN) + σ p_β·t/(JHN)] / (σ n)
// with W^h t = W_O^h diag(γ) P t and constants shared as in docs/design.md, "The sum". W^h t
// depends on weights and texts alone and is computed once, so that a picture costs little more than
// its forward pass, however many texts there are. The text tower is split by the same formulas: its
// pooled row is the end of the text, and N counts the tokens up to there.
//
// Sums are in fp64 with the bits of nn::Product: the same for any number of threads, for any other
// directions beside one, and exactly negated for a negated direction.
#pragma once

#include <span>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/base/component.h"
#include "cliplens/base/linear_algebra.h"
#include "cliplens/model/captures.h"
#include "cliplens/model/readout.h"

namespace cliplens {

struct TokenScores;
struct TokenScoresOptions;

// The weights' part of the scores of some directions of the joint space.
class TokenWeights {
 public:
  // directions [M, E]. Memory: L · M · D doubles. Throws Error(kInvalidArgument) for another width
  // than the model's or no direction. The read-out must outlive this.
  TokenWeights(const Readout& readout, ArrayView<const float, 2> directions, int threads);

  Index directions() const { return directions_; }
  Components components() const { return readout_->components(); }
  Index output_width() const { return readout_->config().output_width(); }

 private:
  friend struct TokenScorer;
  friend TokenScores ScoreTokens(const TokenWeights& weights, const Captures& captures,
                                 const TokenScoresOptions& options, int threads);

  const Readout* readout_;
  Index directions_;
  ReadoutDirections against_;
  Array<float, 2> text_;  // the directions, where captures hold contributions
};

enum class TokenDetail {
  kSum,     // TokenScores::tokens alone
  kLayers,  // and the chosen heads of each layer
  kHeads,   // and each chosen head
};

inline constexpr Index kNoPooledToken = -1;

struct TokenScores {
  std::vector<HeadId> chosen;  // sorted
  Components components;
  // The token whose row is the embedding: 0, or the end of a text. Of pictures without a class
  // token none.
  Index pooled = 0;
  Index registers = 0;       // the tokens behind that one which are registers
  Array<double, 2> tokens;   // [M, N] over the chosen heads
  Array<double, 3> detail;   // [L, M, N] or [chosen, M, N], or empty
  Array<double, 2> by_head;  // [L·H, M] every head of the model, its tokens summed
  Array<double, 2> mlps;     // [L+1, M] INPUT, MLP 0 …; POOL.MLP behind an attention pool
};

// `directions`: which of the weights' (all when empty), in this order; M is their number then.
// `heads`: all of the model when empty. `pooled`: the pooled token or kNoPooledToken. `registers`:
// of the tokens pooled + 1 and on, how many are registers (ModelConfig::registers). Throws
// Error(kInvalidArgument) for captures without tokens or of another model, a head or a direction
// that is not there.
struct TokenScoresOptions {
  std::span<const HeadId> heads = {};
  std::span<const Index> directions = {};
  TokenDetail detail = TokenDetail::kSum;
  Index pooled = 0;
  Index registers = 0;
  bool rest = true;  // fill by_head and mlps, which RestOf and SumOf read
};
TokenScores ScoreTokens(const TokenWeights& weights, const Captures& captures,
                        const TokenScoresOptions& options, int threads);

// What a direction's score gets from anything but patches, or the words of a text.
struct ScoreRest {
  double pooled_token = 0;  // the pooled token's own share, through the chosen heads
  double registers = 0;     // that of the registers; 0 without any
  double mlps = 0;          // of the blocks
  double pool_mlp = 0;      // POOL.MLP; 0 without one
  double input = 0;
  double other_heads = 0;  // those that were not chosen
  double sum() const { return pooled_token + registers + mlps + pool_mlp + input + other_heads; }
};
ScoreRest RestOf(const TokenScores& scores, Index direction);

// Σ of everything: ⟨e, t⟩ up to rounding.
double SumOf(const TokenScores& scores, Index direction);

// Readout::TokenContributions, [N+2, E]. Throws Error(kInvalidArgument) as ScoreTokens.
Array<float, 2> TokenContributions(const Readout& readout, const Captures& captures);

}  // namespace cliplens
