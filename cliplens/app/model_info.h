// What a model is made of: sizes, parameters, and the numerical rank of each head.
//
//   const ModelInfo info = DescribeModel(model, threads);
//   Print(info.name, info.parameters, info.ranks(0, 0));
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/model/clip.h"

namespace cliplens {

struct ModelInfo {
  std::string name;
  std::string layout;
  std::vector<std::string> files;
  std::string fingerprint;
  ModelConfig config;
  double logit_scale = 0;
  std::optional<double> logit_bias = {};
  Index parameters = 0, vision_parameters = 0, text_parameters = 0;
  Index factor_width = 0;  // K+3, which no rank exceeds; E behind an attention pool
  // [L, H] numerical rank of each head's contributions; behind an attention pool the bound min(Q·K,
  // E) for all.
  Array<Index, 2> ranks;
};
// Throws as MakeBasis.
ModelInfo DescribeModel(const ClipModel& model, int threads);

}  // namespace cliplens
