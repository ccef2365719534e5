// Heat maps: where in a picture its agreement with a text comes from.
//
//   const TokenPass pass = PassOf(model, picture, /*threads=*/0);
//   const std::vector<HeatMap> maps = HeatMaps(model, pass, texts, heads, /*threads=*/0);
//   Print(maps[0].score, maps[0].grid(0, 0), maps[0].rest.mlps);   // Σ grid + rest = score
//   const HeatMap contrast = Difference(maps[0], maps[1]);
//
// "Interpreting CLIP's Image Representation via Text-Based Decomposition" (arXiv 2310.05916),
// section 5: the score of each patch, summed over heads. Nothing is clipped or scaled: a map is in
// the units of the score, a cosine.
#pragma once

#include <span>
#include <vector>

#include "cliplens/analysis/token_scores.h"
#include "cliplens/base/array.h"
#include "cliplens/base/component.h"
#include "cliplens/io/image.h"
#include "cliplens/model/clip.h"

namespace cliplens {

// One picture's or text's forward pass.
struct TokenPass {
  Captures captures;
  Array<float, 2> embedding;  // [1, E], unit
  Index pooled = 0;           // the token whose row is the embedding; kNoPooledToken: none
  Index registers = 0;        // the tokens behind it that are registers
  Tokens tokens;              // of a text
};
TokenPass PassOf(const ClipModel& model, const Image& picture, int threads,
                 const std::string& name = "the picture",
                 const CaptureRequest& captures = TokenCaptures());
// Throws as ClipModel::TokenizeTexts.
TokenPass PassOf(const ClipModel& model, const std::string& text, int threads,
                 bool truncate = false, const CaptureRequest& captures = TokenCaptures());

struct HeatMap {
  double score = 0;       // ⟨e, w⟩ of the embedding that the forward pass gives
  Array<double, 2> grid;  // [g, g] what each patch adds through the chosen heads
  ScoreRest rest;         // the part of the score that comes from no patch through them

  double grid_sum() const;
  double sum() const { return grid_sum() + rest.sum(); }  // the score up to rounding
};

// One map for each direction [M, E], through `heads` (all when empty). Throws as TokenWeights and
// ScoreTokens. The same to the bit for any number of threads and beside any other directions.
std::vector<HeatMap> HeatMaps(const ClipModel& model, const TokenPass& pass,
                              ArrayView<const float, 2> directions, std::span<const HeadId> heads,
                              int threads);

// The map of w_a − w_b, number by number: exactly −Difference(b, a).
// Throws Error(kInvalidArgument) for maps of different sizes.
HeatMap Difference(const HeatMap& a, const HeatMap& b);

// The mean of maps, which is the map of their directions' mean.
HeatMap MeanOf(std::span<const HeatMap> maps);

}  // namespace cliplens
