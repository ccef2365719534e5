// Embeddings of texts that were made elsewhere, for models whose text tower is not evaluated.
//
//   const TextRows rows = TextRows::Read({"objects.npy"});   // and objects.txt beside it
//   Print(rows.Find("a photo of a duck.").size());           // [E], unit
//
// FILE.npy has a row for each text of FILE.txt, a pool, as the model's own code embeds it. Several
// files make one dictionary.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "cliplens/base/array.h"

namespace cliplens {

class TextRows {
 public:
  // Rows are made unit. Throws as ReadNpy and ReadTextPool, and Error(kInvalidArgument) that names
  // the files for another number of rows than of texts, for widths that differ, for a row without a
  // direction, and for a text with two rows whose cosine is below 0.999 (the first counts).
  static TextRows Read(const std::vector<std::filesystem::path>& files);

  Index width() const { return width_; }
  Index size() const { return static_cast<Index>(row_of_.size()); }
  const std::vector<std::filesystem::path>& files() const { return files_; }
  // Of everything in it: the same rows of the same texts give the same digest.
  const std::string& digest() const { return digest_; }
  // The row [E] of a text. Throws Error(kNotFound), which says what to add, for another text.
  std::span<const float> Find(const std::string& text) const;

 private:
  void Add(const std::filesystem::path& file);

  std::vector<std::filesystem::path> files_;
  Index width_ = 0;
  std::vector<float> rows_;
  std::unordered_map<std::string, Index> row_of_;
  std::string digest_;
};

}  // namespace cliplens
