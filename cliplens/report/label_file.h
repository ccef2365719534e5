// The JSON that `cliplens label` writes, read again to choose heads by what they tell of.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cliplens/base/component.h"
#include "cliplens/io/json.h"

namespace cliplens {

struct LabelledHead {
  HeadId id;
  std::string label;   // empty: none
  std::string second;  // empty: none
  double confidence = 0;
};

struct HeadShare {
  HeadId id;
  double share = 0;  // of the head's variance, that a property explains
  friend bool operator==(const HeadShare&, const HeadShare&) = default;
};

struct LabelFile {
  std::string place;  // of the file, for messages
  std::string model_name;
  std::string fingerprint;  // of the model whose heads these are
  std::vector<std::string> properties;
  // Of each property the heads of which it explains more than chance does, in order of the heads.
  std::vector<std::vector<HeadShare>> index;
  std::vector<LabelledHead> heads;
};

// Throws Error(kNotFound) and Error(kCorruptData) as ReadJsonFile does, and for a file that is no
// "cliplens.label/1", names a head that a model of `layers` x `heads` lacks, names one twice or has
// a share that is not in (0, 1];
// Error(kInvalidArgument) when its model is another than `fingerprint`.
LabelFile ReadLabelFile(const std::filesystem::path& path, const std::string& fingerprint,
                        int layers, int heads);

// The same of a file's content; `place` names it in messages. Whose model it is is not asked.
LabelFile ParseLabels(const Json& json, const std::string& place, int layers, int heads);

// Heads whose label or second label is `property`, in order. Throws Error(kInvalidArgument) that
// lists the properties when the table has no such one, and Error(kNotFound) when no head tells of
// it.
std::vector<HeadId> HeadsLabelled(const LabelFile& labels, const std::string& property);

// Heads of which `property` explains more than chance does, whatever their label, in order. Throws
// as HeadsLabelled.
std::vector<HeadShare> HeadsTelling(const LabelFile& labels, const std::string& property);

}  // namespace cliplens
