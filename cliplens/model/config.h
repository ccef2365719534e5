// The configuration of a CLIP model, read from `open_clip_config.json`.
#pragma once

#include <filesystem>
#include <string>

#include "cliplens/base/array.h"
#include "cliplens/io/json.h"
#include "cliplens/model/preprocess.h"

namespace cliplens {

enum class Activation { kGelu, kQuickGelu };  // exact (erf) GELU; x · sigmoid(1.702 x)

// What the two towers share: a pre-LN transformer.
struct TowerConfig {
  Index layers = 0;     // L
  Index width = 0;      // D
  Index heads = 0;      // H
  Index mlp_width = 0;  // F
  double norm_epsilon = 1e-5;

  Index head_width() const { return width / heads; }  // K
};

struct ModelConfig {
  Index embed_width = 0;  // E
  Activation activation = Activation::kGelu;

  TowerConfig vision;
  Index patch_size = 0;
  PreprocessConfig preprocess;  // its image_size is S

  TowerConfig text;
  Index context_length = 0;
  Index vocabulary_size = 0;

  Index grid() const { return preprocess.image_size / patch_size; }
  Index tokens() const { return grid() * grid() + 1; }  // N
};

// `name` stands in the messages. Accepts the file with or without the level "model_cfg".
// Throws Error(kUnsupported) that names a setting this version does not evaluate (silently passing
// over one would give wrong numbers), Error(kCorruptData) for one that makes no sense.
ModelConfig ParseOpenClipConfig(const Json& file, const std::string& name);

// The configuration as it is written into stores and printed by `info --json`.
Json ToJson(const ModelConfig& config);

}  // namespace cliplens
