// The configurations that open_clip publishes by name, for checkpoints that have none of their own.
//
//   Print(FindArchitecture("ViT-B-16").vision.layers);   // 12
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "cliplens/base/array.h"
#include "cliplens/model/config.h"

namespace cliplens {

// One architecture. All of them share a context of 77, 49,408 tokens, text MLPs of 4 D, LayerNorms
// with ε = 1e-5 and OpenAI's constants of preprocessing.
struct Architecture {
  std::string_view name;  // "ViT-B-16-quickgelu"
  Index embed_width;
  Index image_size;
  Index patch_size;
  Index layers;  // of the image tower, as are the next three
  Index width;
  Index head_width;
  Index mlp_width;
  Index text_layers;
  Index text_width;
  Index text_heads;
  bool quick_gelu = false;
  bool layer_scale = false;
  std::string_view other_text = {};  // Hugging Face's text tower, which is not evaluated
};

std::span<const Architecture> Architectures();

ModelConfig ConfigOf(const Architecture& architecture);

// By open_clip's name ("ViT-B-16"; "ViT-B/16" is the same). Throws Error(kUnsupported) with the
// reason for a name that open_clip knows and this version does not evaluate, Error(kNotFound) for
// another.
ModelConfig FindArchitecture(const std::string& name);

}  // namespace cliplens
