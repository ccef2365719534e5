// What a model is made of: sizes, parameters, and the numerical rank of each head.
//
//   const ModelInfo info = DescribeModel(model, threads);
//   Print(info.name, info.parameters, info.ranks(0, 0));
#pragma once

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
  Index parameters = 0, vision_parameters = 0, text_parameters = 0;
  Index factor_width = 0;  // K+3, which no rank exceeds
  Array<Index, 2> ranks;   // [L, H] numerical rank of each head's contributions
};
// Throws as MakeBasis.
ModelInfo DescribeModel(const ClipModel& model, int threads);

}  // namespace cliplens
