// The weights that open_clip publishes by name: an architecture and a tag.
//
//   const PublishedWeights* openai = FindPublishedWeights("ViT-B-32/openai");
//   Print(openai->repository);   // "timm/vit_base_patch32_clip_224.openai"
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace cliplens {

// One row of open_clip's table.
struct PublishedWeights {
  std::string_view architecture;  // "ViT-B-32"
  std::string_view tag;           // "openai"
  std::string_view repository;    // of the Hugging Face hub, ORG/NAME
  std::string_view file;          // of the weights in it; empty: under open_clip's usual name
  std::string_view url;           // where they lie besides; empty: nowhere
  bool quick_gelu;                // the weights were trained with it
};

std::span<const PublishedWeights> AllPublishedWeights();

// By "ARCH/TAG" as open_clip takes the two: "ViT-B/32" is ViT-B-32, and a tag may have capitals and
// '-' for '_'. Null for a name that is not in the table.
const PublishedWeights* FindPublishedWeights(std::string_view name);

// The tags of an architecture, with commas between; empty for one that is not in the table.
std::string PublishedTags(std::string_view architecture);

}  // namespace cliplens
