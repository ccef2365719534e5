// Files that ship with the program (models/, texts/, world/), and paths by the names people use.
//
//   const TextPool general = ReadTextPool(TextsPath("general"));  // texts/general.txt
//   const ClipModel clip = ClipModel::Load(ModelPath("hf:openai/clip-vit-base-patch32"));
#pragma once

#include <filesystem>
#include <string>

namespace cliplens {

// The path of `relative` in the directory of shipped files: $CLIPLENS_SHARE, else beside the
// program, else the source tree that the program was built in. Empty where it is in none of them.
std::filesystem::path SharePath(const std::string& relative);
// As SharePath; throws Error(kNotFound) where it is in none.
std::filesystem::path ShippedPath(const std::string& relative);

// The path of a model: `model` itself, that of a shipped model of this name, or for hf:ORG/NAME a
// snapshot in the Hugging Face cache. Throws as FindInHubCache. Whether a path exists is not
// checked.
std::filesystem::path ModelPath(const std::string& model);

// The file of a text pool: the path itself if it exists, else the shipped texts/NAME.txt for a bare
// name such as general, else the path as given.
std::filesystem::path TextsPath(const std::string& texts);
// The same, but for empty `texts` the shipped pool `otherwise`. Throws Error(kNotFound) if that is
// missing.
std::filesystem::path TextsPath(const std::string& texts, const std::string& otherwise);

}  // namespace cliplens
