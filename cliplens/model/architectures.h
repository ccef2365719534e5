// The configurations that open_clip publishes by name, for checkpoints that have none of their own.
//
//   Print(FindArchitecture("ViT-B-16").vision.layers);   // 12
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "cliplens/model/config.h"

namespace cliplens {

// Those that are evaluated.
std::span<const std::string_view> ArchitectureNames();

// By open_clip's name ("ViT-B-16"; "ViT-B/16" is the same): what its file of that name says.
// Preprocessing is that of the weights which open_clip publishes under the name, if they agree,
// otherwise OpenAI's. Throws Error(kUnsupported) with the reason for a name that open_clip knows
// and this version does not evaluate, Error(kNotFound) for another.
ModelConfig FindArchitecture(const std::string& name);

}  // namespace cliplens
