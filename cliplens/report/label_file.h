// The JSON that `cliplens label` writes, read again to choose heads by what they tell of.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cliplens/base/component.h"

namespace cliplens {

struct LabelledHead {
  HeadId id;
  std::string label;   // empty: none
  std::string second;  // empty: none
  double confidence = 0;
};

struct LabelFile {
  std::string place;  // of the file, for messages
  std::string model_name;
  std::string fingerprint;  // of the model whose heads these are
  std::vector<std::string> properties;
  std::vector<LabelledHead> heads;
};

// Throws Error(kNotFound) and Error(kCorruptData) as ReadJsonFile does, and for a file that is no
// "cliplens.label/1", names a head that a model of `layers` x `heads` lacks or names one twice;
// Error(kInvalidArgument) when its model is another than `fingerprint`.
LabelFile ReadLabelFile(const std::filesystem::path& path, const std::string& fingerprint,
                        int layers, int heads);

// Heads whose label or second label is `property`, in order. Throws Error(kInvalidArgument) that
// lists the properties when the table has no such one, and Error(kNotFound) when no head tells of
// it.
std::vector<HeadId> HeadsLabelled(const LabelFile& labels, const std::string& property);

}  // namespace cliplens
